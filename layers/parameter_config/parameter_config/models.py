"""Fits values into a pydantic model: checked together, with types that an editor knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from parameter_config.declarations import Declaration
from parameter_config.documents import Node
from parameter_config.errors import ConfigError, InvalidDeclarationError, Location, ModelMismatchError
from parameter_config.resolution import NOWHERE, Nowhere, Resolver
from parameter_config.sensitive import Sensitive

Model = TypeVar("Model")


def bind(resolver: Resolver, path: Sequence[str], model: type[Model]) -> Model:
    """The values of a mapping as a model.

    A declared value that is not set is left out, so that the model's own default holds.

    Args:
        path: keys of the mapping.
        model: a pydantic model; or a dataclass or TypedDict, which pydantic checks as well.

    Raises:
        MissingValueError: a declared value that the model needs is not set; the message has the command.
        ModelMismatchError: a value does not fit, or is not there; the message names all, with file and line.
        InvalidDeclarationError: the model would show a sensitive value.
        ConfigError: see `Section.get`.
    """
    values = _values(resolver, resolver.find(path))
    adapter = TypeAdapter(model)
    try:
        bound = adapter.validate_python(values)
    except ValidationError as error:
        raise _mismatch(resolver, path, model, error) from None
    # Keys are names of fields or their aliases.
    dumps = [adapter.dump_python(bound, by_alias=by_alias, warnings=False) for by_alias in (False, True)]
    for keys, secret in _secrets(values, ()):
        if _is_shown(str.__str__(secret), keys, dumps):
            raise InvalidDeclarationError(
                f"{model.__name__} would show {'.'.join((*path, *keys))}, which is sensitive.",
                remedy="Make the field a pydantic.SecretStr.",
            )
    return bound


def _values(resolver: Resolver, node: Node | Nowhere) -> Any:
    if not isinstance(node, dict):
        return None if isinstance(node, Nowhere) else resolver.resolve(node)
    resolved = {key: (below, _values(resolver, below)) for key, below in node.items()}
    return {
        key: value
        for key, (below, value) in resolved.items()
        if value is not None or not isinstance(below, Declaration)
    }


def _mismatch(
    resolver: Resolver, path: Sequence[str], model: type[Any], error: ValidationError
) -> ConfigError:
    problems: list[str] = []
    location: Location | None = None
    for each in error.errors(include_url=False, include_input=False):
        keys = (*path, *map(str, each["loc"]))
        node = resolver.find(keys)
        if each["type"] == "missing" and isinstance(node, Declaration):
            return resolver.missing(".".join(keys))
        place = resolver.documents.place(keys)
        location = location or (place.location if place else None)
        where = f" ({place.location})" if place else ""
        problems.append(f"{'.'.join(keys)}{where}: {each['msg'][:1].lower()}{each['msg'][1:]}")
    return ModelMismatchError(
        f"The values do not fit {model.__name__}: {'; '.join(problems)}.",
        remedy="Correct the files, the stored values, or the model.",
        location=location,
    )


def _is_shown(text: str, keys: Sequence[str], dumps: Sequence[Any]) -> bool:
    """Whether the text can be seen where it belongs, or, where the model has put it elsewhere, anywhere.

    Another field may have the same text by chance.
    """
    for dump in dumps:
        value = dump
        for key in keys:
            value = value.get(key, NOWHERE) if isinstance(value, Mapping) else NOWHERE
        if not isinstance(value, Nowhere):
            return text in _plain_texts(value)
    return any(text in _plain_texts(dump) for dump in dumps)


def _plain_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield str.__str__(value)
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _plain_texts(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _plain_texts(each)


def _secrets(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Sensitive]]:
    if isinstance(value, Sensitive):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _secrets(each, (*path, str(key)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _secrets(each, (*path, str(index)))
