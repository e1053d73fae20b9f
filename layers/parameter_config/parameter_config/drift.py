"""Compares what the files declare with what Parameter Store holds, and removes what is no longer declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from parameter_config.attributes import read_changes, remedy_for
from parameter_config.environments import declared_parameters, each_environment
from parameter_config.errors import OF_ONE_PARAMETER, ConfigError
from parameter_config.loader import Config
from parameter_config.ownership import identifying_tags, is_ours, orphans_among, prefixes_of, project_of
from parameter_config.parameter_store import BATCH
from parameter_config.sensitive import MASK

DriftKind: TypeAlias = Literal["missing", "differs", "invalid", "attributes", "orphaned"]


@dataclass(frozen=True)
class Drift:
    """One difference between the files and Parameter Store.

    Attributes:
        kind: `missing` (declared, not stored), `differs` (from the default), `invalid` (not of the
            declared type), `attributes` (tier, pattern and the like), `orphaned` (stored under our path, not declared).
        default, stored: as they may be shown; None where there is none.
        ours: for orphans, whether `prune` would delete it.
        detail: what a person should know.
    """

    kind: DriftKind
    name: str
    path: str | None = None
    default: str | None = field(default=None, repr=False)
    stored: str | None = field(default=None, repr=False)
    ours: bool = False
    detail: str = ""


def find_drift(config: Config) -> list[Drift]:
    """Compare the environment that is named, else all: declared parameters in the order of the files, then
    orphans by name.

    Raises:
        ConfigError: a name cannot be built, or Parameter Store cannot be read.
    """
    found = _declared_drift(config)
    tagged = frozenset(find_tagged(config))
    for prefix in prefixes_of(_names(config)):
        found += [
            Drift(
                "orphaned",
                name,
                ours=name in tagged,
                detail="prune deletes it" if name in tagged else "not tagged as ours; prune leaves it",
            )
            for name in orphans_among(config, config.parameter_store.read_under(prefix))
        ]
    return found


def _names(config: Config) -> list[str]:
    return list(dict.fromkeys(name for own in each_environment(config) for name in own.resolver.names))


def _declared_drift(config: Config) -> list[Drift]:
    declared = list(declared_parameters(config))
    stored = config.parameter_store.read(
        each for own, _, declaration in declared for each in declaration.names(own.resolver.placeholders)
    )
    changes = read_changes(
        config.parameter_store, {name: declaration for _, name, declaration in declared if name in stored}
    )
    found: list[Drift] = []
    for own, name, declaration in declared:
        default = declaration.default_text
        names = declaration.names(own.resolver.placeholders)
        parameter = next((stored[each] for each in names if each in stored), None)
        if parameter is None:
            if default is None and declaration.schema.optional:
                continue
            detail = "the default applies" if default is not None else "no default: it has no value"
            found.append(Drift("missing", name, declaration.path, default, detail=detail))
            continue
        if name in changes:
            found.append(
                Drift(
                    "attributes",
                    name,
                    declaration.path,
                    "; ".join(f"{change.attribute} {change.declared}" for change in changes[name]),
                    "; ".join(f"{change.attribute} {change.stored or '(none)'}" for change in changes[name]),
                    detail=remedy_for(name, changes[name]),
                )
            )
        shown = MASK if parameter.sensitive else declaration.mask(parameter.text)
        try:
            value = declaration.parse(parameter.text, source=parameter.name, sensitive=parameter.sensitive)
        except ConfigError as error:
            found.append(Drift("invalid", name, declaration.path, default, shown, detail=error.message))
            continue
        if default is not None and value != declaration.default:
            found.append(Drift("differs", name, declaration.path, default, shown))
    return found


def find_tagged(config: Config) -> list[str]:
    """Names of all parameters under the configuration's paths that carry our tags."""
    names: list[str] = []
    for prefix in prefixes_of(_names(config)):
        tags = identifying_tags(project_of(config, prefix))
        names += config.parameter_store.read_tagged(prefix, tags)
    return names


def plan_prune(config: Config) -> list[str]:
    """Names of the orphans that carry our tags. Each one's tags are read again, one by one: what the
    search returns is not trusted alone with a deletion.
    """
    store = config.parameter_store
    return [
        name
        for name in orphans_among(config, find_tagged(config))
        if is_ours(store.read_tags(name), project_of(config, name))
    ]


class PruneOutcome(NamedTuple):
    """The orphans that were deleted, and those that could not be, with the reason of each."""

    deleted: list[str]
    failed: list[tuple[str, ConfigError]]


def apply_prune(config: Config, names: Sequence[str]) -> PruneOutcome:
    """Delete orphans. One that is refused does not keep the others.

    Raises:
        ConfigError: nothing more can be deleted.
    """
    outcome = PruneOutcome([], [])
    for start in range(0, len(names), BATCH):
        batch = list(names[start : start + BATCH])
        try:
            outcome.deleted.extend(config.parameter_store.delete(batch))
        except OF_ONE_PARAMETER:
            # AWS refuses all ten for one of them, and does not always say which.
            for name in batch:
                _delete_alone(config, name, outcome)
    return outcome


def _delete_alone(config: Config, name: str, outcome: PruneOutcome) -> None:
    try:
        outcome.deleted.extend(config.parameter_store.delete([name]))
    except OF_ONE_PARAMETER as error:
        outcome.failed.append((name, error))
