"""The pauses of the SDK between two attempts pass in the simulation's own way."""

from __future__ import annotations

import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from botocore.session import Session

from aws_emulator.simulation.transport import RetryPauses


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_the_pauses_before_retries_are_made_elsewhere(mode: str) -> None:
    pauses: list[float] = []
    session = Session(event_hooks=RetryPauses(pauses.append))
    client = session.create_client(
        "sqs",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="test",
        config=Config(retries={"mode": mode, "total_max_attempts": 6}),
    )
    with pytest.raises(EndpointConnectionError):
        client.list_queues()
    assert len(pauses) == 5
