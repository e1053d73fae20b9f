"""Holding what commands print against the contract."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from ami_lifecycle_cli.json_documents import DOCUMENTS, any_of

# The metadata schema that consumers were given.
METADATA_KEYS: Final = frozenset(
    {
        "ami_id",
        "docker_image",
        "environment",
        "creation_date",
        "branch",
        "commit_sha",
        "region",
        "workflow_run_id",
        "workflow_run_number",
    }
)
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def check_document(command: str, document: Any) -> None:
    """Hold an answer against the models of its command.

    Raises:
        ValueError: it fits none of them, or has a date in another form.
    """
    adapter = TypeAdapter[Any](any_of(DOCUMENTS[command]))
    model = adapter.validate_json(json.dumps(document), strict=True)
    for text in _dates(model, document):
        if not _MOMENT.fullmatch(text):
            raise ValueError(f"{text} is a date in another form than RFC 3339 in UTC with seconds")


def _dates(model: Any, document: Any) -> Iterator[str]:
    """What the models take for dates; a text that only looks like one is somebody's own."""
    if isinstance(model, datetime):
        yield document
    elif isinstance(model, BaseModel) and isinstance(document, str):
        # A model that is written as one word, such as `base`.
        return
    elif isinstance(model, BaseModel):
        for name in model.model_fields_set:
            named = type(model).model_fields[name].alias or name
            yield from _dates(getattr(model, name), document[named])
    elif isinstance(model, Mapping):
        for key, each in model.items():
            yield from _dates(each, document[key])
    elif isinstance(model, list | tuple):
        for each, text in zip(model, document, strict=True):
            yield from _dates(each, text)
