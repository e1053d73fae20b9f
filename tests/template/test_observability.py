"""Alarms and the dashboard: what they look at exists, and each alarm has a section in the runbook."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel
from tests.template.stack import ROOT, resources, template

from ami_lifecycle.domain.decision import Blocked, Decision, RetireAction
from ami_lifecycle.domain.execution import ClaimResult, ClaimStatus, WaitKind
from ami_lifecycle.domain.request import Action
from ami_lifecycle.domain.result import CleanUpResult, FindingKind, ReleaseResult, SweepFinding, SweepResult
from ami_lifecycle.metrics import Metric, Unit, metrics_of
from ami_lifecycle.steps.resume_build import Resumed

IMAGE = "ami-0123456789abcdef0"
ALARMS = resources("AWS::CloudWatch::Alarm")
OWN_NAMESPACE = {"Ref": "AWS::StackName"}
EMPTY = (
    ReleaseResult(environment="prod", action=Action.BUILD),
    CleanUpResult(error="x", cause="y"),
    ClaimResult(status=ClaimStatus.CLAIMED, number=1, reason="free"),
    SweepResult(image_age_days=1, base_age_days=1),
    *(
        Resumed(resource_id="x", resumed=True, reason="it ended", kind=kind, waited_seconds=1.5)
        for kind in WaitKind
    ),
)
OWN_METRICS = {measure.name for result in EMPTY for measure in metrics_of(result)}


def values_of(result: BaseModel | None) -> dict[str, float]:
    return {measure.name: measure.value for measure in metrics_of(result)}


def headings() -> set[str]:
    return set(re.findall(r"^#+ (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE))


def dashboard() -> dict[str, Any]:
    """As CloudFormation substitutes it: the names in ${} are still there."""
    (properties,) = resources("AWS::CloudWatch::Dashboard").values()
    location = properties["DashboardBody"]["Fn::Transform"]["Parameters"]["Location"]
    included = json.loads((ROOT / location).read_text())
    loaded: dict[str, Any] = json.loads(included["Fn::Sub"])
    return loaded


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_names_its_section_of_the_runbook(name: str) -> None:
    section = ALARMS[name]["AlarmDescription"].partition("docs/runbook.md, ")[2].removesuffix(".")
    assert section in headings()


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_tells_its_topic_and_decides_about_missing_data(name: str) -> None:
    alarm = ALARMS[name]
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
    assert alarm["TreatMissingData"] in {"breaching", "notBreaching"}
    # CloudWatch API reference, PutMetricAlarm: at most a day, with periods of less than an hour too.
    assert int(alarm["Period"]) * int(alarm["EvaluationPeriods"]) <= 86400


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_on_our_own_metric_looks_at_one_that_functions_write(name: str) -> None:
    alarm = ALARMS[name]
    if alarm["Namespace"] == OWN_NAMESPACE:
        assert alarm["MetricName"] in OWN_METRICS
        service = template()["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        assert alarm["Dimensions"] == [{"Name": "service", "Value": service}]


def test_what_can_go_wrong_has_an_alarm() -> None:
    assert {alarm["MetricName"] for alarm in ALARMS.values()} == {
        "ApproximateNumberOfMessagesVisible",
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "Invocations",
        "NotificationsFailed",
        "OrphansFound",
        "RebuildsOverdue",
        "ResourcesBlocked",
        "RetirementsDue",
        "UnpublishedDigests",
    }


def test_the_dashboard_shows_every_metric_that_functions_write() -> None:
    rows = [row for widget in dashboard()["widgets"] for row in widget["properties"]["metrics"]]
    assert {row[1] for row in rows if row[0] == "${AWS::StackName}"} == OWN_METRICS


def test_the_widgets_of_the_dashboard_do_not_overlap() -> None:
    places = [(widget["x"], widget["y"]) for widget in dashboard()["widgets"]]
    assert len(places) == len(set(places))
    assert all(widget["x"] + widget["width"] <= 24 for widget in dashboard()["widgets"])


def test_an_alarm_can_reach_its_topic() -> None:
    # CloudWatch cannot publish to a topic that the AWS managed key encrypts.
    assert "KmsMasterKeyId" not in resources("AWS::SNS::Topic")["AlarmTopic"]
    (policy,) = resources("AWS::SNS::TopicPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_outcomes_are_counted() -> None:
    decisions = [
        Decision(image_id=IMAGE, action=action, reason="because")
        for action in (RetireAction.RETIRE, RetireAction.RETIRE, RetireAction.KEEP)
    ]
    released = ReleaseResult(
        environment="prod", action=Action.BUILD, image_id=IMAGE, decisions=tuple(decisions)
    )
    told = {"NotificationsFailed": 0}
    assert values_of(released) == {"ImagesPublished": 1, "ImagesRetired": 2, "ImagesKept": 1} | told
    failed = CleanUpResult(error="x", cause="y", released=("prod",))
    assert values_of(failed) == {"BuildsFailed": 1} | told
    untold = (Blocked(resource="events", error="ThrottledError", reason="slower"),)
    assert values_of(failed.model_copy(update={"untold": untold}))["NotificationsFailed"] == 1
    queued = ClaimResult(status=ClaimStatus.QUEUED, number=0, reason="busy")
    assert values_of(queued) == {"BuildsQueued": 1}


def test_what_the_sweep_does_not_find_is_counted_as_none() -> None:
    kinds = (FindingKind.ORPHAN, FindingKind.ORPHAN, FindingKind.OTHER)
    findings = [SweepFinding(environment="prod", finding="x", repaired=True, kind=kind) for kind in kinds]
    result = SweepResult(
        findings=tuple(findings), waiting=("prod", "dev"), unpublished=("prod",), blocked=("snap-1",)
    )
    assert values_of(result) == {
        "DeadClaimsFound": 0,
        "OrphansFound": 2,
        "RequestsWaiting": 2,
        "ResourcesBlocked": 1,
        "RetirementsDue": 0,
        "UnpublishedDigests": 1,
    }


def test_ages_are_measured_where_something_is_rebuilt_by_schedule() -> None:
    result = SweepResult(image_age_days=31.5, base_age_days=40.0, overdue=("prod",))
    ages = {"OldestImageDays": 31.5, "OldestBaseDays": 40.0, "RebuildsOverdue": 1}
    assert values_of(result) == values_of(SweepResult()) | ages
    assert "RebuildsOverdue" not in values_of(SweepResult())


def test_how_long_a_phase_took_is_measured_when_its_event_comes() -> None:
    ended = Resumed(
        resource_id="x", resumed=True, reason="it ended", kind=WaitKind.IMAGE, waited_seconds=240.5
    )
    assert metrics_of(ended) == [Metric("ImageCreationTime", 240.5, Unit.SECONDS)]
    assert metrics_of(ended.model_copy(update={"resumed": False})) == []


def test_a_step_without_an_outcome_measures_nothing() -> None:
    assert metrics_of(None) == []
    assert metrics_of(SweepFinding(environment=None, finding="x", repaired=True)) == []
