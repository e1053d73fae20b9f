"""Event patterns, as the EventBridge User Guide describes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aws_emulator.eventbridge.patterns import PatternError, matches, parse_pattern

EVENT: dict[str, Any] = {
    "source": "aws.ecr",
    "detail": {
        "tag": "prod-latest",
        "size": 5,
        "ok": True,
        "nothing": None,
        "list": ["a", "b"],
        "rows": [{"id": 1}, {"id": 2}],
        "ip": "10.1.2.3",
    },
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"tag": ["prod-latest"]}, True),
        ({"tag": ["x", "prod-latest"]}, True),
        ({"tag": ["Prod-Latest"]}, False),
        ({"tag": [{"prefix": "prod"}]}, True),
        ({"tag": [{"prefix": {"equals-ignore-case": "PROD"}}]}, True),
        ({"tag": [{"suffix": "-latest"}]}, True),
        ({"tag": [{"equals-ignore-case": "PROD-LATEST"}]}, True),
        ({"tag": [{"wildcard": "p*-l*t"}]}, True),
        ({"tag": [{"wildcard": "p*-l"}]}, False),
        ({"tag": [{"anything-but": "prod-latest"}]}, False),
        ({"tag": [{"anything-but": ["a", "b"]}]}, True),
        ({"tag": [{"anything-but": {"prefix": "dev"}}]}, True),
        ({"tag": [{"anything-but": {"suffix": ["-x", "-latest"]}}]}, False),
        ({"tag": [{"exists": True}]}, True),
        ({"missing": [{"exists": False}]}, True),
        ({"missing": [{"exists": True}]}, False),
        ({"missing": [{"anything-but": "a"}]}, False),
        ({"missing": {"deep": [{"exists": False}]}}, True),
        ({"size": [{"numeric": [">", 3, "<=", 5]}]}, True),
        ({"size": [{"numeric": ["=", 4]}]}, False),
        ({"size": [5.0]}, True),
        ({"ok": [True]}, True),
        ({"ok": [1]}, False),
        ({"ok": [1.0]}, False),
        ({"ok": ["true"]}, False),
        ({"rows": {"id": [True]}}, False),
        ({"size": [True]}, False),
        ({"ok": [{"numeric": ["=", 1]}]}, False),
        ({"ok": [{"anything-but": 1}]}, True),
        ({"nothing": [None]}, True),
        ({"list": ["b"]}, True),
        ({"list": ["c"]}, False),
        ({"rows": {"id": [2]}}, True),
        ({"ip": [{"cidr": "10.0.0.0/8"}]}, True),
        ({"$or": [{"tag": ["x"]}, {"size": [5]}]}, True),
        ({"$or": [{"tag": ["x"]}, {"size": [6]}]}, False),
        ({"tag": ["prod-latest"], "size": [6]}, False),
    ],
)
def test_content_filters(condition: dict[str, Any], expected: bool) -> None:
    assert matches(parse_pattern(json.dumps({"detail": condition})), EVENT) is expected


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "{}",
        '{"a": "b"}',
        '{"a": []}',
        '{"a": [{"unknown": 1}]}',
        '{"a": [{"prefix": 1}]}',
        '{"a": [{"prefix": "a", "suffix": "b"}]}',
        '{"a": [{"numeric": ["~", 1]}]}',
        '{"a": [{"anything-but": {"unknown": 1}}]}',
        '{"$or": [{"a": ["b"]}]}',
        json.dumps({"a": ["x" * 5000]}),
    ],
)
def test_patterns_that_eventbridge_refuses(text: str) -> None:
    with pytest.raises(PatternError):
        parse_pattern(text)
