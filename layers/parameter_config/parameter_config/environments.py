"""Which environments a command is for: the one that is named, else all that the files have."""

from __future__ import annotations

from collections.abc import Iterator

from parameter_config.declarations import Declaration
from parameter_config.documents import Node
from parameter_config.loader import Config


def known_environments(config: Config) -> tuple[str, ...]:
    """The environments of `build_config.yml`; empty where there is no such file with a mapping `environments`."""
    known = config.resolver.find(("build", "environments"))
    return tuple(known) if isinstance(known, dict) else ()


def each_environment(config: Config) -> list[Config]:
    """The configuration once for each environment that it is for.

    Where one is named, no declaration asks for one, or no file says which there are: the configuration as it is.
    """
    if config.resolver.placeholders["environment"] is not None or not any(
        map(differs_by_environment, config.declarations)
    ):
        return [config]
    return [config.for_environment(name) for name in known_environments(config)] or [config]


def declared_parameters(config: Config) -> Iterator[tuple[Config, str, Declaration]]:
    """Every parameter once, with the configuration of its environment and with its name.

    Raises:
        PlaceholderError: a name needs an environment or application that is neither named nor in the files.
        DuplicateParameterError: two declarations have one name.
    """
    seen: set[str] = set()
    for own in each_environment(config):
        for name, declaration in own.resolver.declared_names().items():
            if name not in seen:
                seen.add(name)
                yield own, name, declaration


def differs_by_environment(node: Node) -> bool:
    """Whether a value needs an environment to be looked up."""
    match node:
        case Declaration():
            return any("{environment}" in each for each in (node.schema.ssm_param, *node.schema.fallbacks))
        case dict():
            return any(map(differs_by_environment, node.values()))
        case list():
            return any(map(differs_by_environment, node))
        case _:
            return False
