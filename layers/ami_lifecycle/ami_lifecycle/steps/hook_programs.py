"""What the documents do that hooks name, read from Systems Manager when a build is planned."""

from __future__ import annotations

from ami_lifecycle.domain.hook_documents import HookProgram, program_of
from ami_lifecycle.domain.hooks import Hook, script_problems
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import ServiceUnavailableError, SettingsError
from ami_lifecycle.ports import Documents

# SSM API reference, DocumentDescription, Status; the states that pass.
_PASSING = frozenset({"Creating", "Updating"})


def with_programs(settings: EnvironmentSettings, documents: Documents) -> EnvironmentSettings:
    """The settings with what their hooks' documents do now; without a call where they name none.

    Whoever needs `recipe`, or sends our documents, does this first. What needs neither, as a rollback, goes on without
    the documents.

    Raises:
        SettingsError: a document is not there, is none that hooks run, or does not fit into ours.
        ServiceUnavailableError: Systems Manager has not made one ready yet.
    """
    programs = {
        f"{stage}.{position}": _program(f"hooks.{stage}.{position}", hook, documents)
        for stage, position, hook in settings.hooks.all
        if hook.document is not None
    }
    if not programs:
        return settings
    problems = [
        f"{'.'.join(problem.place)}: {problem.message}"
        for problem in script_problems(settings.hooks, settings.hook_scripts, programs)
    ]
    if problems:
        raise SettingsError(f"the hooks of {settings.environment} cannot be run: {'; '.join(problems)}")
    return settings.model_copy(update={"hook_programs": programs})


def _program(place: str, hook: Hook, documents: Documents) -> HookProgram:
    name = hook.document or ""
    found = documents.get(name, hook.version)
    if found is None:
        raise SettingsError(
            f"{place}: the document {hook.name} does not exist in this account and Region; create it, correct the "
            "name, or name one that another account shares by its ARN and version"
        )
    what = f"{name}:{found.version}"
    if found.type != "Command":
        raise SettingsError(f"{place}: {what} is a document of type {found.type}; name one of type Command")
    if found.status in _PASSING:
        raise ServiceUnavailableError(f"{place}: {what} is {found.status} at this moment; look again")
    if found.status != "Active":
        raise SettingsError(f"{place}: {what} is {found.status}; store a version that can be used")
    try:
        return program_of(what, found.content, hook.parameters)
    except ValueError as problem:
        raise SettingsError(f"{place}: {problem}") from problem
