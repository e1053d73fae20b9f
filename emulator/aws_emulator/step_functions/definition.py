"""Reading and checking a state machine's definition when it is created."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_emulator.api.strict_json import strict_json
from aws_emulator.step_functions.choices import check_rule
from aws_emulator.step_functions.errors import DefinitionError, SchemaError
from aws_emulator.step_functions.intrinsics import check_template
from aws_emulator.step_functions.paths import parse_path, parse_reference_path
from aws_emulator.step_functions.timestamps import parse_timestamp

State = Mapping[str, Any]
States = Mapping[str, State]

LAMBDA_INVOKE: Final = "arn:aws:states:::lambda:invoke"
LAMBDA_CALLBACK: Final = LAMBDA_INVOKE + ".waitForTaskToken"
_FUNCTION_ARN: Final = re.compile(r"arn:aws:lambda:[\w-]+:\d{12}:function:[\w-]+(?::[\w$-]+)?")
_INVOKE_PARAMETERS: Final = {
    "FunctionName",
    "Payload",
    "InvocationType",
}
# What Lambda's integration, or the language, has as well and the emulator has not.
_INVOKE_UNSUPPORTED: Final = frozenset({"Qualifier", "ClientContext", "LogType"})
_UNSUPPORTED: Final = frozenset(
    {"Assign", "Output", "Arguments", "Items", "Credentials", "ItemProcessor", "Condition"}
)

_COMMON: Final = {"Type", "Comment", "QueryLanguage"}
_FLOW: Final = {"Next", "End"}
_PATHS: Final = {"InputPath", "OutputPath"}
_RESULT: Final = {"Parameters", "ResultSelector", "ResultPath", "Retry", "Catch"}
_FIELDS: Final[dict[str, set[str]]] = {
    "Task": _COMMON
    | _FLOW
    | _PATHS
    | _RESULT
    | {"Resource", "TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath"},
    "Parallel": _COMMON | _FLOW | _PATHS | _RESULT | {"Branches"},
    "Pass": _COMMON | _FLOW | _PATHS | {"Result", "ResultPath", "Parameters"},
    "Wait": _COMMON | _FLOW | _PATHS | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Choice": _COMMON | _PATHS | {"Choices", "Default"},
    "Succeed": _COMMON | _PATHS,
    "Fail": _COMMON | {"Error", "ErrorPath", "Cause", "CausePath"},
}
_PATH_FIELDS: Final = (
    "InputPath",
    "OutputPath",
    "TimeoutSecondsPath",
    "HeartbeatSecondsPath",
    "SecondsPath",
    "TimestampPath",
)
_MACHINE_FIELDS: Final = {"Comment", "StartAt", "States", "Version", "TimeoutSeconds", "QueryLanguage"}
_RETRY_FIELDS: Final = {
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
    "Comment",
}


def parse_definition(text: str) -> dict[str, Any]:
    """Parse and check a definition; raises DefinitionError with the place of the first fault."""
    try:
        definition = strict_json(text)
    except ValueError as error:
        raise DefinitionError(f"INVALID_JSON_DESCRIPTION: {error}") from error
    if not isinstance(definition, dict):
        raise DefinitionError("INVALID_JSON_DESCRIPTION: the definition must be a JSON object")
    try:
        _check_fields("the state machine", definition, _MACHINE_FIELDS)
        _check_seconds("the state machine", definition.get("TimeoutSeconds", 1), 1)
        _check_states("the state machine", definition)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DefinitionError(f"SCHEMA_VALIDATION_FAILED: {error!r}") from error
    return definition


def _check_states(place: str, machine: Mapping[str, Any]) -> None:
    states = machine.get("States")
    if not isinstance(states, dict) or not states:
        raise DefinitionError(f"SCHEMA_VALIDATION_FAILED: {place} has no States")
    if machine.get("StartAt") not in states:
        raise DefinitionError(f"MISSING_TRANSITION_TARGET: StartAt of {place} names no state")
    if machine.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise DefinitionError("the emulator runs JSONPath state machines only")
    for name, state in states.items():
        if not 1 <= len(name) <= 80:
            raise DefinitionError(
                f"SCHEMA_VALIDATION_FAILED: the state name '{name}' is not 1 to 80 characters long"
            )
        try:
            _check_state(name, state, states)
        except SchemaError as error:
            raise error.below(f"/States/{name}") from error
        except (DefinitionError, KeyError, TypeError, AttributeError) as error:
            raise DefinitionError(f"SCHEMA_VALIDATION_FAILED: state '{name}': {error}") from error
    _check_reachable(place, machine["StartAt"], states)


def _check_state(name: str, state: State, states: States) -> None:
    kind = state["Type"]
    if kind not in _FIELDS:
        raise DefinitionError(f"the emulator has no states of type '{kind}'")
    _check_fields(f"'{name}'", state, _FIELDS[kind])
    if state.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise DefinitionError("the emulator runs JSONPath states only")
    if "Next" in _FIELDS[kind] and (("Next" in state) == (state.get("End") is True)):
        raise DefinitionError("either Next or End: true is needed")
    for target in successors(state):
        if target not in states:
            raise DefinitionError(f"MISSING_TRANSITION_TARGET: there is no state '{target}'")
    for field in _PATH_FIELDS:
        if state.get(field) is not None:
            parse_path(state[field])
    if state.get("ResultPath") is not None:
        parse_reference_path(state["ResultPath"])
    check_template(state.get("Parameters", {}))
    check_template(state.get("ResultSelector", {}))
    _check_handlers(state)
    if kind in _CHECKS:
        _CHECKS[kind](state)


def successors(state: State) -> list[str]:
    """The names of the states that may follow a state."""
    targets = [state["Next"]] if "Next" in state else []
    targets += [rule["Next"] for rule in state.get("Choices", [])]
    targets += [state["Default"]] if "Default" in state else []
    return targets + [catcher["Next"] for catcher in state.get("Catch", [])]


def _check_handlers(state: State) -> None:
    for retrier in state.get("Retry", []):
        _check_fields("a Retrier", retrier, _RETRY_FIELDS)
        _check_seconds("IntervalSeconds", retrier.get("IntervalSeconds", 1), 1)
        _check_seconds("MaxDelaySeconds", retrier.get("MaxDelaySeconds", 31_622_400), 1, 31_622_400)
        _check_seconds("MaxAttempts", retrier.get("MaxAttempts", 3), 0)
        if retrier.get("BackoffRate", 2.0) < 1:
            raise DefinitionError("BackoffRate must be at least 1.0")
        if retrier.get("JitterStrategy", "NONE") not in {"NONE", "FULL"}:
            raise DefinitionError("JitterStrategy must be NONE or FULL")
    for catcher in state.get("Catch", []):
        _check_fields("a Catcher", catcher, {"ErrorEquals", "Next", "ResultPath", "Comment"})
        if catcher.get("ResultPath") is not None:
            parse_reference_path(catcher["ResultPath"])
    for field in ("Retry", "Catch"):
        _check_error_names([handler["ErrorEquals"] for handler in state.get(field, [])])


def _check_error_names(lists: list[list[str]]) -> None:
    for position, names in enumerate(lists):
        if not names:
            raise DefinitionError("ErrorEquals must not be empty")
        if "States.ALL" in names and (len(names) > 1 or position < len(lists) - 1):
            raise DefinitionError("States.ALL must be alone and last")


def _check_task(state: State) -> None:
    resource = state["Resource"]
    if resource not in {LAMBDA_INVOKE, LAMBDA_CALLBACK} and not _FUNCTION_ARN.fullmatch(resource):
        raise DefinitionError(f"the emulator has no integration for the resource '{resource}'")
    for field in ("TimeoutSeconds", "HeartbeatSeconds"):
        _check_seconds(field, state.get(field, 1), 1)
        if field in state and field + "Path" in state:
            raise DefinitionError(f"{field} and {field}Path exclude each other")
    if resource in {LAMBDA_INVOKE, LAMBDA_CALLBACK}:
        parameters = state.get("Parameters", {})
        names = {key.removesuffix(".$"): None for key in parameters}
        if unsupported := sorted(_INVOKE_UNSUPPORTED & set(names)):
            raise DefinitionError(f"the emulator does not hand {', '.join(unsupported)} on to Lambda")
        _check_fields("Parameters", names, _INVOKE_PARAMETERS)
        if not {"FunctionName", "FunctionName.$"} & set(parameters):
            raise DefinitionError("Parameters need FunctionName")
    if resource == LAMBDA_CALLBACK and "$$.Task.Token" not in json.dumps(state["Parameters"]):
        raise DefinitionError("a .waitForTaskToken task must pass $$.Task.Token")


def _check_choice(state: State) -> None:
    if not state["Choices"]:
        raise DefinitionError("Choices must not be empty")
    for rule in state["Choices"]:
        check_rule(rule)


def _check_wait(state: State) -> None:
    if len({"Seconds", "SecondsPath", "Timestamp", "TimestampPath"} & set(state)) != 1:
        raise DefinitionError("one of Seconds, SecondsPath, Timestamp, TimestampPath is needed")
    if "Seconds" in state:
        _check_seconds("Seconds", state["Seconds"], 0)
    if "Timestamp" in state and parse_timestamp(state["Timestamp"]) is None:
        raise SchemaError("String does not match RFC3339 timestamp", "/Timestamp")


def _check_parallel(state: State) -> None:
    if not state["Branches"]:
        raise DefinitionError("Branches must not be empty")
    for number, branch in enumerate(state["Branches"]):
        _check_fields("a branch", branch, {"Comment", "StartAt", "States", "QueryLanguage"})
        try:
            _check_states("a branch", branch)
        except SchemaError as error:
            raise error.below(f"/Branches[{number}]") from error


def _check_fail(state: State) -> None:
    for field in ("Error", "Cause"):
        if field in state and field + "Path" in state:
            raise DefinitionError(f"{field} and {field}Path exclude each other")
        if not isinstance(state.get(field, ""), str):
            raise DefinitionError(f"{field} must be a text, not {state[field]!r}")
        if field + "Path" in state:
            check_template({"value.$": state[field + "Path"]})


_CHECKS: Final = {
    "Task": _check_task,
    "Choice": _check_choice,
    "Wait": _check_wait,
    "Parallel": _check_parallel,
    "Fail": _check_fail,
}


def _check_reachable(place: str, start: str, states: States) -> None:
    seen, todo = set[str](), [start]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += successors(states[name])
    if unreachable := set(states) - seen:
        raise DefinitionError(f"SCHEMA_VALIDATION_FAILED: no state of {place} leads to {sorted(unreachable)}")


def _check_fields(place: str, value: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = set(value) - set(known)
    if unsupported := sorted(unknown & _UNSUPPORTED):
        raise DefinitionError(f"the emulator does not run {', '.join(unsupported)} (in {place})")
    if unknown:
        raise DefinitionError(f"SCHEMA_VALIDATION_FAILED: {place} has unknown fields {sorted(unknown)}")


def _check_seconds(field: str, value: Any, least: int, most: int = 99_999_999) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise DefinitionError(f"{field} must be a whole number from {least} to {most}, not {value!r}")
