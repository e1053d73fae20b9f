"""What leaves for EventBridge, and what happens when it does not take it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ami_lifecycle.adapters.notifier import AwsNotifier
from ami_lifecycle.domain.outcomes import ImageRetired
from ami_lifecycle.errors import ServiceUnavailableError

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:build-image:run"


class FakeBus:
    """Takes events, and refuses the first `refused` of them."""

    def __init__(self, refused: int = 0) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self._refused = refused

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - AWS's own name
        self.requests.append(Entries)
        answers = [
            {"ErrorCode": "ThrottlingException", "ErrorMessage": "slower"}
            if number < self._refused
            else {"EventId": "1"}
            for number, _ in enumerate(Entries)
        ]
        return {"FailedEntryCount": min(self._refused, len(Entries)), "Entries": answers}


def retired(number: int = 1) -> ImageRetired:
    return ImageRetired(
        application="comfyui",
        environment="prod",
        region="us-east-1",
        execution_arn=EXECUTION,
        image_id=f"ami-{number:017x}",
        reason="nothing uses it",
    )


def test_an_event_carries_source_type_and_detail() -> None:
    bus = FakeBus()
    AwsNotifier(None, bus, "topic").announce([retired()])
    (((entry,)),) = bus.requests
    assert (entry["Source"], entry["DetailType"], entry["Resources"]) == (
        "ami-lifecycle",
        "Image Retired",
        [EXECUTION],
    )
    assert json.loads(entry["Detail"])["image_id"] == "ami-00000000000000001"


def test_ten_events_go_in_a_request() -> None:
    bus = FakeBus()
    AwsNotifier(None, bus, "topic").announce([retired(number) for number in range(1, 24)])
    assert [len(entries) for entries in bus.requests] == [10, 10, 3]


def test_an_event_that_the_bus_did_not_take_is_an_error_that_is_retried() -> None:
    with pytest.raises(ServiceUnavailableError, match="all but 1 events: ThrottlingException: slower"):
        AwsNotifier(None, FakeBus(refused=1), "topic").announce([retired(1), retired(2)])


def test_no_events_are_no_request() -> None:
    bus = FakeBus()
    AwsNotifier(None, bus, "topic").announce([])
    assert bus.requests == []
