"""Copies stored values from one environment to another: first what would change, then each change by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from parameter_config.changes import PlannedChange, plan_set
from parameter_config.declarations import Declaration
from parameter_config.environments import known_environments
from parameter_config.errors import MissingValueError, PlaceholderError
from parameter_config.loader import Config
from parameter_config.parameter_store import ParameterVersion


@dataclass(frozen=True)
class LeftOut:
    """A declared value that is not copied, and why."""

    path: str
    reason: str


@dataclass
class CopyPlan:
    """What a copy does: changes of the target's parameters, and what it leaves as it is."""

    changes: list[PlannedChange] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def plan_copy(
    config: Config,
    source: str,
    target: str,
    paths: Sequence[str] = (),
    *,
    include_sensitive: bool = False,
    adopt: bool = False,
) -> CopyPlan:
    """Find what changes where each value of one environment is stored for another one. Writes nothing.

    Only what differs by environment, and is stored for the source, can be copied: its defaults are in the files.

    Args:
        paths: dotted paths of values, or of mappings with all that is below; without any, everything.
        include_sensitive: whether values that are kept from view are copied too.
        adopt: see `plan_set`.

    Raises:
        PlaceholderError: an environment does not exist, or is to be copied to itself.
        MissingValueError: a path is that of nothing.
        ConfigError: see `plan_set`; a value of the source is not what its declaration says.
    """
    _check_environments(config, source, target)
    own, other = config.for_environment(source), config.for_environment(target)
    for path in paths:
        if config.resolver.locate(path) is None:
            raise config.resolver.missing(path)
    wanted = {
        name: declaration
        for name, declaration in own.resolver.declared_names().items()
        if "{environment}" in declaration.schema.ssm_param and _is_among(declaration.path, paths)
    }
    if paths and not wanted:
        raise MissingValueError(
            f"{', '.join(paths)} has nothing that differs by environment.",
            remedy="Name a value whose ssm_param has {environment}, or a mapping that holds one.",
        )
    plan = CopyPlan()
    for declaration in wanted.values():
        stored = own.resolver.look_up(declaration).parameter
        if stored is None:
            plan.left_out.append(LeftOut(declaration.path, f"{source} has no stored value"))
            continue
        if (reason := _reason_against(declaration, stored, include_sensitive=include_sensitive)) is not None:
            plan.left_out.append(LeftOut(declaration.path, reason))
            continue
        change = plan_set(other, declaration.path, stored.text, adopt=adopt)
        if change.is_change:
            plan.changes.append(change)
        else:
            plan.same.append(declaration.path)
    return plan


def _check_environments(config: Config, source: str, target: str) -> None:
    if source == target:
        raise PlaceholderError(
            f"{source} cannot be copied to itself.", remedy="Name two environments with --from and --to."
        )
    known = known_environments(config)
    for environment in (source, target):
        if known and environment not in known:
            raise PlaceholderError(
                f"{environment} is no environment of {config.resolver.documents.directory}/build_config.yml, "
                f"which has {', '.join(known)}.",
                remedy="Correct --from and --to.",
            )


def _is_among(path: str, paths: Sequence[str]) -> bool:
    return not paths or any(path == each or path.startswith(f"{each}.") for each in paths)


def _reason_against(
    declaration: Declaration, stored: ParameterVersion, *, include_sensitive: bool
) -> str | None:
    if stored.sensitive and not declaration.schema.sensitive:
        return "it is a SecureString there, and not declared `sensitive: true`"
    if declaration.schema.sensitive and not include_sensitive:
        return "it is sensitive, and copied with --sensitive only"
    return None
