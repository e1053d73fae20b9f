"""EventBridge: the default event bus, its rules, and what their targets receive.

Events of AWS's own sources come from the emulated services, or from tests through `POST /_emulator/events`: PutEvents
refuses them.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import Item, page
from aws_emulator.api.strict_json import strict_json
from aws_emulator.clock import Clock
from aws_emulator.eventbridge.bus import Event, EventBus
from aws_emulator.eventbridge.delivery import Delivery, TargetInvocation, retry_policy
from aws_emulator.eventbridge.patterns import Pattern, PatternError, parse_pattern
from aws_emulator.eventbridge.recurrence import ExpressionError, Once, Ticker, parse_recurrence
from aws_emulator.eventbridge.target_inputs import (
    InputError,
    Origin,
    check_target_input,
    is_json,
    target_input,
)
from aws_emulator.gateway.identities import Identities

LOGGER: Final = logging.getLogger(__name__)
_TARGETS_PER_RULE: Final = 5
_REQUEST_BYTES: Final = 1_048_576
_TIME_BYTES: Final = 14
_PRINCIPAL: Final = "events.amazonaws.com"
_TARGET_MEMBERS: Final = (
    "Id",
    "Arn",
    "RoleArn",
    "Input",
    "InputPath",
    "InputTransformer",
    "RetryPolicy",
    "DeadLetterConfig",
    "SqsParameters",
)
# EventBridge API reference, TestEventPattern: the mandatory fields of an event.
_REQUIRED_OF_EVENT: Final = ("id", "account", "source", "time", "region", "detail-type")
_MOST_LISTED: Final = 100


@dataclass
class Rule:
    """A rule of the default bus."""

    name: str
    arn: str
    pattern: Pattern | None
    schedule: str | None
    state: str = "ENABLED"
    description: str = ""
    role_arn: str | None = None
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    ticker: Ticker | None = None


class Rules:
    """Rules of the default event bus; listens to the bus and delivers to targets."""

    def __init__(
        self,
        clock: Clock,
        bus: EventBus,
        account_id: str,
        region: str,
        *,
        delivery: Delivery,
        identities: Identities,
    ) -> None:
        self._clock = clock
        self._bus = bus
        self._account_id = account_id
        self._region = region
        self._delivery = delivery
        self._identities = identities
        self._rules: dict[str, Rule] = {}
        self._bus_tags: dict[str, str] = {}
        self._lock = threading.RLock()
        bus.subscribe(self._receive)

    # Events.

    @operation("events", "PutEvents")
    def put_events(self, request: Request) -> Response:
        """Put events on the bus; what is wrong with one entry fails only that one."""
        entries = request.parameters["Entries"]
        for entry in entries:
            refuse_unsupported_parameters(
                "events",
                "PutEvents",
                entry,
                ("Source", "DetailType", "Detail", "Resources", "Time", "EventBusName", "TraceHeader"),
            )
        if sum(_entry_bytes(entry) for entry in entries) > _REQUEST_BYTES:
            raise ApiError(
                "ValidationException", "Total size of the entries in the request is over the limit."
            )
        results = [self._put_event(entry) for entry in entries]
        return {"Entries": results, "FailedEntryCount": sum("ErrorCode" in result for result in results)}

    def _put_event(self, entry: Mapping[str, Any]) -> dict[str, str]:
        failure = _failure_of(entry)
        if failure is not None:
            return failure
        moment = entry.get("Time") or self._clock.now()
        event: Event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": self._account_id,
            "time": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._region,
            "resources": list(entry.get("Resources") or []),
            "detail": strict_json(entry["Detail"]),
        }
        # AWS takes an event for a bus that does not exist, and drops it (recorded in radkawar/stackd,
        # eventbridge/control_plane.json, partial-events).
        if self._is_default_bus(entry.get("EventBusName")):
            self._bus.deliver(event)
        return {"EventId": event["id"]}

    @operation("events", "TestEventPattern")
    def test_event_pattern(self, request: Request) -> Response:
        """Whether a pattern matches an event."""
        pattern = _parse(request.parameters["EventPattern"])
        try:
            event = strict_json(request.parameters["Event"])
        except ValueError:
            event = None
        if not isinstance(event, dict) or any(name not in event for name in _REQUIRED_OF_EVENT):
            raise ApiError("ValidationException", "Parameter Event is not valid.")
        return {"Result": pattern.matches(event)}

    def _receive(self, event: Event) -> None:
        with self._lock:
            rules = [rule for rule in self._rules.values() if rule.state == "ENABLED" and rule.pattern]
        for rule in rules:
            try:
                if rule.pattern is not None and rule.pattern.matches(event):
                    self._dispatch(rule, event)
            except Exception:
                # One rule's fault must not stop the clock's thread, on which all events are delivered.
                LOGGER.exception("the rule %s failed inside the emulator", rule.name)

    def _dispatch(self, rule: Rule, event: Event) -> None:
        origin = Origin(rule.arn, rule.name, self._clock.now())
        for target in list(rule.targets.values()):
            invocation = TargetInvocation(
                target_arn=target["Arn"],
                body=target_input(target, event, origin),
                source_arn=rule.arn,
                caller=self._identities.name_of(rule.name),
                execution_name=f"{event['id']}_{uuid.uuid4()}",
                message_group=(target.get("SqsParameters") or {}).get("MessageGroupId"),
                **retry_policy(target),
            )
            if not invocation.body:
                LOGGER.warning(
                    "%s gives its target %s nothing, which is not delivered", rule.arn, target["Arn"]
                )
            elif is_json(invocation.body):
                self._delivery.invoke(invocation, _PRINCIPAL)
            else:
                self._delivery.refuse(
                    invocation, _PRINCIPAL, ApiError("INVALID_JSON", "Invalid input for target.")
                )

    # Rules.

    @operation("events", "PutRule")
    def put_rule(self, request: Request) -> Response:
        """Create a rule or change it; targets stay."""
        parameters = request.parameters
        self._check_bus(parameters.get("EventBusName"))
        pattern, schedule = parameters.get("EventPattern"), parameters.get("ScheduleExpression")
        if not pattern and not schedule:
            raise ApiError(
                "ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified."
            )
        parsed = _parse(pattern) if pattern else None
        with self._lock:
            known = self._rules.get(parameters["Name"])
            rule = Rule(
                name=parameters["Name"],
                arn=f"arn:aws:events:{self._region}:{self._account_id}:rule/{parameters['Name']}",
                pattern=parsed,
                schedule=schedule,
                state=parameters.get("State", "ENABLED"),
                description=parameters.get("Description", ""),
                role_arn=parameters.get("RoleArn"),
                targets=known.targets if known else {},
                # "If you are updating an existing rule, any tags you specify in the PutRule operation are ignored."
                tags=known.tags if known else _tags(parameters.get("Tags") or []),
            )
            if schedule:
                rule.ticker = self._ticker(rule, schedule)
            if known is not None and known.ticker is not None:
                known.ticker.cancel()
            self._rules[rule.name] = rule
        return {"RuleArn": rule.arn}

    def _ticker(self, rule: Rule, schedule: str) -> Ticker:
        message = "Parameter ScheduleExpression is not valid."
        try:
            recurrence = parse_recurrence(schedule)
        except ExpressionError as error:
            raise ApiError("ValidationException", message) from error
        if isinstance(recurrence, Once):  # at() is EventBridge Scheduler's
            raise ApiError("ValidationException", message)
        return Ticker(self._clock, recurrence, lambda: self._tick(rule))

    def _tick(self, rule: Rule) -> None:
        if rule.state == "ENABLED":
            event: Event = {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "account": self._account_id,
                "time": self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": self._region,
                "resources": [rule.arn],
                "detail": {},
            }
            self._dispatch(rule, event)

    @operation("events", "DeleteRule")
    def delete_rule(self, request: Request) -> Response:
        """Delete a rule that has no targets; one that does not exist is deleted already."""
        self._check_bus(request.parameters.get("EventBusName"))
        with self._lock:
            rule = self._rules.get(request.parameters["Name"])
            if rule is not None and rule.targets:
                raise ApiError("ValidationException", "Rule can't be deleted since it has targets.")
            if rule is not None:
                del self._rules[rule.name]
                if rule.ticker is not None:
                    rule.ticker.cancel()
        return {}

    @operation("events", "DescribeRule")
    def describe_rule(self, request: Request) -> Response:
        """Describe a rule."""
        return {**_row(self._rule(request)), "CreatedBy": self._account_id}

    @operation("events", "ListRules")
    def list_rules(self, request: Request) -> Response:
        """List rules, by name."""
        self._check_bus(request.parameters.get("EventBusName"))
        prefix = request.parameters.get("NamePrefix", "")
        with self._lock:
            names = sorted(name for name in self._rules if name.startswith(prefix))
            rules = [self._rules[name] for name in names]
        shown, token = _page(rules, request)
        return {"Rules": [_row(rule) for rule in shown], "NextToken": token}

    @operation("events", "EnableRule")
    def enable_rule(self, request: Request) -> Response:
        """Have a rule match again."""
        self._rule(request).state = "ENABLED"
        return {}

    @operation("events", "DisableRule")
    def disable_rule(self, request: Request) -> Response:
        """Keep a rule from matching."""
        self._rule(request).state = "DISABLED"
        return {}

    @operation("events", "PutTargets")
    def put_targets(self, request: Request) -> Response:
        """Add or replace targets; at most five for a rule."""
        rule = self._rule(request, "Rule")
        targets: dict[str, dict[str, Any]] = {
            target["Id"]: target for target in request.parameters["Targets"]
        }
        for target in targets.values():
            _check_target(target)
        with self._lock:
            if len(rule.targets | targets) > _TARGETS_PER_RULE:
                raise ApiError(
                    "LimitExceededException", "The requested resource exceeds the maximum number allowed."
                )
            rule.targets |= targets
        return {"FailedEntryCount": 0, "FailedEntries": []}

    @operation("events", "RemoveTargets")
    def remove_targets(self, request: Request) -> Response:
        """Remove targets."""
        rule = self._rule(request, "Rule")
        with self._lock:
            for identifier in request.parameters["Ids"]:
                rule.targets.pop(identifier, None)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    @operation("events", "ListTargetsByRule")
    def list_targets_by_rule(self, request: Request) -> Response:
        """List a rule's targets."""
        shown, token = _page(list(self._rule(request, "Rule").targets.values()), request)
        return {"Targets": shown, "NextToken": token}

    @operation("events", "ListTagsForResource")
    def list_tags_for_resource(self, request: Request) -> Response:
        """List the tags of a rule or of the bus."""
        tags = self._tags_of(request)
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    @operation("events", "TagResource")
    def tag_resource(self, request: Request) -> Response:
        """Add tags to a rule or to the bus, or change them."""
        self._tags_of(request).update(_tags(request.parameters["Tags"]))
        return {}

    @operation("events", "UntagResource")
    def untag_resource(self, request: Request) -> Response:
        """Remove tags from a rule or from the bus."""
        tags = self._tags_of(request)
        for key in request.parameters["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _tags_of(self, request: Request) -> dict[str, str]:
        arn = request.parameters["ResourceARN"]
        kind, _, name = arn.split(":", 5)[-1].partition("/")
        if kind == "event-bus":
            self._check_bus(name)
            return self._bus_tags
        bus, _, rule = name.rpartition("/")
        self._check_bus(bus or None)
        return self._rule_named(rule).tags

    @operation("events", "DescribeEventBus")
    def describe_event_bus(self, request: Request) -> Response:
        """Describe the default bus."""
        self._check_bus(request.parameters.get("Name"))
        return {
            "Name": "default",
            "Arn": f"arn:aws:events:{self._region}:{self._account_id}:event-bus/default",
        }

    def _rule(self, request: Request, member: str = "Name") -> Rule:
        self._check_bus(request.parameters.get("EventBusName"))
        return self._rule_named(request.parameters[member])

    def _rule_named(self, name: str) -> Rule:
        with self._lock:
            rule = self._rules.get(name)
        if rule is None:
            message = f"Rule {name} does not exist on EventBus default."
            raise ApiError("ResourceNotFoundException", message)
        return rule

    def _is_default_bus(self, name: str | None) -> bool:
        own = f"arn:aws:events:{self._region}:{self._account_id}:event-bus/default"
        return name in {None, "default", own}

    def _check_bus(self, name: str | None) -> None:
        if not self._is_default_bus(name):
            shown = str(name).rpartition(":event-bus/")[2]
            raise ApiError("ResourceNotFoundException", f"Event bus {shown} does not exist.")


def _parse(text: str) -> Pattern:
    try:
        return parse_pattern(text)
    except PatternError as error:
        message = f"Event pattern is not valid. Reason: {error}"
        raise ApiError("InvalidEventPatternException", message) from error


def _failure_of(entry: Mapping[str, Any]) -> dict[str, str] | None:
    """What PutEvents says of an entry that it does not take; None for one that it takes."""
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return {
                "ErrorCode": "InvalidArgument",
                "ErrorMessage": f"Parameter {name} is not valid. Reason: {name} is a required argument.",
            }
    if entry["Source"].startswith("aws."):
        return {
            "ErrorCode": "NotAuthorizedForSourceException",
            "ErrorMessage": "Not authorized for the source.",
        }
    try:
        detail = strict_json(entry["Detail"])
    except ValueError:
        detail = None
    if not isinstance(detail, dict):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    return None


def _entry_bytes(entry: Mapping[str, Any]) -> int:
    """EventBridge user guide, "Calculating PutEvents event entry size"."""
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
    texts += entry.get("Resources") or []
    return sum(len(text.encode()) for text in texts) + (_TIME_BYTES if entry.get("Time") else 0)


def _tags(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in given}


def _page(items: Sequence[Item], request: Request) -> tuple[list[Item], str | None]:
    asked = request.parameters
    return page(
        items, asked.get("NextToken"), asked.get("Limit"), default=_MOST_LISTED, error="ValidationException"
    )


def _check_target(target: Mapping[str, Any]) -> None:
    refuse_unsupported_parameters("events", "PutTargets", target, _TARGET_MEMBERS)
    if ":states:" in target["Arn"] and not target.get("RoleArn"):
        message = f"RoleArn is required for target {target['Arn']}."
        raise ApiError("ValidationException", message)
    try:
        check_target_input(target)
    except InputError as error:
        raise ApiError("ValidationException", str(error)) from error


def _row(rule: Rule) -> dict[str, Any]:
    row: dict[str, Any] = {"Name": rule.name, "Arn": rule.arn, "State": rule.state, "EventBusName": "default"}
    if rule.pattern is not None:
        row["EventPattern"] = rule.pattern.text
    if rule.schedule is not None:
        row["ScheduleExpression"] = rule.schedule
    if rule.description:
        row["Description"] = rule.description
    if rule.role_arn:
        row["RoleArn"] = rule.role_arn
    return row
