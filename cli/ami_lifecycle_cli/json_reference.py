"""The reference of --json: its JSON Schema, and `docs/json.md`, both from the models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, RootModel

from ami_lifecycle_cli.json_documents import DOCUMENTS, WITHOUT, ErrorDocument, any_of
from ami_lifecycle_cli.stack.publication_wait import EXIT_CODES, Outcome


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of all documents; those of a command are in `$defs`, by the command's name."""
    definitions: dict[str, Any] = {}
    commands: dict[str, Any] = {}
    every: dict[str, tuple[type[BaseModel], ...]] = {**DOCUMENTS, "an error": (ErrorDocument,)}
    for command, models in every.items():
        schema = RootModel[any_of(models)].model_json_schema(  # type: ignore[misc]  # a union made at run time
            mode="serialization", ref_template="#/$defs/{model}"
        )
        definitions |= schema.pop("$defs", {})
        schema.pop("title", None)
        commands[command] = schema
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What commands of ami-lifecycle print with --json",
        "$defs": _open({**dict(sorted(definitions.items())), **commands}),
    }


def _open(schema: Any) -> Any:
    """A schema that lets a later version add fields; what is printed today is held against the models themselves."""
    if isinstance(schema, Mapping):
        return {
            key: _open(value)
            for key, value in schema.items()
            if key != "additionalProperties" or value is not False
        }
    return [_open(each) for each in schema] if isinstance(schema, list) else schema


def json_markdown() -> str:
    """The text of `docs/json.md`."""
    definitions = json_schema()["$defs"]
    documents = {command: [model.__name__ for model in models] for command, models in DOCUMENTS.items()}
    sections = [
        f"## `{command}`\n\n" + "\n\n".join(_described(name, definitions, is_document=True) for name in names)
        for command, names in documents.items()
    ]
    tops = [name for names in documents.values() for name in names] + [ErrorDocument.__name__]
    parts = [_described(name, definitions) for name in _parts(tops, definitions)]
    waits = "\n".join(
        f"| {EXIT_CODES[each]} | `wait`: {each.value} |" for each in Outcome if EXIT_CODES[each]
    )
    without = "\n".join(f"- `{command}` {why}." for command, why in WITHOUT.items())
    return _INTRODUCTION.replace("WAITS", waits).replace("WITHOUT", without) + "\n".join(
        [*(f"{each}\n" for each in sections), "## Parts\n", *(f"{each}\n" for each in parts)]
    )


def _parts(documents: Sequence[str], definitions: Mapping[str, Any]) -> list[str]:
    """The objects that documents hold, and those that these hold, in the order in which they are named first."""
    found = list(dict.fromkeys(documents))
    for name in found:
        fields = definitions[name]["properties"].values()
        held = (each for field in fields for each in _references(field))
        found.extend(
            dict.fromkeys(each for each in held if each not in found and not _is_choice(definitions[each]))
        )
    return [name for name in found if name not in documents]


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield _name_of(schema)
        for each in schema.values():
            yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def _name_of(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _is_choice(definition: Mapping[str, Any]) -> bool:
    """Whether it is one of several words, which are written where it is used."""
    return "properties" not in definition


def _described(name: str, definitions: Mapping[str, Any], *, is_document: bool = False) -> str:
    """A model's name, what it is, and its fields."""
    definition = definitions[name]
    text = " ".join(str(definition.get("description", "")).split())
    fields = [
        f"`{field}` {_form(value, definitions)}"
        for field, value in definition["properties"].items()
        if field != "schema_version" or not is_document
    ]
    return f"**{name}**: {text}\n\nFields: {'; '.join(fields)}."


def _form(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The type of a field in words."""
    for key, joint in (("anyOf", " or "), ("allOf", " and ")):
        if key in schema:
            return joint.join(_form(each, definitions) for each in schema[key])
    if "$ref" in schema:
        name = _name_of(schema)
        return _form(definitions[name], definitions) if _is_choice(definitions[name]) else name
    if chosen := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return ", ".join(f"`{json.dumps(each)}`" for each in chosen)
    return _form_of_kind(schema, definitions)


def _form_of_kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    kind = str(schema.get("type"))
    if kind == "array":
        return f"list of {_form(schema.get('items', {}), definitions)}"
    if kind == "object" and isinstance(values := schema.get("additionalProperties"), Mapping):
        return f"mapping to {_form(values, definitions)}"
    is_date = schema.get("format") == "date-time" or str(schema.get("pattern", "")).endswith("Z$")
    return "date" if is_date else _WORDS.get(kind, "any value")


_WORDS: Final = {
    "boolean": "boolean",
    "integer": "integer",
    "null": "null",
    "number": "number",
    "object": "mapping",
    "string": "text",
}

_INTRODUCTION: Final = """# JSON and exit codes

<!-- Generated by scripts/generate.py from the models. Do not edit. -->

With `--json` a command prints one JSON document to standard output, and nothing else there; notes for people go to
standard error. The schema is [json.schema.json](json.schema.json). What holds for all documents:

- Each is an object with `schema_version`, now 1. A new version only adds fields; a field that changes its meaning gets
  a new name. Ignore what you do not know.
- Dates are RFC 3339, in UTC, with seconds: `2026-01-02T03:04:05Z`. Durations are numbers of seconds, sizes of bytes.
- Texts of yours, such as values, lines of logs and labels, are printed as they are.
- Numbers are numbers, and a list is a list however many are in it: `status` and `status prod` have the same shape.
- What is not known is null.
- An error is one line, the last one of standard error, also for wrong use:
  `{"schema_version": 1, "error": {"code": "StackNotFoundError", "message": "...", "hint": "...", "exit_code": 1}}`.
  `code` is the name of the error ([runbook.md](runbook.md)); `hint` is what to do next, or null.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done; `status` and `doctor` also where there are warnings; `stop` also where nothing runs |
| 1 | it failed or was refused; the execution that was followed failed; a question was answered with no |
| 1 | `doctor`, `config validate`: an error was found; `config diff --exit-code`: something differs |
| 2 | wrong use |
WAITS
| 124 | `stop`: not cleaned up in time |
| 126 | `config exec`: the command cannot be run |
| 127 | `config exec`: there is no such command |
| 130 | interrupted; what was started goes on |

## Commands without a document

WITHOUT

"""
