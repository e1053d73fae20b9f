"""Holding what commands print against the contract."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from ami_lifecycle_cli.json_documents import DOCUMENTS, any_of

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def check_document(command: str, document: Any) -> None:
    """Hold an answer against the models of its command.

    Raises:
        ValueError: it fits none of them, or has a date in another form.
    """
    TypeAdapter(any_of(DOCUMENTS[command])).validate_python(document)
    for text in _texts(document):
        if _DATE.fullmatch(text) and not _MOMENT.fullmatch(text):
            raise ValueError(f"{text} is a date in another form than RFC 3339 in UTC with seconds")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
