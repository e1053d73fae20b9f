"""Creates the parameters that a configuration declares: first a plan, then the plan carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from parameter_config.attributes import AttributeChange, arguments_of, read_changes, remedy_for
from parameter_config.declarations import Declaration
from parameter_config.environments import declared_parameters, known_environments
from parameter_config.errors import (
    OF_ONE_PARAMETER,
    ConfigError,
    PlaceholderError,
    StoreRequestError,
)
from parameter_config.loader import Config
from parameter_config.ownership import is_ours, project_of, tags_for
from parameter_config.parameter_store import NewParameter, ParameterStore, ParameterVersion

InitAction: TypeAlias = Literal["create", "keep", "update", "adopt", "set by hand", "leave unset"]


@dataclass(frozen=True)
class PlannedParameter:
    """What `init` does with one declared parameter, and why.

    `text` is what it creates; `command` is what a person runs where a value has no default. `environment` is
    the one that it is for, where its name contains one. `changes` are the attributes that `update` and `adopt`
    bring about.
    """

    action: InitAction
    reason: str
    declaration: Declaration
    name: str
    text: str | None = field(default=None, repr=False)
    command: str | None = None
    environment: str | None = None
    changes: tuple[AttributeChange, ...] = ()

    @property
    def path(self) -> str:
        """The dotted path of the declaration."""
        return self.declaration.path


@dataclass
class InitOutcome:
    """What `init` did, by parameter name."""

    created: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left_unset: list[str] = field(default_factory=list)
    set_by_hand: list[PlannedParameter] = field(default_factory=list)
    failed: list[tuple[str, ConfigError]] = field(default_factory=list)


def plan_init(config: Config, *, adopt: bool = False) -> list[PlannedParameter]:
    """Decide what to do with each declared parameter. Reads, and writes nothing.

    Args:
        config: loaded for the environment to initialise; without one, for all that the files have.
        adopt: whether existing parameters without our tags get them.

    Raises:
        PlaceholderError: a parameter's name needs an environment or application that is not given, or an
            environment that does not exist; see `check_environment`.
        ConfigError: Parameter Store could not be read.
    """
    declared = list(declared_parameters(config))
    stored = config.parameter_store.read(
        each for own, _, declaration in declared for each in declaration.names(own.resolver.placeholders)
    )
    changes = read_changes(
        config.parameter_store, {name: declaration for _, name, declaration in declared if name in stored}
    )
    # A fallback is never written, whoever made it.
    foreign = _foreign(config, [name for _, name, _ in declared if name in stored] if adopt else changes)
    return [
        replace(
            _decide_stored(
                declaration, stored[name], changes.get(name, []), foreign=name in foreign, adopt=adopt
            )
            if name in stored
            else _decide_new(own, declaration, name, stored),
            environment=own.resolver.placeholders["environment"],
        )
        for own, name, declaration in declared
    ]


def _foreign(config: Config, names: Iterable[str]) -> frozenset[str]:
    store = config.parameter_store
    return frozenset(name for name in names if not is_ours(store.read_tags(name), project_of(config, name)))


def _decide_stored(
    declaration: Declaration,
    stored: ParameterVersion,
    changes: Sequence[AttributeChange],
    *,
    foreign: bool,
    adopt: bool,
) -> PlannedParameter:
    name = stored.name
    possible = tuple(change for change in changes if change.argument is not None)
    differences = "; ".join(map(str, changes))
    if foreign and adopt:
        reason = "exists without our tags" + (f"; {differences}" if changes else "")
        return PlannedParameter("adopt", reason, declaration, name, changes=possible)
    if foreign:
        reason = f"exists without our tags, and differs ({differences}); --adopt brings it about"
        return PlannedParameter("keep", reason, declaration, name)
    if possible:
        return PlannedParameter("update", differences, declaration, name, changes=possible)
    reason = f"exists, version {stored.version}"
    if changes:
        reason += f", and differs ({differences}). {remedy_for(name, changes)}"
    return PlannedParameter("keep", reason, declaration, name)


def _decide_new(
    config: Config, declaration: Declaration, name: str, stored: Mapping[str, ParameterVersion]
) -> PlannedParameter:
    check_environment(config, declaration)
    fallbacks = declaration.fallback_names(config.resolver.placeholders)
    if (found := next((each for each in fallbacks if each in stored), None)) is not None:
        # A parameter with the default would hide it.
        return PlannedParameter("keep", f"its value is that of {found}", declaration, name)
    if (text := declaration.default_text) is not None:
        return PlannedParameter("create", "has a default", declaration, name, text=text)
    if declaration.schema.optional:
        return PlannedParameter("leave unset", "is optional", declaration, name)
    reason = "has no default" if declaration.default is None else "has an empty default"
    return PlannedParameter(
        "set by hand", reason, declaration, name, command=config.resolver.set_command(declaration)
    )


def apply_init(
    config: Config,
    plan: Sequence[PlannedParameter],
    on_progress: Callable[[PlannedParameter], None] = lambda _: None,
) -> InitOutcome:
    """Carry out a plan. It can be broken off at any point, and be made and carried out again.

    Each parameter is created with its tags in one call that never overwrites, so nothing is left half
    done, and a value that somebody set meanwhile stays.

    Raises:
        ConfigError: nothing more can be written; what was written stays. An error that concerns one
            parameter alone, such as a refusal, is in the outcome instead.
    """
    outcome = InitOutcome()
    for planned in plan:
        try:
            _carry_out(_config_for(config, planned), planned, outcome)
        except OF_ONE_PARAMETER as error:
            outcome.failed.append((planned.name, error))
        on_progress(planned)
    return outcome


def _config_for(config: Config, planned: PlannedParameter) -> Config:
    own = planned.environment
    return config if own is None else config.for_environment(own)


def _carry_out(config: Config, planned: PlannedParameter, outcome: InitOutcome) -> None:
    store: ParameterStore = config.parameter_store
    match planned.action:
        case "create":
            created = store.create(
                new_parameter(config, planned.declaration, planned.name, planned.text or "")
            )
            (outcome.created if created else outcome.kept).append(planned.name)
        case "adopt":
            store.tag(planned.name, tags_for(config, planned.declaration, planned.name))
            _update(store, planned)
            outcome.adopted.append(planned.name)
        case "update":
            _update(store, planned)
            outcome.updated.append(planned.name)
        case "keep":
            outcome.kept.append(planned.name)
        case "leave unset":
            outcome.left_unset.append(planned.name)
        case "set by hand":
            outcome.set_by_hand.append(planned)


def _update(store: ParameterStore, planned: PlannedParameter) -> None:
    """Write the value that is there once more, with other attributes: PutParameter has no other way.

    Raises:
        StoreRequestError: somebody wrote another value between the reading and the writing.
    """
    current = store.read([planned.name]).get(planned.name)
    if current is None or not planned.changes:
        return
    version = store.overwrite(current, current.text, arguments_of(planned.declaration, planned.changes))
    if version != current.version + 1:
        raise StoreRequestError(
            "ConcurrentChange",
            f"Somebody changed {planned.name} at the same moment; version {version - 1} has their value.",
            remedy=f"If theirs is right: ami-lifecycle config rollback {planned.path} --to {version - 1}.",
        )


def check_environment(config: Config, declaration: Declaration) -> None:
    """Refuse to create a parameter for an environment that `build_config.yml` does not have.

    Only where a directory has such a file with a mapping `environments`: elsewhere, nothing says which
    environments there are.

    Raises:
        PlaceholderError: the name of the parameter contains an environment that does not exist.
    """
    known = known_environments(config)
    environment = config.resolver.placeholders["environment"]
    if not known or environment is None or environment in known:
        return
    if "{environment}" in declaration.schema.ssm_param:
        raise PlaceholderError(
            f"{environment} is no environment of {config.resolver.documents.directory}/build_config.yml, "
            f"which has {', '.join(known)}; {declaration.path} would be created for nothing.",
            remedy="Correct --environment, or add the environment to build_config.yml.",
            location=declaration.location,
        )


def new_parameter(config: Config, declaration: Declaration, name: str, text: str) -> NewParameter:
    """The parameter that a declaration asks for, with its type, tier, pattern and tags."""
    plain = "StringList" if declaration.type == "list" else "String"
    return NewParameter(
        name=name,
        text=text,
        type="SecureString" if declaration.schema.sensitive else plain,
        description=declaration.schema.description,
        tags=tags_for(config, declaration, name),
        tier=declaration.schema.tier,
        allowed_pattern=declaration.schema.allowed_pattern,
        data_type=declaration.schema.data_type,
        key_id=declaration.schema.key_id,
    )
