"""`latest` names an available image at every instant of many builds, as a second client sees it."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import boto3
import pytest
from tests.workflows.service import Environment, Service

BUILDS = 10


class Sampler:
    """A client that asks again and again what `latest` names, and whether that can be launched.

    It takes two calls to see that, and the image may rightly be gone after `latest` has moved on. So an
    image that is not available counts only if `latest` still names it afterwards.
    """

    def __init__(self, environment: Environment) -> None:
        session = boto3.session.Session(
            aws_access_key_id="sampler", aws_secret_access_key="sampler", region_name="us-east-1"
        )
        url = environment.service.endpoint_url
        self._ssm, self._ec2 = (session.client(name, endpoint_url=url) for name in ("ssm", "ec2"))
        self._name = f"{environment.prefix}/latest"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.named: list[str] = []
        self.conclusive = 0
        self.problems: list[str] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._ssm.close()
        self._ec2.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - the test shows whatever it was
                self.problems.append(repr(error))
                return
            # As often as possible, and still leave the emulator some of the machine.
            self._stop.wait(0.005)

    def _look(self) -> None:
        latest = self._latest()
        state = self._state_of(latest)
        if latest not in self.named:
            self.named.append(latest)
        if state == "available":
            self.conclusive += 1
        elif self._latest() == latest:
            self.problems.append(f"latest names {latest}, which is {state}")

    def _latest(self) -> str:
        parameter: dict[str, Any] = self._ssm.get_parameter(Name=self._name)["Parameter"]
        return str(parameter["Value"])

    def _state_of(self, image_id: str) -> str:
        found = self._ec2.describe_images(Filters=[{"Name": "image-id", "Values": [image_id]}])["Images"]
        return str(found[0]["State"]) if found else "missing"


@pytest.mark.slow
def test_latest_names_an_available_image_at_every_instant_of_ten_builds(service: Service) -> None:
    environment = service.environment("lingering")
    environment.must_build("the first")
    with Sampler(environment) as sampler:
        for number in range(BUILDS):
            environment.must_build(f"build {number}")
    assert sampler.problems == []
    assert sampler.conclusive > 10 * BUILDS
    assert len(sampler.named) >= BUILDS, "the sampler has seen the builds"
    environment.has_one_image()


def test_the_sampler_sees_an_image_that_is_gone(environment: Environment) -> None:
    environment.must_build("one")
    with Sampler(environment) as sampler:
        environment.service.client("ec2").deregister_image(ImageId=environment.latest())
        sampler._stop.wait(0.3)
    assert sampler.problems
