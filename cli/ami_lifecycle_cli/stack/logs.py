"""A build's logs in CloudWatch Logs: of its commands on instances, and of its functions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import iso_date
from ami_lifecycle_cli.stack.runs import Run, StateRun

# The keys of a state's output that hold a sent command, with the name of the source of its lines.
COMMANDS: Final[Mapping[str, str]] = {"provisioning": "provision", "verifying": "verify"}
# Streams of a command end in the step and one of these (Systems Manager user guide, CloudWatch Logs for Run Command).
_STREAMS: Final = frozenset({"stdout", "stderr"})
# Events can become visible out of order.
_OVERLAP: Final = timedelta(seconds=60)
# Margins for clock differences, and for output that the agent delivers at its end.
_BEFORE: Final = timedelta(minutes=1)
_AFTER: Final = timedelta(minutes=10)
# CloudWatch Logs quotas: FilterLogEvents has few requests a second in most Regions.
_THREADS: Final = 4
_PACKAGES: Final = re.compile(r'("packages":")[A-Za-z0-9+/=]+(")')
_TROUBLE: Final = frozenset({"WARNING", "ERROR", "CRITICAL", "stderr"})


@dataclass(frozen=True)
class Line:
    """A line of a log. `source` is `provision`, `verify`, or the function; `level` a level, `stdout` or `stderr`."""

    time: datetime
    source: str
    level: str
    text: str
    event_id: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether the line reports an error or a warning."""
        return self.level in _TROUBLE

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "time": iso_date(self.time),
            "source": self.source,
            "level": self.level,
            "message": self.text,
        }


@dataclass(frozen=True)
class SentCommand:
    """A command that a build has sent to an instance."""

    source: str
    command_id: str
    instance_id: str


def commands_of(states: Sequence[StateRun]) -> list[SentCommand]:
    """The commands that a build has sent, in their order."""
    found: dict[str, SentCommand] = {}
    for visit in states:
        output = visit.output if isinstance(visit.output, dict) else {}
        for key, source in COMMANDS.items():
            if isinstance(sent := output.get(key), dict) and sent.get("command_id"):
                command_id = str(sent["command_id"])
                found.setdefault(
                    command_id, SentCommand(source, command_id, str(sent.get("instance_id", "")))
                )
    return list(found.values())


class Tail:
    """A log that is still being written: each read covers the time since the last one, with an overlap."""

    def __init__(self) -> None:
        self._known: dict[str, Line] = {}
        self._since: datetime | None = None

    @property
    def lines(self) -> list[Line]:
        """All lines so far, the oldest first."""
        return sorted(self._known.values(), key=lambda line: line.time)

    def read(self, fetch: Callable[[datetime | None], Sequence[Line]]) -> list[Line]:
        """The lines that are new. Raises what `fetch` raises."""
        new = [line for line in fetch(self._since) if line.event_id not in self._known]
        self._known |= {line.event_id: line for line in new}
        if new:
            newest = max(line.time for line in new) - _OVERLAP
            self._since = max(newest, self._since or newest)
        return new


class BuildLogs:
    """The log of one build."""

    def __init__(self, stack: Stack, run: Run) -> None:
        self._client = stack.client("logs")
        self._run = run
        self._commands = stack.outputs.get("CommandLogGroupName", "")
        self._prefix = stack.outputs.get("FunctionLogGroupPrefix", "")
        self._groups: list[str] | None = None

    def of_commands(self, sent: Sequence[SentCommand], since: datetime | None = None) -> list[Line]:
        """What the commands have written, the oldest first. Raises `AmiLifecycleError` where it cannot be read."""
        lines: list[Line] = []
        for each in sent if self._commands else ():
            filters = {"logStreamNamePrefix": f"{each.command_id}/"}
            for event in self._events(self._commands, since, **filters):
                stream = event["logStreamName"].rsplit("/", 1)[-1]
                lines.extend(_of_command(each.source, stream if stream in _STREAMS else "stdout", event))
        return sorted(lines, key=lambda line: line.time)

    def of_functions(self, since: datetime | None = None) -> list[Line]:
        """What the functions have written for this build. Raises `AmiLifecycleError` where it cannot be read."""
        pattern = f'{{ $.execution_arn = "{self._run.arn}" }}'

        def read(group: str) -> list[Line]:
            name = group.removeprefix(self._prefix)
            return [_of_function(name, event) for event in self._events(group, since, filterPattern=pattern)]

        with ThreadPoolExecutor(_THREADS) as pool:
            found = [line for lines in pool.map(read, self._function_groups()) for line in lines]
        return sorted(found, key=lambda line: line.time)

    def _function_groups(self) -> list[str]:
        if self._groups is None and self._prefix:
            with aws_errors("logs:DescribeLogGroups", self._prefix):
                pages = self._client.get_paginator("describe_log_groups").paginate(
                    logGroupNamePrefix=self._prefix
                )
                self._groups = [each["logGroupName"] for page in pages for each in page["logGroups"]]
        return self._groups or []

    def _events(self, group: str, since: datetime | None, **filters: str) -> Iterator[Mapping[str, Any]]:
        begin = since or self._run.started - _BEFORE
        window: dict[str, Any] = {"startTime": _milliseconds(begin)}
        if self._run.stopped is not None:
            window["endTime"] = _milliseconds(self._run.stopped + _AFTER)
        # Pages can be empty although more follow (CloudWatch Logs API reference, FilterLogEvents).
        pages = self._client.get_paginator("filter_log_events").paginate(
            logGroupName=group, **window, **filters
        )
        try:
            with aws_errors("logs:FilterLogEvents", group):
                for page in pages:
                    yield from page["events"]
        except ClientError as error:
            # A function that has never run may have no group, and what its days of retention have deleted is gone.
            if code_of(error) != "ResourceNotFoundException":
                raise


def readable(text: str) -> str:
    """A line of a command without its package list, which is thousands of letters that nobody reads."""
    return _PACKAGES.sub(r"\1...\2", text)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _of_command(source: str, stream: str, event: Mapping[str, Any]) -> Iterator[Line]:
    """The lines of an event: the agent puts what it has at a time into one."""
    time = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    for number, text in enumerate(event["message"].splitlines()):
        if text.strip():
            yield Line(time, source, stream, readable(text), f"{event['eventId']}/{number}")


def _of_function(name: str, event: Mapping[str, Any]) -> Line:
    """A line of a function: its level and message, and what it says beside."""
    time = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    try:
        content = json.loads(event["message"])
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return Line(time, name, "", event["message"].rstrip(), event["eventId"])
    text = str(content.get("message", ""))
    error = content.get("error") or content.get("exception_name")
    message = f"{error}: {text}" if error else text
    if "exception" in content:
        message = f"{message}\n{content['exception']}"
    return Line(time, name, str(content.get("level", "")), message, event["eventId"])
