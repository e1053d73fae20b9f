"""The user's own scripts: on the builder before and after the Docker image is installed, and on the canary.

They run within our own documents and travel as data, in one parameter. So a hook costs no command, no wait and no
permission of its own; a lost command is found as ever; and what is left of the builder is removed after the last one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, NamedTuple, Self

from pydantic import AfterValidator, Field, StrictInt, StrictStr, model_validator

from ami_lifecycle.domain.forms import ENCODED_CHARACTERS, FORMS, PlainText, VariableName
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

HookScript = Annotated[StrictStr, AfterValidator(FORMS["hook_script"].check)]


class Hook(Frozen):
    """A script below `config/hooks/`; `parameters` are variables of its environment."""

    script: HookScript
    parameters: Mapping[VariableName, PlainText] = Field(default_factory=dict)
    timeout_seconds: StrictInt = Field(300, ge=1, le=MOST_SECONDS)

    @model_validator(mode="after")
    def _variables_are_its_own(self) -> Self:
        if taken := next((name for name in self.parameters if _RESERVED.fullmatch(name)), None):
            raise ValueError(
                f"parameters sets {taken}, which the service or the shell sets; choose another name"
            )
        return self


class HookSettings(Frozen):
    """Your own scripts, on the builder before and after the Docker image is installed, and on the canary: hooks.md."""

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


def script_problems(hooks: HookSettings, scripts: Mapping[str, str]) -> Iterator[ScriptProblem]:
    """What keeps hooks from being run.

    Args:
        scripts: the texts of those that exist, by what the settings call them.
    """
    unusable = [
        ScriptProblem(("hooks", stage, str(position), "script"), problem)
        for stage, position, hook in hooks.all
        if (problem := _problem_of(hook.script, scripts.get(hook.script))) is not None
    ]
    if unusable:
        yield from unusable
        return
    for stages in (("provision", "provision_after"), ("verify",)):
        characters = len(encoded_hooks(hooks, scripts, *stages))
        if characters > ENCODED_CHARACTERS:
            yield ScriptProblem(
                ("hooks", stages[0]),
                f"the scripts of {' and '.join(stages)} take {characters} characters as a parameter of the document, "
                f"at most {ENCODED_CHARACTERS} fit; shorten them, or have them fetch what is large",
            )
    # As the plan has them: a letter outside of ASCII takes six.
    if (characters := len(json.dumps(list(scripts.values())))) > MOST_CHARACTERS:
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


def encoded_hooks(hooks: HookSettings, scripts: Mapping[str, str], *stages: str) -> str:
    """Hooks as a document takes them: base64 of compressed JSON, by stage; or a dash for none."""
    given = {
        stage: [
            {
                "name": hook.script,
                "parameters": dict(hook.parameters),
                "timeout_seconds": hook.timeout_seconds,
                "script": scripts[hook.script],
            }
            for hook in getattr(hooks, stage)
        ]
        for stage in stages
    }
    if not any(given.values()):
        return "-"
    return packed(given)
