"""Validation of the environments' settings by `config validate`: the plan's checks, with file and line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ami_lifecycle.domain.build_config import (
    KNOWN_KEYS,
    SettingProblem,
    hook_problems,
    problems_of,
    value_problems,
)
from ami_lifecycle.errors import SettingsError
from ami_lifecycle.settings import Catalogue
from parameter_config import Config
from parameter_config.ambiguous_scalars import quoted
from parameter_config.errors import ConfigInputError
from parameter_config.validation import Finding

# Settings that Parameter Store may hold, with the path that declares each.
_REPOSITORY: Final = ("repository",)
# Stands in for a repository that only Parameter Store has, when validating offline.
_KNOWN_ONLINE: Final = "known-online"
_ELSEWHERE: Final[dict[tuple[str, ...], str]] = {
    ("builder", "subnet_ids"): "aws.builder.subnet_ids",
    ("builder", "instance_types"): "aws.builder.instance_types",
    _REPOSITORY: "aws.ecr.repository",
}


def validate_settings(config: Config, application: str | None = None) -> list[Finding]:
    """All problems of the environments' settings.

    Args:
        config: loaded with Parameter Store or offline; offline, values without a default are not checked.
        application: the stack's name of the application, if known.

    Raises:
        ConfigError: Parameter Store cannot be read.
    """
    build = config.resolver.find(("build",))
    if not isinstance(build, dict) or not _is_ours(build):
        return []
    content = config.get("build")
    if problems := problems_of(content, application):
        return [_finding(config, problem) for problem in problems]
    return list(dict.fromkeys(_of_environments(config, content, application)))


def validate_environment(config: Config, environment: str | None) -> list[Finding]:
    """Check that an environment is configured."""
    known = config.resolver.find(("build", "environments"))
    if environment is None or not isinstance(known, dict) or not known or environment in known:
        return []
    close = difflib.get_close_matches(environment, known, n=1)
    return [
        Finding(
            "error",
            f"{environment} is no environment of {config.resolver.documents.directory}/build_config.yml.",
            f"Did you mean {close[0]}?" if close else f"It has {', '.join(known)}.",
        )
    ]


def _is_ours(build: Mapping[str, Any]) -> bool:
    """Whether a `build_config.yml` is this service's: another project may have a file of that name."""
    return not build or any(difflib.get_close_matches(key, KNOWN_KEYS, n=1) for key in build)


def _of_environments(config: Config, build: Mapping[str, Any], application: str | None) -> Iterator[Finding]:
    try:
        catalogue = Catalogue(config, application)
    except SettingsError as error:
        yield Finding("error", str(error))
        return
    named = config.resolver.placeholders["environment"]
    for environment in catalogue.environments if named is None else (named,):
        own = config.for_environment(environment, catalogue.application)
        try:
            values = catalogue.values_of(environment)
            elsewhere = {
                setting: declared
                for setting, declared in _ELSEWHERE.items()
                if setting != _REPOSITORY or not _in_file(build, environment)
                if own.get(declared) is not None
            }
        except ConfigInputError:
            continue  # a stored value that is not of its declared type, which `validate_values` has
        if config.resolver.parameters.store is None and values.get("repository") is None:
            values["repository"] = _KNOWN_ONLINE
        problems = list(value_problems(build, environment, values))
        for problem in problems or hook_problems(build, environment, values):
            yield _finding(config, problem, elsewhere)


def _in_file(build: Mapping[str, Any], environment: str) -> bool:
    places = (build["environments"][environment] or {}, build.get("defaults") or {})
    return any(place.get("repository") for place in places)


def _finding(
    config: Config, problem: SettingProblem, elsewhere: Mapping[tuple[str, ...], str] | None = None
) -> Finding:
    keys = ("build", *problem.path)
    for setting, declared in (elsewhere or {}).items():
        if keys[-len(setting) :] == setting or keys[-len(setting) - 1 : -1] == setting:
            keys = tuple(declared.split("."))
    place = config.resolver.documents.place(keys)
    remedy = "Correct it."
    if place is not None and place.word is not None and not isinstance(config.resolver.find(keys), str):
        remedy = f"As text it is {quoted(place.word)}, with the quotes."
    path = ".".join(keys)
    return Finding("error", f"{path}: {problem.message}.", remedy, path, place.location if place else None)
