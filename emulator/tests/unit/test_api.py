"""Calls that AWS makes on somebody's behalf."""

from __future__ import annotations

from typing import Any

import pytest

from aws_emulator.api.disruptions import Disruption, LostAnswer, ProcessHangs, ProcessKilled
from aws_emulator.api.operations import ApiError
from aws_emulator.gateway.api import Api
from aws_emulator.gateway.identities import Identities


class DisruptedGateway:
    """Answers every call with a disruption."""

    def __init__(self, disruption: type[Disruption]) -> None:
        self.handlers: dict[tuple[str, str], Any] = {("sqs", "SendMessage"): None}
        self._disruption = disruption

    def call(self, *_: Any) -> Any:
        raise self._disruption


def api(disruption: type[Disruption]) -> Api:
    return Api(DisruptedGateway(disruption), Identities(), "http://127.0.0.1:1", "us-east-1")


@pytest.mark.parametrize("disruption", [ProcessHangs, ProcessKilled])
def test_there_is_no_process_to_stop_behind_a_call_of_the_platform(disruption: type[Disruption]) -> None:
    with pytest.raises(ApiError) as caught:
        api(disruption).call("SweepEnvironmentsFunction", "sqs", "SendMessage", {})
    assert (caught.value.code, caught.value.status) == ("InternalFailure", 500)


def test_an_answer_can_be_lost_on_its_way_to_the_platform() -> None:
    with pytest.raises(LostAnswer):
        api(LostAnswer).call("SweepEnvironmentsFunction", "sqs", "SendMessage", {})
