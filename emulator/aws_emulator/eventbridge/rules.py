"""EventBridge: the default event bus, its rules, and what their targets receive.

Events of sources that begin with `aws.` are accepted by PutEvents here although AWS refuses them: the
emulator stands for AWS, and tests play its services.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.clock import Clock
from aws_emulator.eventbridge.bus import Event, EventBus
from aws_emulator.eventbridge.delivery import Delivery, Shipment, retry_policy
from aws_emulator.eventbridge.patterns import PatternError, matches, parse_pattern
from aws_emulator.eventbridge.recurrence import ExpressionError, Ticker, parse_recurrence
from aws_emulator.eventbridge.target_inputs import InputError, target_input
from aws_emulator.gateway.identities import Identities

LOGGER: Final = logging.getLogger(__name__)
_TARGETS_PER_RULE: Final = 5
_ENTRIES_PER_CALL: Final = 10
_ENTRY_BYTES: Final = 1_048_576
_NAME: Final = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
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
_REQUIRED_OF_EVENT: Final = ("id", "account", "source", "time", "region", "resources", "detail-type")


@dataclass
class Rule:
    """A rule of the default bus."""

    name: str
    arn: str
    pattern: dict[str, Any] | None
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
        self._lock = threading.RLock()
        bus.subscribe(self._receive)

    # Events.

    @operation("events", "PutEvents")
    def put_events(self, request: Request) -> Response:
        """Put events on the bus. Sources that begin with `aws.` are accepted (see the module)."""
        entries = request.parameters["Entries"]
        if not 1 <= len(entries) <= _ENTRIES_PER_CALL:
            raise ApiError("ValidationException", "Entries must have 1 to 10 members")
        results = [self._put_event(entry) for entry in entries]
        return {"Entries": results, "FailedEntryCount": sum("ErrorCode" in result for result in results)}

    def _put_event(self, entry: Mapping[str, Any]) -> dict[str, str]:
        refuse_unsupported_parameters(
            "events",
            "PutEvents",
            entry,
            ("Source", "DetailType", "Detail", "Resources", "Time", "EventBusName", "TraceHeader"),
        )
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                return {
                    "ErrorCode": "InvalidArgument",
                    "ErrorMessage": f"Parameter {name} is not valid. Reason: {name} is a required argument.",
                }
        if not self._is_default_bus(entry.get("EventBusName")):
            return {
                "ErrorCode": "NotAuthorizedForSourceException",
                "ErrorMessage": "there is no such event bus",
            }
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            detail = None
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        if len(entry["Detail"].encode()) > _ENTRY_BYTES:
            raise ApiError(
                "ValidationException", "Total size of the entries in the request is over the limit."
            )
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
            "detail": detail,
        }
        self._bus.deliver(event)
        return {"EventId": event["id"]}

    @operation("events", "TestEventPattern")
    def test_event_pattern(self, request: Request) -> Response:
        """Whether a pattern matches an event."""
        pattern = _parse(request.parameters["EventPattern"])
        try:
            event = json.loads(request.parameters["Event"])
        except ValueError as error:
            raise ApiError("InvalidEventPatternException", f"Event is not valid JSON: {error}") from error
        missing = [name for name in _REQUIRED_OF_EVENT if name not in event]
        if missing:
            raise ApiError(
                "InvalidEventPatternException", f"Parameter Event is not valid: it lacks {missing}"
            )
        return {"Result": matches(pattern, event)}

    def _receive(self, event: Event) -> None:
        with self._lock:
            rules = [rule for rule in self._rules.values() if rule.state == "ENABLED" and rule.pattern]
        for rule in rules:
            try:
                if rule.pattern is not None and matches(rule.pattern, event):
                    self._dispatch(rule, event)
            except Exception:
                # One rule's fault must not stop the clock's thread, on which all events are delivered.
                LOGGER.exception("the rule %s failed inside the emulator", rule.name)

    def _dispatch(self, rule: Rule, event: Event) -> None:
        for target in list(rule.targets.values()):
            shipment = Shipment(
                target_arn=target["Arn"],
                body=target_input(target, event, rule.arn, rule.name),
                source_arn=rule.arn,
                caller=self._identities.name_of(rule.name),
                execution_name=f"{event['id']}_{uuid.uuid4()}",
                message_group=(target.get("SqsParameters") or {}).get("MessageGroupId"),
                **retry_policy(target),
            )
            self._delivery.ship(shipment, _PRINCIPAL)

    # Rules.

    @operation("events", "PutRule")
    def put_rule(self, request: Request) -> Response:
        """Create a rule or change it; targets stay."""
        wanted = request.parameters
        self._check_bus(wanted.get("EventBusName"))
        if not _NAME.fullmatch(wanted["Name"]):
            raise ApiError("ValidationException", f"'{wanted['Name']}' is not a rule name")
        pattern, schedule = wanted.get("EventPattern"), wanted.get("ScheduleExpression")
        if not pattern and not schedule:
            raise ApiError(
                "ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified."
            )
        parsed = _parse(pattern) if pattern else None
        with self._lock:
            known = self._rules.get(wanted["Name"])
            rule = Rule(
                name=wanted["Name"],
                arn=f"arn:aws:events:{self._region}:{self._account_id}:rule/{wanted['Name']}",
                pattern=parsed,
                schedule=schedule,
                state=wanted.get("State", "ENABLED"),
                description=wanted.get("Description", ""),
                role_arn=wanted.get("RoleArn"),
                targets=known.targets if known else {},
                tags={tag["Key"]: tag["Value"] for tag in wanted.get("Tags") or []},
            )
            if schedule:
                rule.ticker = self._ticker(rule, schedule)
            if known is not None and known.ticker is not None:
                known.ticker.cancel()
            self._rules[rule.name] = rule
        return {"RuleArn": rule.arn}

    def _ticker(self, rule: Rule, schedule: str) -> Ticker:
        try:
            return Ticker(self._clock, parse_recurrence(schedule), lambda: self._tick(rule))
        except ExpressionError as error:
            message = "Parameter ScheduleExpression is not valid."
            raise ApiError("ValidationException", message) from error

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
        """Delete a rule that has no targets."""
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
        prefix = request.parameters.get("NamePrefix", "")
        with self._lock:
            names = sorted(name for name in self._rules if name.startswith(prefix))
            rules = [self._rules[name] for name in names]
        start = int(request.parameters.get("NextToken") or 0)
        end = start + (request.parameters.get("Limit") or 100)
        response: Response = {"Rules": [_row(rule) for rule in rules[start:end]]}
        return {**response, "NextToken": str(end)} if end < len(rules) else response

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
        targets = {target["Id"]: dict(target) for target in request.parameters["Targets"]}
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
        return {"Targets": list(self._rule(request, "Rule").targets.values())}

    @operation("events", "ListTagsForResource")
    def list_tags_for_resource(self, request: Request) -> Response:
        """List a rule's tags."""
        name = request.parameters["ResourceARN"].rpartition("/")[2]
        rule = self._rule_named(name)
        return {"Tags": [{"Key": key, "Value": value} for key, value in rule.tags.items()]}

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
        return name is None or name == "default" or name.endswith(":event-bus/default")

    def _check_bus(self, name: str | None) -> None:
        if not self._is_default_bus(name):
            raise ApiError("ResourceNotFoundException", f"Event bus {name} does not exist.")


def _parse(text: str) -> dict[str, Any]:
    try:
        return parse_pattern(text)
    except PatternError as error:
        message = f"Event pattern is not valid. Reason: {error}"
        raise ApiError("InvalidEventPatternException", message) from error


def _check_target(target: Mapping[str, Any]) -> None:
    refuse_unsupported_parameters("events", "PutTargets", target, _TARGET_MEMBERS)
    if ":states:" in target["Arn"] and not target.get("RoleArn"):
        message = f"RoleArn is required for target {target['Arn']}."
        raise ApiError("ValidationException", message)
    if sum(name in target for name in ("Input", "InputPath", "InputTransformer")) > 1:
        raise ApiError(
            "ValidationException", f"Only one of Input, InputPath, or InputTransformer for {target['Id']}."
        )
    try:
        target_input(target, {}, "", "")
    except InputError as error:
        raise ApiError("ValidationException", str(error)) from error


def _row(rule: Rule) -> dict[str, Any]:
    row: dict[str, Any] = {"Name": rule.name, "Arn": rule.arn, "State": rule.state, "EventBusName": "default"}
    if rule.pattern is not None:
        row["EventPattern"] = json.dumps(rule.pattern)
    if rule.schedule is not None:
        row["ScheduleExpression"] = rule.schedule
    if rule.description:
        row["Description"] = rule.description
    if rule.role_arn:
        row["RoleArn"] = rule.role_arn
    return row
