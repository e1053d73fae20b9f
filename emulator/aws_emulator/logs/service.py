"""The API of CloudWatch Logs as far as groups are made, and events are written and read (API reference)."""

from __future__ import annotations

import itertools
import json
import re
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import Item, page
from aws_emulator.clock import Clock
from aws_emulator.logs.patterns import matcher
from aws_emulator.logs.store import Event, Line, LogGroup, LogStream

# PutLogEvents: messages in UTF-8 and 26 bytes for each event; the same limit holds for a page of answers.
_BATCH_BYTES: Final = 1_048_576
_EVENT_OVERHEAD: Final = 26
_PAGE_EVENTS: Final = 10_000
_MOST_LISTED: Final = 50
_GROUP_TOKEN: Final = re.compile(r"[0-9]{1,18}")
_STREAM_TOKEN: Final = re.compile(r"(?P<direction>[fb])/(?P<position>[0-9]{56})")
_DAY_MS: Final = 24 * 3600 * 1000
_OLDEST_MS: Final = 14 * _DAY_MS
_NEWEST_MS: Final = 2 * 3600 * 1000
# PutRetentionPolicy.
_RETENTIONS: Final = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)


class Logs:
    """The log groups of an account.

    Args:
        pending: takes what others wrote for group and stream; it is asked when somebody looks, so that whoever
            writes does not wait for it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        account_id: str,
        region: str,
        pending: Callable[[], Iterable[tuple[str, str, Line]]] = tuple,
    ) -> None:
        self._pending = pending
        self._clock = clock
        self._place = f"arn:aws:logs:{region}:{account_id}:log-group:"
        self._groups: dict[str, LogGroup] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    # What services of the account write.

    def deliver(self, group: str, stream: str, messages: Iterable[str]) -> None:
        """Write lines to a stream, which is created if missing; dropped if the group does not exist."""
        with self._lock:
            found = self._groups.get(group)
            if found is None:
                return
            now = self._now()
            for message in messages:
                self._add(found, stream, now, message)

    def _add(self, group: LogGroup, stream: str, time: int, message: str) -> None:
        if message:  # an event has at least one character
            target = group.streams.setdefault(stream, LogStream(stream, time))
            target.add(Event(time, next(self._numbers), message, time))

    def _take_pending(self) -> None:
        for name, stream, line in self._pending():
            if (group := self._groups.get(name)) is not None:
                self._add(group, stream, int(line.time.timestamp() * 1000), line.text)

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    # Groups.

    @operation("logs", "CreateLogGroup")
    def create_log_group(self, request: Request) -> Response:
        """Make a group."""
        parameters = _supported(request, "kmsKeyId", "logGroupName", "tags")
        name = parameters["logGroupName"]
        with self._lock:
            # Lines written before the group existed are lost.
            self._take_pending()
            if name in self._groups:
                raise ApiError("ResourceAlreadyExistsException", "The specified log group already exists")
            self._groups[name] = LogGroup(
                name,
                f"{self._place}{name}",
                self._now(),
                kms_key_id=parameters.get("kmsKeyId"),
                tags=dict(parameters.get("tags") or {}),
            )
        return {}

    @operation("logs", "DeleteLogGroup")
    def delete_log_group(self, request: Request) -> Response:
        """Delete a group with all that is in it."""
        with self._lock:
            del self._groups[self._group(_supported(request, "logGroupName")).name]
        return {}

    @operation("logs", "PutRetentionPolicy")
    def put_retention_policy(self, request: Request) -> Response:
        """Say how long events are kept."""
        parameters = _supported(request, "logGroupName", "retentionInDays")
        days = parameters["retentionInDays"]
        if days not in _RETENTIONS:
            raise ApiError("InvalidParameterException", f"{days} is not a valid number of days of retention.")
        with self._lock:
            self._group(parameters).retention_days = days
        return {}

    @operation("logs", "DescribeLogGroups")
    def describe_log_groups(self, request: Request) -> Response:
        """List groups, by name."""
        parameters = _supported(request, "limit", "logGroupNamePrefix", "nextToken")
        prefix = parameters.get("logGroupNamePrefix", "")
        with self._lock:
            self._take_pending()
            found = [self._groups[name] for name in sorted(self._groups) if name.startswith(prefix)]
            shown, token = _page(found, parameters)
            return {"logGroups": [_shown_group(each) for each in shown], "nextToken": token}

    @operation("logs", "ListTagsForResource")
    def list_tags_for_resource(self, request: Request) -> Response:
        """The tags of a group."""
        name = _supported(request, "resourceArn")["resourceArn"].partition(":log-group:")[2]
        with self._lock:
            return {"tags": dict(self._group({"logGroupName": name}).tags)}

    # Streams.

    @operation("logs", "CreateLogStream")
    def create_log_stream(self, request: Request) -> Response:
        """Make a stream."""
        parameters = _supported(request, "logGroupName", "logStreamName")
        name = parameters["logStreamName"]
        with self._lock:
            streams = self._group(parameters).streams
            if name in streams:
                raise ApiError("ResourceAlreadyExistsException", "The specified log stream already exists")
            streams[name] = LogStream(name, self._now())
        return {}

    @operation("logs", "DescribeLogStreams")
    def describe_log_streams(self, request: Request) -> Response:
        """List the streams of a group, by name or by the time of the last event."""
        parameters = _supported(
            request,
            "descending",
            "limit",
            "logGroupIdentifier",
            "logGroupName",
            "logStreamNamePrefix",
            "nextToken",
            "orderBy",
        )
        prefix = parameters.get("logStreamNamePrefix", "")
        by_time = parameters.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise ApiError(
                "InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix."
            )
        with self._lock:
            group = self._group(parameters)
            found = [stream for name, stream in group.streams.items() if name.startswith(prefix)]
            found.sort(
                key=lambda each: (each.events[-1].timestamp if by_time and each.events else 0, each.name),
                reverse=bool(parameters.get("descending")),
            )
            shown, token = _page(found, parameters)
            return {"logStreams": [_shown_stream(group, each) for each in shown], "nextToken": token}

    # Events.

    @operation("logs", "PutLogEvents")
    def put_log_events(self, request: Request) -> Response:
        """Write events of one stream; those that are too old or too far ahead are rejected, the others kept."""
        # The service takes a sequenceToken, and does not look at it.
        parameters = _supported(request, "logEvents", "logGroupName", "logStreamName", "sequenceToken")
        events: Sequence[Mapping[str, Any]] = parameters["logEvents"]
        times = [int(each["timestamp"]) for each in events]
        if times != sorted(times):
            raise ApiError(
                "InvalidParameterException",
                "Log events in a single PutLogEvents request must be in chronological order.",
            )
        if sum(len(each["message"].encode()) + _EVENT_OVERHEAD for each in events) > _BATCH_BYTES:
            raise ApiError("InvalidParameterException", "Upload too large: 1048576 bytes exceeded")
        with self._lock:
            group, stream = self._group(parameters), self._stream(parameters)
            now = self._now()
            oldest, newest = now - _OLDEST_MS, now + _NEWEST_MS
            kept = now - group.retention_days * _DAY_MS if group.retention_days else oldest
            valid = [each for each in events if max(oldest, kept) <= each["timestamp"] <= newest]
            if valid and valid[-1]["timestamp"] - valid[0]["timestamp"] > _DAY_MS:
                raise ApiError(
                    "InvalidParameterException",
                    "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
                )
            for each in valid:
                stream.add(Event(int(each["timestamp"]), next(self._numbers), each["message"], now))
        rejected = {}
        if old := bisect_left(times, oldest):
            rejected["tooOldLogEventEndIndex"] = old
        if group.retention_days and (expired := bisect_left(times, kept)):
            rejected["expiredLogEventEndIndex"] = expired
        if (ahead := bisect_right(times, newest)) < len(times):
            rejected["tooNewLogEventStartIndex"] = ahead
        return {
            "nextSequenceToken": f"{next(self._numbers):056d}",
            **({"rejectedLogEventsInfo": rejected} if rejected else {}),
        }

    @operation("logs", "GetLogEvents")
    def get_log_events(self, request: Request) -> Response:
        """Read one stream, the latest events first to be found; tokens are never null, and repeat at the end."""
        parameters = _supported(
            request,
            "endTime",
            "limit",
            "logGroupIdentifier",
            "logGroupName",
            "logStreamName",
            "nextToken",
            "startFromHead",
            "startTime",
        )
        start, end = parameters.get("startTime"), parameters.get("endTime")
        with self._lock:
            stream = self._stream(parameters)
            # GetLogEvents leaves out what happened at endTime; FilterLogEvents does not.
            events = [
                each
                for each in stream.events
                if (start is None or each.timestamp >= start) and (end is None or each.timestamp < end)
            ]
        limit = parameters.get("limit", _PAGE_EVENTS)
        forward, position = _position(parameters, len(events))
        if forward:
            first = position
            shown = _within(events[first : first + limit])
        else:
            # What is left out of a page of 1 MB is the oldest, which the next page backward begins with.
            shown = _within(events[max(0, position - limit) : position][::-1])[::-1]
            first = position - len(shown)
        return {
            "events": [
                {"timestamp": each.timestamp, "message": each.message, "ingestionTime": each.ingested}
                for each in shown
            ],
            "nextForwardToken": f"f/{first + len(shown):056d}",
            "nextBackwardToken": f"b/{first:056d}",
        }

    @operation("logs", "FilterLogEvents")
    def filter_log_events(self, request: Request) -> Response:
        """Read the streams of a group together, by time. A page can be empty although another follows."""
        # The service takes `interleaved`, and does not look at it.
        parameters = _supported(
            request,
            "endTime",
            "filterPattern",
            "interleaved",
            "limit",
            "logGroupIdentifier",
            "logGroupName",
            "logStreamNamePrefix",
            "logStreamNames",
            "nextToken",
            "startFromHead",
            "startTime",
        )
        names, prefix = parameters.get("logStreamNames"), parameters.get("logStreamNamePrefix")
        if names and prefix:
            raise ApiError(
                "InvalidParameterException",
                "logStreamNames and logStreamNamePrefix cannot both be given.",
            )
        limit = parameters.get("limit", _PAGE_EVENTS)
        matches = matcher(parameters.get("filterPattern") or "")
        start, end = parameters.get("startTime", 0), parameters.get("endTime")
        with self._lock:
            group = self._group(parameters)
            if names and (missing := [each for each in names if each not in group.streams]):
                raise ApiError(
                    "ResourceNotFoundException", f"The specified log stream does not exist: {missing[0]}"
                )
            found = sorted(
                (event, stream.name)
                for stream in group.streams.values()
                if (not names or stream.name in names) and stream.name.startswith(prefix or "")
                for event in stream.events
                if event.timestamp >= start and (end is None or event.timestamp <= end)
            )
        if parameters.get("startFromHead") is False:
            found.reverse()
        token = parameters.get("nextToken")
        if token is None:
            # An account with many streams answers with an empty page first, and so does this one.
            return {"events": [], "searchedLogStreams": [], **({"nextToken": "0"} if found else {})}
        if not _GROUP_TOKEN.fullmatch(token):
            raise ApiError("InvalidParameterException", "The specified nextToken is invalid.")
        first = int(token)
        events = _within([event for event, _ in found[first : first + limit]])
        until = first + len(events)
        return {
            "events": [
                {
                    "logStreamName": stream,
                    "timestamp": event.timestamp,
                    "message": event.message,
                    "ingestionTime": event.ingested,
                    "eventId": event.event_id,
                }
                for event, stream in found[first:until]
                if matches(event.message)
            ],
            "searchedLogStreams": [],
            **({"nextToken": str(until)} if until < len(found) else {}),
        }

    def _group(self, parameters: Mapping[str, Any]) -> LogGroup:
        """The group that is named by name or, where the operation takes one, by identifier."""
        name, identifier = parameters.get("logGroupName"), parameters.get("logGroupIdentifier")
        if (name is None) == (identifier is None):
            raise ApiError(
                "InvalidParameterException",
                "Exactly one of logGroupName and logGroupIdentifier must be specified.",
            )
        self._take_pending()
        key = str(name or identifier).removeprefix(self._place).removesuffix(":*")
        found = self._groups.get(key)
        if found is None:
            raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
        return found

    def _stream(self, parameters: Mapping[str, Any]) -> LogStream:
        found = self._group(parameters).streams.get(parameters["logStreamName"])
        if found is None:
            raise ApiError("ResourceNotFoundException", "The specified log stream does not exist.")
        return found


def _supported(request: Request, *names: str) -> Mapping[str, Any]:
    """The request's parameters, of which only `names` are emulated."""
    refuse_unsupported_parameters(request.service, request.operation, request.parameters, names)
    return request.parameters


def _position(parameters: Mapping[str, Any], count: int) -> tuple[bool, int]:
    """Whether GetLogEvents reads forward, and from which of its `count` events on."""
    token = parameters.get("nextToken")
    if token is None:
        return (True, 0) if parameters.get("startFromHead") else (False, count)
    found = _STREAM_TOKEN.fullmatch(token)
    if found is None:
        raise ApiError("InvalidParameterException", "The specified nextToken is invalid.")
    return found["direction"] == "f", min(int(found["position"]), count)


def _within(events: Sequence[Event]) -> list[Event]:
    """As many events as a page of 1 MB holds."""
    size = 0
    page: list[Event] = []
    for event in events:
        size += len(event.message.encode()) + _EVENT_OVERHEAD
        if size > _BATCH_BYTES and page:
            break
        page.append(event)
    return page


def _page(rows: Sequence[Item], parameters: Mapping[str, Any]) -> tuple[list[Item], str | None]:
    return page(
        rows,
        parameters.get("nextToken"),
        parameters.get("limit"),
        default=_MOST_LISTED,
        error="InvalidParameterException",
    )


def _shown_group(group: LogGroup) -> dict[str, Any]:
    return {
        "logGroupName": group.name,
        "creationTime": group.created,
        "retentionInDays": group.retention_days,
        "metricFilterCount": 0,
        "arn": f"{group.arn}:*",
        "logGroupArn": group.arn,
        "storedBytes": sum(
            len(event.message.encode()) + _EVENT_OVERHEAD
            for stream in group.streams.values()
            for event in stream.events
        ),
        "kmsKeyId": group.kms_key_id,
        "logGroupClass": "STANDARD",
    }


def _shown_stream(group: LogGroup, stream: LogStream) -> dict[str, Any]:
    times: dict[str, Any] = {}
    if stream.events:
        times = {
            "firstEventTimestamp": stream.events[0].timestamp,
            "lastEventTimestamp": stream.events[-1].timestamp,
            "lastIngestionTime": stream.events[-1].ingested,
        }
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created,
        **times,
        "arn": f"{group.arn}:log-stream:{stream.name}",
        "uploadSequenceToken": json.dumps(len(stream.events)),
        "storedBytes": 0,
    }
