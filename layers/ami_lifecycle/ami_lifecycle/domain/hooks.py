"""The user's own scripts and documents: on the builder, before and after the Docker image is installed, and on the
canary.

They run within our own documents and travel as data, in one parameter. So a hook costs no command, no wait and no
permission of its own; a lost command is found as ever; and what is left of the builder is removed after the last one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, NamedTuple, Self

from pydantic import AfterValidator, Field, StrictInt, StrictStr, model_validator

from ami_lifecycle.domain.forms import ENCODED_CHARACTERS, FORMS, PlainText, VariableName
from ami_lifecycle.domain.hook_documents import HookProgram
from ami_lifecycle.domain.model import Frozen
from ami_lifecycle.domain.packing import packed

HOOKS_DIRECTORY: Final = "hooks"
# Step Functions user guide, "Quotas": 256 KiB of input or output of a state, and the plan is in each.
MOST_CHARACTERS: Final = 65_536
# What each document gives its hooks of its own time.
MOST_SECONDS: Final = 1_800
MOST_HOOKS: Final = 4
# What a hook is told, and what decides how its interpreter runs.
_RESERVED: Final = re.compile(
    r"(AMI_LIFECYCLE|SSM|LD|AWS_SSM)_.*|PATH|HOME|IFS|ENV|BASH_ENV|SHELLOPTS|PYTHON.*"
)
_FIRST_LINE: Final = re.compile(r"#! ?/[^\s]+( [^\n]+)?")
_CHARACTERS: Final = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]*")

# Systems Manager API reference, CreateDocument, Name.
_OF_AWS: Final = re.compile(r"(?i)(aws|amazon|amzn)")

HookScript = Annotated[StrictStr, AfterValidator(FORMS["hook_script"].check)]
HookDocument = Annotated[StrictStr, AfterValidator(FORMS["hook_document"].check)]
# By stage and position, as in the settings: `provision.0`.
Programs = Mapping[str, HookProgram]


class Hook(Frozen):
    """A script below `config/hooks/`, whose `parameters` are variables of its environment; or a Command document of
    Systems Manager, whose parameters they are.
    """

    script: HookScript | None = None
    document: HookDocument | None = None
    version: StrictInt | None = Field(None, ge=1, le=1_000_000)
    parameters: Mapping[VariableName, PlainText] = Field(default_factory=dict)
    timeout_seconds: StrictInt = Field(300, ge=1, le=MOST_SECONDS)

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.script is None) == (self.document is None):
            raise ValueError("a hook is a script or a document; write one of the two")
        if self.document is None:
            if self.version is not None:
                raise ValueError("version belongs to a document; leave it out")
            return self
        if _OF_AWS.match(self.document.rpartition("/")[2]):
            raise ValueError(f"{self.document} is a document of AWS; copy it into one of your own")
        if self.document.startswith("arn:") and self.version is None:
            raise ValueError(
                f"{self.document} has no version; write one, so that nobody but you says what runs as root"
            )
        if filled := next((each for each in self.parameters.values() if "{{" in each), None):
            raise ValueError(
                f"parameters has {filled!r:.60}, which Systems Manager would fill in where it sends a command; hand "
                "over the name, and let the document read it"
            )
        return self

    @property
    def name(self) -> str:
        """What the settings call it."""
        version = "" if self.version is None else f":{self.version}"
        return self.script or f"{self.document}{version}"

    @model_validator(mode="after")
    def _variables_are_its_own(self) -> Self:
        if self.document is not None:
            return self
        if taken := next((name for name in self.parameters if _RESERVED.fullmatch(name)), None):
            raise ValueError(
                f"parameters sets {taken}, which the service or the shell sets; choose another name"
            )
        return self


class HookSettings(Frozen):
    """Your own scripts and documents, on the builder and on the canary: hooks.md."""

    provision: tuple[Hook, ...] = Field((), max_length=MOST_HOOKS)
    provision_after: tuple[Hook, ...] = Field((), max_length=MOST_HOOKS)
    verify: tuple[Hook, ...] = Field((), max_length=MOST_HOOKS)

    @model_validator(mode="after")
    def _documents_have_the_time(self) -> Self:
        for names, hooks in (
            ("provision and provision_after", (*self.provision, *self.provision_after)),
            ("verify", self.verify),
        ):
            if (seconds := sum(hook.timeout_seconds for hook in hooks)) > MOST_SECONDS:
                raise ValueError(
                    f"the timeout_seconds of {names} are {seconds} together, at most {MOST_SECONDS} are there; lower "
                    "them"
                )
        return self

    @property
    def all(self) -> Iterator[tuple[str, int, Hook]]:
        """Every hook with its stage and its position there."""
        for stage in ("provision", "provision_after", "verify"):
            for position, hook in enumerate(getattr(self, stage)):
                yield stage, position, hook


class ScriptProblem(NamedTuple):
    """What is wrong with the script of a hook; `place` is its path in the settings."""

    place: tuple[str, ...]
    message: str


def script_problems(
    hooks: HookSettings, scripts: Mapping[str, str], programs: Programs | None = None
) -> Iterator[ScriptProblem]:
    """What keeps hooks from being run.

    Args:
        scripts: the texts of those that exist, by what the settings call them.
        programs: what documents do; None where they have not been read, so that only scripts are judged.
    """
    unusable = [
        ScriptProblem(("hooks", stage, str(position), "script"), problem)
        for stage, position, hook in hooks.all
        if hook.script is not None
        if (problem := _problem_of(hook.script, scripts.get(hook.script))) is not None
    ]
    if unusable:
        yield from unusable
        return
    if programs is None and any(hook.document for _, _, hook in hooks.all):
        return
    for stages in (("provision", "provision_after"), ("verify",)):
        characters = len(encoded_hooks(hooks, scripts, *stages, programs=programs))
        if characters > ENCODED_CHARACTERS:
            yield ScriptProblem(
                ("hooks", stages[0]),
                f"the scripts of {' and '.join(stages)} take {characters} characters as a parameter of the document, "
                f"at most {ENCODED_CHARACTERS} fit; shorten them, or have them fetch what is large",
            )
    # As the plan has them: a letter outside of ASCII takes six.
    texts = [*scripts.values(), *(step.script for each in (programs or {}).values() for step in each.steps)]
    if (characters := len(json.dumps(texts))) > MOST_CHARACTERS:
        yield ScriptProblem(
            ("hooks",),
            f"the scripts take {characters} characters in a plan, at most {MOST_CHARACTERS} fit; shorten "
            "them, or have them fetch what is large",
        )


def _problem_of(name: str, text: str | None) -> str | None:
    if text is None:
        return f"{name} does not exist; add the file, or correct the name"
    if not _FIRST_LINE.fullmatch(text.partition("\n")[0]):
        return f"{name} does not say what runs it; let its first line be #!/bin/bash or the like, with no \\r"
    if not _CHARACTERS.fullmatch(text):
        return f"{name} has control characters, or lines that end in \\r\\n; save it as plain text with \\n"
    return None


def encoded_hooks(
    hooks: HookSettings, scripts: Mapping[str, str], *stages: str, programs: Programs | None = None
) -> str:
    """Hooks as a document takes them: base64 of compressed JSON, by stage; or a dash for none."""
    given = {
        stage: [
            _encoded(hook, scripts, (programs or {}).get(f"{stage}.{position}"))
            for each, position, hook in hooks.all
            if each == stage
        ]
        for stage in stages
    }
    if not any(given.values()):
        return "-"
    return packed(given)


def _encoded(hook: Hook, scripts: Mapping[str, str], program: HookProgram | None) -> dict[str, Any]:
    if hook.script is not None:
        return {
            "name": hook.script,
            "parameters": dict(hook.parameters),
            "timeout_seconds": hook.timeout_seconds,
            "script": scripts[hook.script],
        }
    read = program_read(hook, program)
    return {
        "name": read.name,
        "parameters": dict(read.variables),
        "timeout_seconds": hook.timeout_seconds,
        "steps": [step.model_dump() for step in read.steps],
    }


def program_read(hook: Hook, program: HookProgram | None) -> HookProgram:
    """What the document of a hook does. Whoever asks has read it (`with_programs`)."""
    if program is None:
        raise LookupError(f"the document {hook.name} has not been read")
    return program
