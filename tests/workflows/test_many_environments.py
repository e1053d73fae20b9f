"""Environments do not disturb each other."""

from __future__ import annotations

import itertools

import pytest
from tests.workflows.conftest import Running
from tests.workflows.service import Service, failures

TOGETHER = 20


@pytest.mark.slow
def test_twenty_environments_that_are_pushed_at_once_are_all_published(
    running: Running, service: Service
) -> None:
    environments = [service.environment(name) for name in itertools.islice(running.unused_names, TOGETHER)]
    pushed = {environment.name: environment.push(f"for {environment.name}") for environment in environments}
    for environment in environments:
        environment.wait_for_executions(1)
    published = {environment.has_one_image() for environment in environments}
    assert len(published) == TOGETHER
    assert {each.name: each.metadata()["image_digest"] for each in environments} == pushed
    for environment in environments:
        (arn,) = environment.executions()
        assert not failures([service.wait(arn)])
