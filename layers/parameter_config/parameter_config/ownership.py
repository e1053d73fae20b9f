"""Which parameters are this configuration's: by tag, and by path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from parameter_config.declarations import Declaration
from parameter_config.errors import ForeignParameterError
from parameter_config.loader import Config
from parameter_config.names import name_matcher

PROJECT_TAG: Final = "Project"
APPLICATION_TAG: Final = "ami-lifecycle:application"
ENVIRONMENT_TAG: Final = "ami-lifecycle:environment"
ROLE_TAG: Final = "ami-lifecycle:role"
CONFIGURATION_ROLE: Final = "configuration"


def project_of(config: Config, name: str) -> str:
    """The project that a parameter belongs to: the application, else the first level of the name."""
    return config.resolver.placeholders["application"] or name.strip("/").split("/")[0]


def identifying_tags(project: str) -> dict[str, str]:
    """The tags without which a parameter is not ours.

    The role keeps configuration apart from what else an application has in Parameter Store, such as the
    published image ids.
    """
    return {APPLICATION_TAG: project, ROLE_TAG: CONFIGURATION_ROLE}


def tags_for(config: Config, declaration: Declaration, name: str) -> dict[str, str]:
    """All tags that a new parameter gets.

    Where a directory has a `build_config.yml` with `defaults.tags`, those too: what an organization demands, it
    demands of these parameters as of those that builds make.
    """
    project = project_of(config, name)
    demanded = config.resolver.find(("build", "defaults", "tags"))
    given = demanded.items() if isinstance(demanded, Mapping) else ()
    others = {str(key): value for key, value in given if isinstance(value, str)}
    tags = {**others, PROJECT_TAG: project, **identifying_tags(project)}
    environment = config.resolver.placeholders["environment"]
    if environment is not None and "{environment}" in declaration.schema.ssm_param:
        tags[ENVIRONMENT_TAG] = environment
    return tags


def is_ours(tags: Mapping[str, str], project: str) -> bool:
    """Whether a parameter with these tags may be changed or deleted."""
    return all(tags.get(key) == value for key, value in identifying_tags(project).items())


def foreign_parameter(name: str, project: str) -> ForeignParameterError:
    """The error for a parameter that does not carry our tags: somebody else made it, or made it by hand."""
    return ForeignParameterError(
        f"The parameter {name} does not carry the tags of {project!r}; it was not made by this command.",
        remedy="If it is yours, pass --adopt: it is tagged first, and then changed.",
    )


def prefixes_of(names: Iterable[str]) -> list[str]:
    """The paths that hold a configuration's parameters: for each first level, the longest common path.

    Names without levels have no path.
    """
    common: dict[str, list[str]] = {}
    for name in names:
        *levels, _ = name.strip("/").split("/")
        if not levels:
            continue
        known = common.setdefault(levels[0], levels)
        shared = [left for left, right in zip(known, levels, strict=False) if left == right]
        while known[: len(shared)] != levels[: len(shared)]:
            shared.pop()
        common[levels[0]] = shared
    return sorted("/" + "/".join(levels) for levels in common.values())


def orphans_among(config: Config, names: Iterable[str]) -> list[str]:
    """The names that no declaration has, in this or any other environment."""
    known = {"application": config.resolver.placeholders["application"]}
    patterns = [
        name_matcher(template, known)
        for declaration in config.declarations
        for template in (declaration.schema.ssm_param, *declaration.schema.fallbacks)
    ]
    declared = frozenset(config.resolver.names)
    return sorted(
        name for name in set(names) - declared if not any(pattern.fullmatch(name) for pattern in patterns)
    )
