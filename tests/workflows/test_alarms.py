"""Alarms after a publication: within the soak one moves `latest` back, once, and pins it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from tests.workflows.configuration import PROJECT
from tests.workflows.conftest import Running
from tests.workflows.operators import Operator
from tests.workflows.service import Ended, Environment, Service, failures, until

_PROMOTED = {"publishes": "promotions"}
SETTINGS: dict[str, Any] = {
    "environments": {
        **{f"env-{number:02}": {} for number in range(30)},
        "patient": {"publication": {"grace_period_seconds": 100}},
        "deaf": {"rollback_on_alarm": {"alarms": None}},
        "live": _PROMOTED,
    },
    "defaults": {
        "rollback_on_alarm": {"alarms": "{environment}-{application}-*", "soak_minutes": 240},
        "reconcile_attempts": 2,
    },
    "parameters": {"RollbackAlarms": "*-comfyui-*"},
}
_NUMBERS = itertools.count()


class Alarm:
    """An alarm of CloudWatch, and the executions that it has started."""

    def __init__(self, service: Service, name: str) -> None:
        self.service = service
        self.name = name
        self._client = service.client("cloudwatch")
        self._client.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/ApplicationELB",
            MetricName="HTTPCode_Target_5XX_Count",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=5,
            ComparisonOperator="GreaterThanThreshold",
        )
        self.becomes("OK")

    def becomes(self, state: str) -> None:
        self._client.set_alarm_state(
            AlarmName=self.name, StateValue=state, StateReason="41 errors in a minute"
        )

    def started(self) -> list[str]:
        """ARNs, oldest first."""
        arns = [each["executionArn"] for each in self.service.executions()]
        details = {arn: self.service.input_of(arn).get("detail") or {} for arn in arns}
        return [arn for arn, detail in details.items() if detail.get("alarmName") == self.name]

    def rings(self, number: int = 1) -> Ended:
        """It goes into ALARM; the execution that this starts has ended."""
        known = len(self.started())
        self.becomes("ALARM")
        until(f"{self.name} starts {number}", lambda: len(self.started()) >= known + number)
        return self.service.wait(self.started()[-1])


@pytest.fixture
def alarm(service: Service, environment: Environment) -> Alarm:
    return Alarm(service, f"{environment.name}-comfyui-errors")


@pytest.fixture
def soaking(environment: Environment) -> Environment:
    """An environment whose second image has just been published."""
    return published_twice(environment)


def published_twice(environment: Environment) -> Environment:
    environment.must_build("one")
    environment.must_build("two")
    return environment


def images_of(environment: Environment) -> tuple[str, str]:
    """The live image, and the one before it."""
    latest = environment.latest()
    assert latest is not None
    (before,) = [each["ImageId"] for each in environment.images() if each["ImageId"] != latest]
    return latest, before


def was_moved(environment: Environment, bad: str, good: str, alarm: str) -> None:
    environment.wait_until_idle()
    assert environment.latest() == good
    history = environment.history()
    assert (history[bad]["rolled_back"], history[bad]["superseded_by"]) == (True, good)
    assert history[good]["status"] == "live"
    assert environment.metadata()["ami_id"] == good
    assert environment.metadata()["reason"] == f"alarm {alarm}: 41 errors in a minute"
    assert environment.item()["pin"]


def stays(environment: Environment, live: str, ended: Ended, why: str) -> None:
    assert (ended.status, ended.output["action"], ended.output["trigger"]) == ("SUCCEEDED", "none", "alarm")
    assert why in ended.output["reasons"][0]
    environment.wait_until_idle()
    assert environment.latest() == live


# During the soak.


def test_an_alarm_during_the_soak_moves_latest_back_and_pins_it(soaking: Environment, alarm: Alarm) -> None:
    bad, good = images_of(soaking)
    ended = alarm.rings()
    assert not failures([ended])
    assert (ended.output["image_id"], ended.output["replaced"], ended.output["action"]) == (
        good,
        bad,
        "publish",
    )
    was_moved(soaking, bad, good, alarm.name)
    assert "pin" in soaking.item()
    # A push does not undo it, and unpin does.
    assert "pinned" in soaking.build("three").output["reasons"][0]
    soaking.service.client("dynamodb")
    assert soaking.latest() == good


def test_latest_goes_back_without_a_build_and_within_seconds(soaking: Environment, alarm: Alarm) -> None:
    since = soaking.service.last_call()
    ended = alarm.rings()
    made = {"RunInstances", "CreateImage", "RegisterImage"}
    assert not made & {call["operation"] for call in soaking.service.calls(since)}
    states = soaking.service.states(ended.arn)
    assert states[:4] == ["Plan Build", "Build Needed?", "Claim Environment", "Environment Free?"]
    assert states[4] == "Publish Image"


def test_a_flapping_alarm_moves_it_once(soaking: Environment, alarm: Alarm) -> None:
    bad, good = images_of(soaking)
    assert not failures([alarm.rings()])
    for _ in range(3):
        alarm.becomes("OK")
        stays(soaking, good, alarm.rings(), f"is pinned to {good}")
    was_moved(soaking, bad, good, alarm.name)
    number = soaking.metadata()["workflow_run_number"]
    assert number == "3", "published once more, and not again"


def test_an_event_that_comes_twice_moves_it_once(soaking: Environment, alarm: Alarm) -> None:
    bad, good = images_of(soaking)
    soaking.service.inject(
        {"kind": "event", "source": "aws.cloudwatch", "effect": "repeat", "seconds": 1, "times": 1}
    )
    alarm.rings(2)
    ended = [soaking.service.wait(arn) for arn in alarm.started()]
    assert not failures(ended)
    was_moved(soaking, bad, good, alarm.name)
    assert soaking.metadata()["workflow_run_number"] == "3"


def test_two_alarms_at_once_move_it_once(soaking: Environment, alarm: Alarm, service: Service) -> None:
    bad, good = images_of(soaking)
    other = Alarm(service, f"{soaking.name}-comfyui-latency")
    alarm.becomes("ALARM")
    other.rings()
    until("both have started", alarm.started)
    assert not failures([service.wait(arn) for arn in (*alarm.started(), *other.started())])
    soaking.wait_until_idle()
    assert soaking.latest() == good
    assert soaking.metadata()["workflow_run_number"] == "3"
    assert soaking.history()[bad]["rolled_back"]


def test_the_previous_image_is_kept_while_it_soaks_whatever_the_sweep_does(soaking: Environment) -> None:
    live, before = images_of(soaking)
    soaking.service.sweep()
    soaking.wait_until_idle()
    assert images_of(soaking) == (live, before)
    record = soaking.history()[before]
    assert record["status"] == "kept"
    assert record["status_reason"].startswith(
        f"an alarm ({soaking.name}-comfyui-*) would have it published again"
    )


# A build that runs.


def test_an_alarm_while_a_build_runs_waits_for_it(service: Service) -> None:
    patient = published_twice(service.environment("patient"))
    alarm = Alarm(service, "patient-comfyui-errors")
    _, good = images_of(patient)
    known = patient.executions()
    patient.push("three")
    build = patient.wait_for_state("Provision Builder", known)
    ended = alarm.rings()
    assert (ended.status, ended.output["status"]) == ("SUCCEEDED", "queued")
    assert not failures([service.wait(build)])
    patient.wait_until_idle()
    assert patient.latest() == good
    history = patient.history()
    assert sorted(each["rolled_back"] for each in history.values()) == [False, False, True, True]
    started = service.input_of(patient.executions()[-1])
    assert (started["trigger"], started["alarm"], started["pin"]) == ("alarm", alarm.name, True)


# Nothing is moved.


def test_an_alarm_after_the_soak_moves_nothing(soaking: Environment, alarm: Alarm) -> None:
    live, _ = images_of(soaking)
    event = recorded_event(alarm.name, state="2100-01-01T00:00:00.000+0000")
    stays(soaking, live, soaking.service.run(event), "has soaked until")


def test_after_the_soak_the_sweep_lets_the_previous_image_go(soaking: Environment, alarm: Alarm) -> None:
    live, _ = images_of(soaking)
    # It was published long ago.
    since = "2026-01-01T00:00:00Z"
    soaking.service.client("ssm").put_parameter(
        Name=f"{soaking.prefix}/history/{live}",
        Value=json.dumps(soaking.history()[live] | {"soaking_since": since}),
        Overwrite=True,
    )
    soaking.service.sweep()
    soaking.wait_until_idle()
    latest = soaking.has_one_image()
    assert latest != live
    assert soaking.history()[latest]["soaking_since"] == since, (
        "the constant name is no publication of its own"
    )
    stays(soaking, latest, alarm.rings(), "has soaked until")


def test_an_alarm_from_before_the_publication_moves_nothing(environment: Environment, alarm: Alarm) -> None:
    environment.must_build("one")
    # While nothing can be moved: the image is the first.
    environment.service.set_rules("AlarmRaisedRule", enabled=False)
    alarm.becomes("ALARM")
    environment.must_build("two")
    environment.service.set_rules("AlarmRaisedRule", enabled=True)
    live, _ = images_of(environment)
    event = recorded_event(alarm.name, state="2026-01-01T00:00:00.000+0000")
    ended = environment.service.run(event)
    stays(environment, live, ended, "so another image is no remedy")
    # It stays in alarm, and its configuration is changed.
    event = recorded_event(alarm.name, state="2100-01-01T00:00:00.000+0000", before="ALARM")
    stays(environment, live, environment.service.run(event), "was in ALARM before")


def recorded_event(name: str, *, state: str, before: str = "OK") -> dict[str, Any]:
    event: dict[str, Any] = json.loads((PROJECT / "events" / "alarm_raised.json").read_text())
    event["detail"]["alarmName"] = name
    event["detail"]["state"]["timestamp"] = state
    event["detail"]["previousState"]["value"] = before
    return event


def test_a_pinned_environment_stays_as_it_is(soaking: Environment, alarm: Alarm, service: Service) -> None:
    live, _ = images_of(soaking)
    pinned = service.run(
        {
            "environment": soaking.name,
            "action": "publish",
            "publish_image_id": live,
            "pin": True,
            "reason": "ours",
        }
    )
    assert not failures([pinned])
    soaking.wait_until_idle()
    stays(soaking, live, alarm.rings(), f"is pinned to {live}")


def test_an_alarm_does_not_undo_a_rollback(soaking: Environment, alarm: Alarm, service: Service) -> None:
    _, good = images_of(soaking)
    back = service.run({"environment": soaking.name, "action": "publish", "publish_image_id": good})
    assert not failures([back])
    soaking.wait_until_idle()
    stays(soaking, good, alarm.rings(), "does not soak")


def test_the_first_image_has_nothing_to_go_back_to_and_that_is_told(
    environment: Environment, alarm: Alarm
) -> None:
    environment.must_build("one")
    live = environment.latest()
    ended = alarm.rings()
    assert (ended.status, ended.error) == ("FAILED", "NoPreviousImageError")
    assert f"is in ALARM since {live} was published in {environment.name}" in str(ended.cause)
    environment.wait_until_idle()
    assert environment.has_one_image() == live
    assert "pin" not in environment.item()


def test_an_environment_that_listens_to_no_alarm_keeps_nothing(service: Service) -> None:
    deaf = published_twice(service.environment("deaf"))
    live = deaf.has_one_image()
    stays(
        deaf, live, Alarm(service, "deaf-comfyui-errors").rings(), "is of no environment's rollback_on_alarm"
    )
    assert deaf.history()[live]["soaking_since"] is None


def test_what_the_rule_does_not_let_through_starts_nothing(soaking: Environment, service: Service) -> None:
    other = Alarm(service, f"{soaking.name}-errors-of-others")
    other.becomes("ALARM")
    # What is let through comes later and is there.
    Alarm(service, f"{soaking.name}-comfyui-latency").rings()
    assert other.started() == []


# Promotions, and what people see.


def test_a_promoted_environment_goes_back_to_the_release_before(
    service: Service, environment: Environment
) -> None:
    live = service.environment("live")
    releases = []
    for revision in ("one", "two"):
        environment.must_build(revision)
        promoted = service.run({"environment": "live", "action": "promote", "promote_from": environment.name})
        assert not failures([promoted])
        live.wait_until_idle()
        releases.append(live.metadata()["release"])
    bad, good = images_of(live)
    alarm = Alarm(service, "live-comfyui-errors")
    assert not failures([alarm.rings()])
    was_moved(live, bad, good, alarm.name)
    assert live.metadata()["release"] == releases[0]


@pytest.fixture
def operator(running: Running) -> Operator:
    return Operator(running.service)


def test_the_command_line_tells_what_soaks_and_what_an_alarm_has_done(
    soaking: Environment, alarm: Alarm, operator: Operator
) -> None:
    bad, good = images_of(soaking)
    soak = operator.status(soaking.name)["soak"]
    assert (soak["alarms"], soak["back_to"]) == (f"{soaking.name}-comfyui-*", good)
    assert soak["since"] == soaking.history()[bad]["soaking_since"]
    shown = " ".join(operator.run("status", soaking.name).output.split())
    assert f"an alarm of {soaking.name}-comfyui-* goes back to {good}" in shown
    ended = alarm.rings()
    soaking.wait_until_idle()
    told = operator.status(soaking.name)
    assert told["soak"] is None
    assert (told["latest"], told["pin"]["image_id"]) == (good, good)
    assert told["pin"]["reason"] == f"alarm {alarm.name}: 41 errors in a minute"
    newest = operator.ask("builds", soaking.name)["builds"][0]
    assert (newest["name"], newest["trigger"]) == (ended.name, "alarm")
    history = {each["ami_id"]: each for each in operator.ask("history", soaking.name)["images"]}
    assert (history[bad]["rolled_back"], history[good]["soaking_since"]) == (True, None)


def test_unpin_has_pushes_built_again(soaking: Environment, alarm: Alarm, operator: Operator) -> None:
    _, good = images_of(soaking)
    alarm.rings()
    soaking.wait_until_idle()
    assert operator.run("unpin", soaking.name, "--yes").exit_code == 0
    soaking.must_build("three")
    assert soaking.latest() != good
    assert soaking.history()[str(soaking.latest())]["soaking_since"] is not None


def test_the_doctor_sees_whether_alarms_reach_the_service(operator: Operator) -> None:
    told = json.loads(operator.run("doctor", "--json").output)["findings"]
    findings = [each for each in told if "alarms of env-00-" in each["message"]]
    assert [(each["level"], each["area"]) for each in findings] == [("ok", "events")]
