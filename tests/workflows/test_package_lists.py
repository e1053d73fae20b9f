"""Package lists through the deployed stack: kept, compared, told, and gone with the history that names them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.workflows.conftest import Running
from tests.workflows.operators import Operator
from tests.workflows.service import Environment

SETTINGS: dict[str, Any] = {
    "environments": {
        f"env-{number:02}": {"publication": {"history_to_keep": 1}, "retirement": {"keep_previous": 1}}
        for number in range(6)
    },
    "parameters": {"KeepPackageLists": "true"},
}


@pytest.fixture(scope="module")
def operator(running: Running) -> Operator:
    return Operator(running.service)


def lists_of(running: Running, environment: Environment) -> dict[str, dict[str, Any]]:
    """The lists of an environment that are kept, by key."""
    buckets = running.emulator.buckets
    return {
        key: json.loads(stored.body)
        for objects in buckets.by_name.values()
        for key, stored in objects.items()
        if key.startswith(f"packages/{environment.name}/")
    }


def test_two_builds_are_compared_by_what_is_in_them(
    running: Running, operator: Operator, environment: Environment
) -> None:
    environment.must_build("1" * 40)
    first = str(environment.latest())
    ended = environment.must_build("2" * 40)
    shown = operator.ask("show", environment.name)
    summary = shown["packages"]
    assert (summary["count"], summary["changes"], summary["problem"]) == (8, "2 updated", None)
    assert shown["package_list"] is None
    # The notification and the event are made of what the execution ends with.
    assert ended.output["packages"]["changes"] == "2 updated"
    assert len(lists_of(running, environment)) == 2

    difference = operator.ask("diff", first, environment.name)["packages"]
    assert difference["summary"] == "2 updated"
    assert [each["name"] for each in difference["updated"]] == ["curl", "libssl3"]
    assert (len(difference["new_layers"]), len(difference["removed_layers"])) == (1, 1)
    printed = operator.run("diff", first, environment.name).output
    assert "Packages: 2 updated, layers of the Docker image: 1 new, 1 removed" in printed
    assert "libssl3" in printed
    told = " ".join(operator.run("show", environment.name).output.split())
    assert "2 updated since the image before; s3://" in told

    listed = operator.ask("show", environment.name, "--packages")["package_list"]
    (kept,) = (each for key, each in lists_of(running, environment).items() if key in summary["uri"])
    assert listed == kept
    assert "amazon-ssm-agent" in operator.run("show", environment.name, "--packages").output


def test_a_list_goes_with_history(running: Running, environment: Environment) -> None:
    for revision in ("1", "2", "3"):
        environment.must_build(revision * 40)
    assert len(lists_of(running, environment)) == 3
    running.service.sweep()
    running.service.sweep()
    names = {each["release"] for each in environment.history().values()}
    assert len(lists_of(running, environment)) == len(names) == 2


def test_what_s3_refuses_is_told_and_the_image_is_published(
    running: Running, operator: Operator, environment: Environment
) -> None:
    running.service.inject(
        {
            "kind": "error",
            "service": "s3",
            "operation": "PutObject",
            "code": "AccessDenied",
            "status": 403,
            "times": None,
        }
    )
    environment.must_build("1" * 40)
    problem = operator.ask("show", environment.name)["packages"]["problem"]
    assert problem.startswith("s3:PutObject on s3://")
    running.service.ask("DELETE", "faults")
    refused = operator.run("show", environment.name, "--packages")
    assert refused.exit_code == 1
    assert "has no package list: s3:PutObject" in refused.notes
    told = operator.ask("diff", environment.name, environment.name)["packages"]
    assert (told["summary"], told["updated"]) == (None, [])
    assert "has no package list" in told["problem"]
    assert "Packages are not compared" in operator.run("diff", environment.name, environment.name).output
