"""The user's own Command documents of Systems Manager: what one of them does, as a hook runs it.

Our documents run its steps, as they run scripts. So all that is said of hooks holds for these, too: one command, no
permission to send others, one limit for all, and what was read for the plan is what runs. In return a document may have
what is understood here, and nothing else: what AWS does with the rest is not to be guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from ami_lifecycle.domain.model import Frozen

# Systems Manager user guide, "SSM document syntax": references that are filled in, to parameters of the document and to
# what Systems Manager knows; other braces stay as they are.
_REFERENCE: Final = re.compile(r"[{][{]\s*(\w[\w:./-]*)\s*[}][}]")
# As the agent has it for a step that says nothing, or less than 5 (amazon-ssm-agent, agent/framework/processor/
# executer/plugins/pluginutil, ValidateExecutionTimeout).
_STEP_SECONDS, _SHORTEST_SECONDS = 3_600, 5
_SHELL: Final = "aws:runShellScript"


class HookStep(Frozen):
    """A step of a document: a script with its first line, where it runs, and its own limit."""

    name: str
    script: str
    directory: str = "/"
    timeout_seconds: int = _STEP_SECONDS


class HookProgram(Frozen):
    """What a version of a document does with the parameters of a hook. `name` is `Name:3`."""

    name: str
    variables: Mapping[str, str] = Field(default_factory=dict)
    steps: tuple[HookStep, ...]


class _Parameter(Frozen):
    """A parameter as a document declares it; what only says how it is shown does not matter."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["String", "StringList"]
    default: str | tuple[str, ...] | None = None
    allowedPattern: str | None = None  # noqa: N815 - as AWS writes it
    allowedValues: tuple[str, ...] | None = None  # noqa: N815
    minChars: int = 0  # noqa: N815
    maxChars: int | None = None  # noqa: N815
    interpolationType: Literal["ENV_VAR"] | None = None  # noqa: N815


class _Inputs(Frozen):
    runCommand: tuple[str, ...] | str  # noqa: N815
    timeoutSeconds: str | int = _STEP_SECONDS  # noqa: N815
    workingDirectory: str = ""  # noqa: N815
    # The next step does not run when one fails: a hook has failed then.
    onFailure: Literal["exit"] = "exit"  # noqa: N815


class _Precondition(Frozen):
    StringEquals: tuple[Literal["platformType"], str]


class _Step(Frozen):
    action: str
    name: str
    inputs: Mapping[str, Any] = Field(default_factory=dict)
    description: str = ""
    precondition: _Precondition | None = None


class _Document(Frozen):
    schemaVersion: Literal["2.2"]  # noqa: N815
    description: str = ""
    parameters: Mapping[str, _Parameter] | None = None
    mainSteps: tuple[_Step, ...]  # noqa: N815


def program_of(name: str, content: str, given: Mapping[str, str]) -> HookProgram:
    """What a document does.

    Args:
        name: of its version, `Name:3`.
        content: as JSON.
        given: the hook's parameters.

    Raises:
        ValueError: it cannot be a hook; the message says why, and what to do.
    """
    try:
        document = _Document.model_validate(json.loads(content))
    except ValidationError as error:
        raise ValueError(f"{name} {_said(error)}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} is no JSON ({error}); store it again") from error
    values = dict(_bound(name, document.parameters or {}, given))
    in_variables = {key for key, each in (document.parameters or {}).items() if each.interpolationType}
    steps = tuple(_steps(name, document, values, in_variables))
    if not steps:
        raise ValueError(f"{name} has no step for Linux; give it one of {_SHELL}")
    variables = {f"SSM_{key}": _joined(values[key]) for key in sorted(in_variables)}
    return HookProgram(name=name, variables=variables, steps=steps)


def _said(error: ValidationError) -> str:
    problem = error.errors()[0]
    # Of what may be one thing or another, pydantic names the type, too.
    place = ".".join(str(part) for part in problem["loc"] if "[" not in str(part))
    if place == "schemaVersion":
        return f"is of schemaVersion {problem.get('input')!r:.20}; store it as 2.2"
    if problem["type"] == "missing":
        return f"has no {place}, which a Command document needs"
    return (
        f"has {place} {problem.get('input')!r:.80}, which hooks do not run; take it out, or do it in a script "
        f"({_SHELL})"
    )


def _bound(
    name: str, declared: Mapping[str, _Parameter], given: Mapping[str, str]
) -> Iterator[tuple[str, str | Sequence[str]]]:
    """The value of each parameter, as SendCommand checks it (API reference, SendCommand, InvalidParameters)."""
    if unknown := next((key for key in given if key not in declared), None):
        has = f"it has {', '.join(declared)}" if declared else "it has none"
        raise ValueError(f"{name} has no parameter {unknown}; {has}")
    for key, parameter in declared.items():
        if key not in given:
            if parameter.default is None:
                raise ValueError(f"{name} needs the parameter {key}; set it in parameters")
            yield key, parameter.default
            continue
        value = given[key]
        if problem := _problem_of(parameter, value):
            raise ValueError(f"{name} refuses the parameter {key}: {value!r:.80} {problem}")
        yield key, value if parameter.type == "String" else (value,)


def _problem_of(parameter: _Parameter, value: str) -> str | None:
    if parameter.allowedValues is not None and value not in parameter.allowedValues:
        return f"is none of {', '.join(parameter.allowedValues)}"
    if len(value) < parameter.minChars:
        return f"has fewer than {parameter.minChars} characters"
    if parameter.maxChars is not None and len(value) > parameter.maxChars:
        return f"has more than {parameter.maxChars} characters"
    try:
        fits = parameter.allowedPattern is None or re.fullmatch(parameter.allowedPattern, value)
    except re.error:
        return f"cannot be held against {parameter.allowedPattern}; write allowedPattern without what Java alone has"
    return None if fits else f"does not match {parameter.allowedPattern}"


def _steps(
    name: str, document: _Document, values: Mapping[str, str | Sequence[str]], in_variables: set[str]
) -> Iterator[HookStep]:
    for step in document.mainSteps:
        # The agent skips what is for another platform.
        if step.precondition is not None and step.precondition.StringEquals[1] != "Linux":
            continue
        what = f"{name}, step {step.name},"
        if step.action != _SHELL:
            raise ValueError(f"{what} is {step.action}; hooks run {_SHELL} alone, so do it in a script")
        try:
            inputs = _Inputs.model_validate(step.inputs)
        except ValidationError as error:
            raise ValueError(f"{what} {_said(error)}") from error
        seconds = _filled(what, str(inputs.timeoutSeconds), values, set())
        yield HookStep(
            name=step.name,
            script=_script(what, inputs.runCommand, values, in_variables),
            directory=_filled(what, inputs.workingDirectory, values, set()) or "/",
            timeout_seconds=int(seconds)
            if re.fullmatch("[0-9]{1,6}", seconds) and int(seconds) >= _SHORTEST_SECONDS
            else _STEP_SECONDS,
        )


def _script(
    what: str, command: str | Sequence[str], values: Mapping[str, str | Sequence[str]], in_variables: set[str]
) -> str:
    """A step's lines as the agent writes them into a file, which runs by its first line or by sh."""
    lines: list[str] = []
    for line in [command] if isinstance(command, str) else command:
        whole = _REFERENCE.fullmatch(line.strip())
        value = values.get(whole.group(1)) if whole else None
        if value is not None and not isinstance(value, str):
            lines += value
        elif isinstance(command, str):
            raise ValueError(f"{what} has runCommand that is no list; write a list of lines")
        else:
            lines.append(_filled(what, line, values, in_variables))
    text = "\n".join(lines) + "\n"
    return text if text.startswith("#!") else f"#!/bin/sh\n{text}"


def _filled(what: str, text: str, values: Mapping[str, str | Sequence[str]], in_variables: set[str]) -> str:
    def value_of(match: re.Match[str]) -> str:
        key = match.group(1)
        value = values.get(key)
        if value is None:
            raise ValueError(
                f"{what} has {match.group()}, which Systems Manager fills in where it sends a command; let the script "
                "read it, with the role of the builder or canary"
            )
        if not isinstance(value, str):
            raise ValueError(  # noqa: TRY004 - of what somebody wrote
                f"{what} has the list {key} within a text; let it stand alone in its line"
            )
        # Systems Manager user guide, "Data elements and parameters", interpolationType: the value is not in the text.
        return f"${{SSM_{key}}}" if key in in_variables else value

    return _REFERENCE.sub(value_of, text)


def _joined(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ",".join(value)
