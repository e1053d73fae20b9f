"""Event patterns, as the EventBridge user guide describes them and AWS's own matcher (aws/event-ruler) reads them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from aws_emulator.eventbridge.patterns import PatternError, parse_pattern

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
        "state": {"status": "ok"},
        "dotted.name": {"deep": 1},
        "star": "a*b",
        "empty": [],
        "pairs": [{"x": 1, "y": 1}, {"x": 2, "y": 2}],
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
        ({"state.status": ["ok"]}, True),
        ({"dotted": {"name": {"deep": [1]}}}, True),
        ({"tag": [{"exactly": "prod-latest"}]}, True),
        ({"tag": [{"anything-but": {"wildcard": "p*"}}]}, False),
        ({"nothing": [{"anything-but": "a"}]}, True),
        ({"size": [{"anything-but": {"prefix": "5"}}]}, True),
        ({"state": [{"exists": True}]}, False),
        ({"empty": [{"exists": True}]}, False),
        ({"empty": [{"exists": False}]}, True),
        ({"pairs": {"x": [1], "y": [1]}}, True),
        ({"pairs": {"x": [1], "y": [2]}}, False),
        ({"star": [{"wildcard": r"a\*b"}]}, True),
        ({"tag": [{"wildcard": r"p\*"}]}, False),
        ({"ip": [{"cidr": "10.1.2.4/31"}]}, False),
        ({"ip": [{"cidr": "2001:db8::/32"}]}, False),
        ({"$or": [{"tag": ["x"]}, {"state": {"$or": [{"status": ["ok"]}, {"other": ["x"]}]}}]}, True),
    ],
)
def test_content_filters(condition: dict[str, Any], expected: bool) -> None:
    assert parse_pattern(json.dumps({"detail": condition})).matches(EVENT) is expected


def test_a_member_given_twice_counts_both_times() -> None:
    """EventBridge user guide, "Complex example with multiple matching"."""
    pattern = parse_pattern('{"detail": {"tag": ["prod-latest"]}, "detail": {"size": [6]}}')
    assert not pattern.matches(EVENT)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("nonsense", "not valid JSON"),
        ("[]", "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ({"a": {}}, "Empty objects are not allowed"),
        ({"a": "b"}, '"a" must be an object or an array'),
        ({"a": []}, "Empty arrays are not allowed"),
        ({"a": [["b"]]}, "Match value must be String, number, true, false, or null"),
        ({"a": [{}]}, "Match expression name not found"),
        ({"a": [{"unknown": 1}]}, "Unrecognized match type unknown"),
        ({"a": [{"EXISTS": True}]}, "Unrecognized match type EXISTS"),
        ({"a": [{"exists": "true"}]}, "exists match pattern must be either true or false."),
        ({"a": [{"exactly": 1}]}, "exact match pattern must be a string"),
        ({"a": [{"prefix": 1}]}, "prefix match pattern must be a string"),
        ({"a": [{"suffix": ["b"]}]}, "suffix match pattern must be a string"),
        ({"a": [{"prefix": {"suffix": "b"}}]}, "Unsupported prefix pattern: suffix"),
        ({"a": [{"prefix": {"equals-ignore-case": 1}}]}, "equals-ignore-case match pattern must be a string"),
        ({"a": [{"prefix": "a", "suffix": "b"}]}, "Only one key allowed in match expression"),
        ({"a": [{"equals-ignore-case": ["b"]}]}, "equals-ignore-case match pattern must be a string"),
        ({"a": [{"wildcard": 1}]}, "wildcard match pattern must be a string"),
        ({"a": [{"wildcard": "a**b"}]}, "Consecutive wildcard characters at pos 2"),
        ({"a": [{"wildcard": r"a\b"}]}, "Invalid escape character at pos 2"),
        ({"a": [{"wildcard": "*:*:*:*:*:event-bus/*"}]}, "Rule is too complex"),
        ({"a": [{"wildcard": "*a" * 8}]}, "Rule is too complex"),
        ({"a": [{"anything-but": {"wildcard": "*a" * 10}}]}, "Rule is too complex"),
        ({"a": [{"wildcard": f"{number}*"} for number in range(11)]}, "Rule is too complex"),
        ({"a": [{"numeric": 1}]}, "Value of numeric must be an array."),
        ({"a": [{"numeric": []}]}, "Invalid member in numeric match: ]"),
        ({"a": [{"numeric": [1, ">"]}]}, "Invalid member in numeric match: 1"),
        ({"a": [{"numeric": ["~", 1]}]}, "Unrecognized numeric range operator: ~"),
        ({"a": [{"numeric": ["<", "1"]}]}, "Value of < must be numeric"),
        ({"a": [{"numeric": ["="]}]}, "Value of equals must be numeric"),
        ({"a": [{"numeric": ["=", 1, "<", 2]}]}, "Too many elements in numeric expression"),
        ({"a": [{"numeric": [">", 0, ">", 0]}]}, "Bad numeric range operator: >"),
        ({"a": [{"numeric": [">", 0, 1, 2]}]}, "Bad value in numeric range: 1"),
        ({"a": [{"numeric": [">", 0, "<", 1, "<"]}]}, "Too many terms in numeric range expression"),
        ({"a": [{"numeric": [">", 2, "<", 1]}]}, "Bottom must be less than top"),
        ({"a": [{"numeric": ["=", 12345678901234567890]}]}, "Cannot compare number"),
        ({"a": [{"anything-but": None}]}, "must be an array or single string/number value."),
        ({"a": [{"anything-but": [None]}]}, "Inside anything but list, start|null|boolean is not supported."),
        ({"a": [{"anything-but": ["b", 1]}]}, "mixed type is not supported"),
        ({"a": [{"anything-but": []}]}, "mixed type is not supported"),
        ({"a": [{"anything-but": {"unknown": 1}}]}, "Unsupported anything-but pattern: unknown"),
        ({"a": [{"anything-but": {"prefix": ""}}]}, "Null prefix/suffix not allowed"),
        ({"a": [{"anything-but": {"suffix": [1]}}]}, "prefix/suffix match pattern must be a string"),
        ({"a": [{"anything-but": {"prefix": {"equals-ignore-case": "b"}}}]}, "must be an array or single"),
        ({"a": [{"anything-but": {"equals-ignore-case": 1}}]}, "number|start|null|boolean is not supported."),
        ({"a": [{"anything-but": {"wildcard": [1]}}]}, "wildcard match pattern must be a string"),
        ({"a": [{"cidr": 1}]}, "prefix match pattern must be a string"),
        ({"a": [{"cidr": "10.0.0.0"}]}, "Malformed CIDR, one '/' required"),
        ({"a": [{"cidr": "10.0.0.0/x"}]}, "Malformed CIDR, mask bits must be an integer"),
        ({"a": [{"cidr": "10.0.0.0/-1"}]}, "Malformed CIDR, mask bits must not be negative"),
        ({"a": [{"cidr": "10.0.0.0/32"}]}, "IPv4 mask bits must be < 32"),
        ({"a": [{"cidr": "xx.11.xx/8"}]}, "Nonstandard IP address: xx.11.xx"),
        ({"$or": {"a": ["b"]}}, "It must be an Array followed with $or."),
        ({"$or": ["a", "b"]}, "Only JSON object is allowed in array of $or relationship."),
        ({"$or": [{"a": ["b"]}]}, "There must have at least 2 Objects in $or relationship."),
        ({"$or": [{"a": ["b"]}, {"prefix": ["b"]}]}, "prefix is Ruler reserved fieldName"),
        ({f"k{n}": {"$or": [{"a": ["b"]}, {"c": ["d"]}]} for n in range(11)}, "more than 1000 combinations"),
        ({"a": ["x" * 5000]}, "longer than 4096"),
    ],
)
def test_patterns_that_eventbridge_refuses(pattern: Any, reason: str) -> None:
    """aws/event-ruler, JsonRuleCompiler; the limit of complexity is recorded in radkawar/stackd, pattern_admission."""
    with pytest.raises(PatternError, match=re.escape(reason)):
        parse_pattern(pattern if isinstance(pattern, str) else json.dumps(pattern))


@pytest.mark.parametrize("wildcard", ["*a*a*a*a*a", "/Users/*/dir/dir/dir/dir/dir/doc.txt", "p*-l*t"])
def test_wildcards_that_eventbridge_takes(wildcard: str) -> None:
    parse_pattern(json.dumps({"a": [{"wildcard": wildcard}]}))
