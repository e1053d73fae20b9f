"""What consumers and listeners see while images are swapped."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.workflows.service import Environment, Service, failures, until

from ami_lifecycle_client import AmiClient, EnvironmentNotFoundError

# More of them: AMI_LIFECYCLE_SWAPS=20.
SWAPS = int(os.environ.get("AMI_LIFECYCLE_SWAPS", "5"))


class Poller:
    """Asks for id and metadata all the time, as the two functions of the module do, and keeps what was wrong."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._client = AmiClient("us-east-1", ssm_client=environment.service.client("ssm"))
        self._stopped = threading.Event()
        self.seen: set[str] = set()
        self.rounds = 0
        self.wrong: list[str] = []

    @contextmanager
    def polling(self) -> Iterator[None]:
        thread = threading.Thread(target=self._poll)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()

    def _poll(self) -> None:
        ec2 = self._environment.service.client("ec2")
        while not self._stopped.is_set():
            ami_id = self._client.get_latest_ami_id(self._environment.name)
            metadata = self._client.get_latest_ami_metadata(self._environment.name)
            if metadata["ami_id"] != ami_id:
                self.wrong.append(f"{ami_id} with the metadata of {metadata['ami_id']}")
            pair = self._client.get_latest_ami(self._environment.name)
            if pair.metadata["ami_id"] != pair.ami_id:
                self.wrong.append(f"{pair.ami_id} paired with {pair.metadata['ami_id']}")
            images = ec2.describe_images(ImageIds=[ami_id])["Images"]
            if [image["State"] for image in images] != ["available"]:
                self.wrong.append(f"{ami_id} is missing")
            self.seen.add(ami_id)
            self.rounds += 1


def test_a_consumer_with_the_wrong_region_finds_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = service.environment("keeping-one")
    environment.must_build("r1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", service.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    assert AmiClient(service.region).get_latest_ami_id(environment.name).startswith("ami-")
    with pytest.raises(EnvironmentNotFoundError, match="eu-west-1"):
        AmiClient("eu-west-1").get_latest_ami_id(environment.name)


def test_a_consumer_sees_only_existing_images_and_matching_pairs(service: Service) -> None:
    environment = service.environment("keeping-two")
    environment.must_build("1" * 40)
    poller = Poller(environment)
    with poller.polling():
        environment.must_build("2" * 40)
        for _ in range(SWAPS - 1):
            other = next(
                image["ImageId"] for image in environment.images() if image["ImageId"] != environment.latest()
            )
            swapped = service.run(
                {"environment": environment.name, "action": "publish", "publish_image_id": other}
            )
            assert not failures([swapped])
            assert environment.latest() == other
    assert poller.wrong == []
    assert len(poller.seen) >= 2
    assert poller.rounds > SWAPS


def test_an_environment_that_was_never_published_is_no_network_error(service: Service) -> None:
    client = AmiClient("us-east-1", ssm_client=service.client("ssm"))
    with pytest.raises(EnvironmentNotFoundError):
        client.get_latest_ami_id("nowhere")


def test_history_tells_every_image_once(service: Service, environment: Environment) -> None:
    environment.must_build("1" * 40)
    client = AmiClient("us-east-1", ssm_client=service.client("ssm"))
    history = client.get_history(environment.name)
    assert {record["ami_id"] for record in history} == set(environment.history())
    assert history[0]["ami_id"] == environment.latest()


@pytest.fixture
def listener(service: Service) -> Iterator[Any]:
    """A queue that gets every event of the service, as a rule of somebody else's would."""
    sqs, events = service.client("sqs"), service.client("events")
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_rule(Name="listener", EventPattern=json.dumps({"source": ["ami-lifecycle"]}))
    events.put_targets(Rule="listener", Targets=[{"Id": "queue", "Arn": arn}])
    received: list[dict[str, Any]] = []

    def look() -> list[dict[str, Any]]:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            received.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return received

    yield look
    events.remove_targets(Rule="listener", Ids=["queue"])
    events.delete_rule(Name="listener")
    sqs.delete_queue(QueueUrl=url)


def test_events_tell_of_publication_retirement_and_failure(
    service: Service, environment: Environment, listener: Any
) -> None:
    def told(kind: str) -> list[dict[str, Any]]:
        return [
            each["detail"]
            for each in listener()
            if each["detail-type"] == kind and each["detail"]["environment"] == environment.name
        ]

    environment.must_build("1" * 40)
    old = environment.latest()
    environment.must_build("2" * 40)
    until("both publications are told", lambda: len(told("Image Published")) == 2)
    assert told("Image Published")[1]["image_id"] == environment.latest()
    assert told("Image Published")[1]["replaced"] == old
    until(
        "the old image is told to be gone",
        lambda: old in {each["image_id"] for each in told("Image Retired")},
    )

    service.inject({"kind": "command_fails", "document": "ProvisionImage", "stderr": "no space left"})
    environment.build("3" * 40)
    until("the failure is told", lambda: told("Build Failed"))
    assert told("Build Failed")[0]["error"] == "ProvisioningFailedError"
