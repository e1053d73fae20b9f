"""The comparison operators of event patterns, each refused where AWS refuses it.

Sources: EventBridge user guide, "Comparison operators"; and AWS's own matcher (aws/event-ruler: JsonRuleCompiler,
CIDR, ComparableNumber, Range), whose words the refusals carry.
"""

from __future__ import annotations

import ipaddress
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from aws_emulator.eventbridge.wildcards import Token, WildcardError, parse_wildcard, wildcard_expression

_ONE_KEY: Final = "Only one key allowed in match expression"
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_IPV4: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_IPV6: Final = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")
# Largest mask, exclusive.
_MASK_BITS: Final = {4: 32, 6: 128}


class PatternError(ValueError):
    """The pattern is not one that EventBridge accepts."""


@dataclass(frozen=True)
class Condition:
    """One element of a field's array in a pattern.

    Attributes:
        accepts: whether a value of the event satisfies it.
        absent: whether it is satisfied by an event without the field.
        wildcards: those in it, for the limit of their complexity.
    """

    accepts: Callable[[Any], bool]
    absent: bool = False
    wildcards: tuple[tuple[Token, ...], ...] = ()

    @classmethod
    def equal_to(cls, expected: Any) -> Condition:
        """A plain value."""
        return cls(lambda value: _equals(expected, value))


def parse_condition(members: list[tuple[str, Any]]) -> Condition:
    """The condition in an object with one comparison operator.

    Raises:
        PatternError: for what AWS refuses.
    """
    if not members:
        raise PatternError("Match expression name not found")
    name, argument = members[0]
    if name not in _OPERATORS:
        raise PatternError(f"Unrecognized match type {name}")
    condition = _OPERATORS[name](argument)
    if len(members) > 1:
        raise PatternError("Too many elements in numeric expression" if name == "numeric" else _ONE_KEY)
    return condition


def _text(argument: Any, what: str) -> str:
    if not isinstance(argument, str):
        raise PatternError(f"{what} match pattern must be a string")
    return argument


def _exactly(argument: Any) -> Condition:
    return Condition.equal_to(_text(argument, "exact"))


def _affix(kind: str) -> Callable[[Any], Condition]:
    test = {"prefix": str.startswith, "suffix": str.endswith}[kind]

    def parse(argument: Any) -> Condition:
        if _is_object(argument):
            expected = _ignoring_case_inside(kind, argument).lower()
            return Condition(lambda value: isinstance(value, str) and test(value.lower(), expected))
        text = _text(argument, kind)
        return Condition(lambda value: isinstance(value, str) and test(value, text))

    return parse


def _ignoring_case_inside(kind: str, members: list[tuple[str, Any]]) -> str:
    if not members:
        raise PatternError(f"{kind.capitalize()} expression name not found")
    name, argument = members[0]
    if name != "equals-ignore-case":
        raise PatternError(f"Unsupported {kind} pattern: {name}")
    text = _text(argument, "equals-ignore-case")
    if len(members) > 1:
        raise PatternError(_ONE_KEY)
    return text


def _equals_ignore_case(argument: Any) -> Condition:
    expected = _text(argument, "equals-ignore-case").lower()
    return Condition(lambda value: isinstance(value, str) and value.lower() == expected)


def _exists(argument: Any) -> Condition:
    if not isinstance(argument, bool):
        raise PatternError("exists match pattern must be either true or false.")
    return Condition(lambda _value: argument, absent=not argument)


def _wildcard(argument: Any) -> Condition:
    tokens = _wildcard_tokens(argument)
    expression = wildcard_expression(tokens)
    return Condition(
        lambda value: isinstance(value, str) and expression.fullmatch(value) is not None, wildcards=(tokens,)
    )


def _wildcard_tokens(argument: Any) -> tuple[Token, ...]:
    try:
        return parse_wildcard(_text(argument, "wildcard"))
    except WildcardError as error:
        raise PatternError(str(error)) from error


def _numeric(argument: Any) -> Condition:
    if not isinstance(argument, list) or _is_object(argument):
        raise PatternError("Value of numeric must be an array.")
    sign = argument[0] if argument else "]"
    if not isinstance(sign, str) or not argument:
        raise PatternError(f"Invalid member in numeric match: {sign}")
    if sign not in _COMPARISONS:
        raise PatternError(f"Unrecognized numeric range operator: {sign}")
    tests = [(_COMPARISONS[sign], _bound("equals" if sign == "=" else sign, argument[1:2]))]
    if len(argument) > 2:
        if sign not in {">", ">="}:
            raise PatternError("Too many elements in numeric expression")
        tests.append(_upper_bound(argument[2:]))
        if tests[0][1] >= tests[1][1]:
            raise PatternError("Bottom must be less than top")

    def accepts(value: Any) -> bool:
        number = _comparable(value)
        return number is not None and all(compare(number, bound) for compare, bound in tests)

    return Condition(accepts)


def _upper_bound(rest: list[Any]) -> tuple[Callable[[float, float], bool], float]:
    sign = rest[0]
    if not isinstance(sign, str):
        raise PatternError(f"Bad value in numeric range: {sign}")
    if sign not in {"<", "<="}:
        raise PatternError(f"Bad numeric range operator: {sign}")
    bound = _bound(sign, rest[1:2])
    if len(rest) > 2:
        raise PatternError("Too many terms in numeric range expression")
    return _COMPARISONS[sign], bound


def _bound(sign: str, following: list[Any]) -> float:
    if not following or not _is_number(following[0]):
        raise PatternError(f"Value of {sign} must be numeric")
    return _number(following[0])


def _number(value: Any) -> float:
    number = _comparable(value)
    if number is None:
        raise PatternError(f"Cannot compare number : {value}")
    return number


def _comparable(value: Any) -> float | None:
    """A number that a double holds exactly as it is written; None for all else."""
    if not _is_number(value):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number) or Decimal(repr(number)) != Decimal(str(value)):
        return None
    return number


def _anything_but(argument: Any) -> Condition:
    if _is_object(argument):
        return _anything_but_operator(argument)
    if not isinstance(argument, list):
        if not isinstance(argument, str) and not _is_number(argument):
            raise PatternError("Value of anything-but must be an array or single string/number value.")
        unwanted = [argument]
    else:
        unwanted = argument
    if not all(isinstance(each, str) or _is_number(each) for each in unwanted):
        raise PatternError("Inside anything but list, start|null|boolean is not supported.")
    if len({isinstance(each, str) for each in unwanted}) != 1:
        raise PatternError(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    if not isinstance(unwanted[0], str):
        unwanted = [_number(each) for each in unwanted]
    return Condition(lambda value: not any(_equals(each, value) for each in unwanted))


def _anything_but_operator(members: list[tuple[str, Any]]) -> Condition:
    if not members:
        raise PatternError("Anything-But expression name not found")
    name, argument = members[0]
    if name not in {"equals-ignore-case", "prefix", "suffix", "wildcard"}:
        raise PatternError(f"Unsupported anything-but pattern: {name}")
    scalar = isinstance(argument, str) or _is_number(argument)
    if _is_object(argument) or not (scalar or isinstance(argument, list)):
        raise PatternError("Value of anything-but must be an array or single string/number value.")
    texts = argument if isinstance(argument, list) else [argument]
    for text in texts:
        _check_unwanted(name, text)
    unwanted = [_OPERATORS[name](text) for text in texts]
    if len(members) > 1:
        raise PatternError("Too many elements in numeric expression")
    return Condition(
        lambda value: not any(each.accepts(value) for each in unwanted),
        wildcards=tuple(wildcard for each in unwanted for wildcard in each.wildcards),
    )


def _check_unwanted(name: str, text: Any) -> None:
    if not isinstance(text, str):
        if name == "equals-ignore-case":
            raise PatternError(
                "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
            )
        kind = "wildcard" if name == "wildcard" else "prefix/suffix"
        raise PatternError(f"{kind} match pattern must be a string")
    if name in {"prefix", "suffix"} and not text:
        raise PatternError("Null prefix/suffix not allowed")


def _cidr(argument: Any) -> Condition:
    # The word is AWS's own mistake.
    parts = _text(argument, "prefix").split("/")
    if len(parts) != 2:
        raise PatternError("Malformed CIDR, one '/' required")
    address, mask = parts
    if re.fullmatch(r"[+-]?\d+", mask, re.ASCII) is None:
        raise PatternError("Malformed CIDR, mask bits must be an integer")
    bits = int(mask)
    if bits < 0:
        raise PatternError("Malformed CIDR, mask bits must not be negative")
    known = _address(address)
    if known is None:
        raise PatternError(f"Nonstandard IP address: {address}")
    limit = _MASK_BITS[known.version]
    if bits >= limit:
        raise PatternError(f"IPv{known.version} mask bits must be < {limit}")
    network = ipaddress.ip_network(f"{known}/{bits}", strict=False)

    def accepts(value: Any) -> bool:
        found = _address(value) if isinstance(value, str) else None
        return found is not None and found in network

    return Condition(accepts)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not (_IPV4.fullmatch(text) or _IPV6.fullmatch(text)):
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_object(value: Any) -> bool:
    """Whether a parsed value is a JSON object, which is a list of its members here."""
    return isinstance(value, list) and type(value) is not list


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equals(one: Any, other: Any) -> bool:
    # JSON's true is not the number 1, which Python's is.
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


_OPERATORS: Final[dict[str, Callable[[Any], Condition]]] = {
    "exactly": _exactly,
    "prefix": _affix("prefix"),
    "suffix": _affix("suffix"),
    "anything-but": _anything_but,
    "exists": _exists,
    "numeric": _numeric,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "cidr": _cidr,
}
