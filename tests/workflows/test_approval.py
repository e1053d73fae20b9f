"""Approval in the emulated account: no way to publish goes around it, and what waits holds nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.workflows.conftest import Running
from tests.workflows.granted import Policies, client_of
from tests.workflows.operators import Operator
from tests.workflows.service import Ended, Environment, Service, failures, until

from aws_emulator.iam.policies import Decision, check, parse_statements
from aws_emulator.iam.policies import decide as evaluate

_PUSHES = {"approval": {"pushes": True}}
_PROMOTIONS = {"publishes": "promotions", "approval": {"promotions": True}}
SETTINGS: dict[str, Any] = {
    "environments": {
        **{f"env-{number:02}": _PUSHES for number in range(30)},
        **{f"live-{number:02}": _PROMOTIONS for number in range(10)},
        # A release has to be there still when its promotion is approved.
        "tested": {"retirement": {"keep_previous": 2}},
        "short": {"approval": {"pushes": True, "expires_hours": 1}},
    },
}
_NUMBERS = itertools.count()


@pytest.fixture
def target(service: Service) -> Environment:
    """An environment that takes promotions which somebody approves."""
    return service.environment(f"live-{next(_NUMBERS):02}")


def item(service: Service, key: str) -> dict[str, Any]:
    answer = service.client("dynamodb").get_item(
        TableName=service.outputs["StateTableName"], Key={"pk": {"S": key}}, ConsistentRead=True
    )
    found = answer.get("Item", {}).get("content", {}).get("S", "{}")
    content: dict[str, Any] = json.loads(found)
    return content


def waiting(environment: Environment) -> dict[str, Any]:
    """The open request of an environment."""
    found = item(environment.service, f"approval#{environment.name}").get("open")
    assert found is not None, "nothing waits"
    subject: dict[str, Any] = found
    return subject


def approval_of(ended: Ended) -> str:
    assert not failures([ended])
    assert ended.output["status"] == "approval_waiting", ended.output
    return str(ended.output["approval_id"])


def decide(service: Service, approval_id: str, decision: str = "approve", **more: Any) -> Any:
    """Decide as a bot does; the answer, or the name of the error."""
    event = {"id": approval_id, "decision": decision, "by": "ann", **more}
    answer, payload = service.invoke("DecideApprovalFunction", event)
    return payload["errorType"] if "FunctionError" in answer else payload


def approve(environment: Environment, approval_id: str) -> Ended:
    """Approve, and wait until what that starts has ended."""
    decided = decide(environment.service, approval_id)
    assert isinstance(decided, dict), decided
    ended = environment.service.wait(decided["started_execution"])
    environment.wait_until_idle()
    return ended


def must_approve(environment: Environment, approval_id: str) -> Ended:
    ended = approve(environment, approval_id)
    assert not failures([ended])
    assert ended.output["image_id"] == environment.latest()
    return ended


def test_a_push_waits_holds_nothing_and_is_published_once_approved(environment: Environment) -> None:
    service = environment.service
    ended = environment.build("one")
    approval_id = approval_of(ended)
    assert service.states(ended.arn) == [
        "Plan Build",
        "Build Needed?",
        "Request Approval",
        "Waiting For Approval",
    ]
    assert (environment.latest(), environment.images(), environment.item()) == (None, [], {})
    must_approve(environment, approval_id)
    assert environment.metadata()["gates"]["approval"]["id"] == approval_id
    assert environment.metadata()["gates"]["approval"]["by"] == "ann"
    assert environment.history()[str(environment.latest())]["gates"] == environment.metadata()["gates"]
    assert service.sweep() == [] or approval_id not in str(service.sweep())


def test_approved_late_twice_and_after_a_newer_one(environment: Environment) -> None:
    service = environment.service
    first = approval_of(environment.build("one"))
    second = approval_of(environment.build("two"))
    assert decide(service, first) == "ApprovalSupersededError"
    assert environment.images() == []
    decided = decide(service, second)
    assert decide(service, second, by="eve") == decided
    assert decide(service, second, "reject", reason="no") == "ApprovalDecidedError"
    service.wait(decided["started_execution"])
    environment.wait_until_idle()
    started = [arn for arn in environment.executions() if "-approved-" in arn]
    assert started == [decided["started_execution"]]
    assert decide(service, f"{environment.name}-0123456789ab") == "ApprovalNotFoundError"


def test_an_expired_request_is_told_and_is_over(running: Running) -> None:
    service = running.service
    environment = service.environment("short")
    approval_id = approval_of(environment.build("one"))
    let_expire(environment)
    findings = [each["finding"] for each in service.sweep() if each["environment"] == "short"]
    assert f"nobody has decided about {approval_id} in time" in findings
    assert decide(service, approval_id) == "ApprovalExpiredError"
    service.sweep()
    known = environment.executions()
    environment.announce(digest_of_tag(environment))
    assert environment.wait_for_execution(known).output["action"] == "none", (
        "what was asked is not asked again"
    )
    assert environment.latest() is None
    again = approval_of(service.run({"environment": "short"}))
    assert again == approval_id
    must_approve(environment, again)


def let_expire(environment: Environment) -> None:
    """Let the hour of the open request be over; functions have the time of this machine."""
    service, key = environment.service, f"approval#{environment.name}"
    table = {"TableName": service.outputs["StateTableName"]}
    found = service.client("dynamodb").get_item(**table, Key={"pk": {"S": key}})["Item"]
    content = json.loads(found["content"]["S"])
    content["open"]["expires_at"] = content["open"]["asked_at"]
    service.client("dynamodb").put_item(**table, Item={**found, "content": {"S": json.dumps(content)}})


def digest_of_tag(environment: Environment) -> str:
    found = environment.service.client("ecr").describe_images(
        repositoryName="comfyui", imageIds=[{"imageTag": environment.tag}]
    )["imageDetails"]
    return str(found[0]["imageDigest"])


def test_a_promotion_is_asked_and_promotes_what_was_shown(service: Service, target: Environment) -> None:
    source = service.environment("tested")
    source.must_build(f"for {target.name}")
    shown = source.metadata()["release"]
    request = {"environment": target.name, "action": "promote", "promote_from": "tested"}
    approval_id = approval_of(service.run(request))
    asked = waiting(target)
    assert asked["subject"]["release"] == shown
    assert asked["facts"]["boot_to_healthy_seconds"] is not None
    source.must_build(f"newer than for {target.name}")
    must_approve(target, approval_id)
    assert target.metadata()["release"] == shown
    # An emergency build does not go around it, nor does a rebuild of the same digest by hand.
    forced = service.run(
        {"environment": target.name, "image_digest": target.metadata()["image_digest"], "force": True}
    )
    assert approval_of(forced) != approval_id


def test_what_the_sweep_finds_is_asked(environment: Environment) -> None:
    service = environment.service
    service.set_rules("ImagePushedRule", enabled=False)
    try:
        environment.push("lost")
        known = environment.executions()
        service.sweep()
        approval_id = approval_of(environment.wait_for_execution(known))
    finally:
        service.set_rules("ImagePushedRule", enabled=True)
    before = environment.executions()
    service.sweep()
    assert environment.executions() == before, "it is asked once"
    must_approve(environment, approval_id)


def test_an_approved_push_waits_in_the_queue(environment: Environment) -> None:
    service = environment.service
    first = approval_of(environment.build("one"))
    decided = decide(service, first)
    until("it holds the environment", lambda: "claim" in environment.item())
    digest = environment.push_quietly("two")
    second = approval_of(service.run({"environment": environment.name, "image_digest": digest}))
    queued = service.wait(decide(service, second)["started_execution"])
    assert queued.output["status"] in {"queued", "claimed"} or queued.status == "SUCCEEDED"
    service.wait(decided["started_execution"])
    environment.wait_until_idle()
    assert environment.metadata()["image_digest"] == digest
    assert environment.metadata()["gates"]["approval"]["id"] == second


def test_running_again_and_redriving_do_not_go_around_it(environment: Environment) -> None:
    service = environment.service
    machine, table = service.client("stepfunctions"), service.client("dynamodb")
    ended = environment.build("one")
    approval_id = approval_of(ended)
    # The same input again, as the console's New execution does.
    again = service.run(service.input_of(ended.arn))
    assert approval_of(again) == approval_id
    service.inject(
        {
            "kind": "error",
            "service": "dynamodb",
            "operation": "GetItem",
            "caller": "PublishImageFunction",
            "code": "AccessDeniedException",
            "times": None,
        }
    )
    started = decide(service, approval_id)["started_execution"]
    assert service.wait(started).status == "FAILED"
    environment.wait_until_idle()
    service.ask("DELETE", "faults")
    table.delete_item(
        TableName=service.outputs["StateTableName"], Key={"pk": {"S": f"decision#{approval_id}"}}
    )
    machine.redrive_execution(executionArn=started)
    redriven = service.wait(started)
    assert redriven.status == "FAILED"
    assert environment.latest() is None
    environment.wait_until_idle()
    rerun = service.run(service.input_of(started))
    assert approval_of(rerun) == approval_id, "whoever starts the approved input again asks again"
    assert environment.latest() is None


def test_what_loses_its_approval_is_cleaned_up(environment: Environment) -> None:
    service = environment.service
    approval_id = approval_of(environment.build("one"))
    started = decide(service, approval_id)["started_execution"]
    until("it holds the environment", lambda: "claim" in environment.item())
    service.client("dynamodb").delete_item(
        TableName=service.outputs["StateTableName"], Key={"pk": {"S": f"decision#{approval_id}"}}
    )
    ended = service.wait(started)
    assert (ended.status, ended.error) == ("FAILED", "ApprovalMissingError")
    environment.wait_until_idle()
    assert environment.latest() is None
    assert environment.left().images == {}
    assert environment.left().snapshots == frozenset()


def test_a_rollback_to_an_image_that_is_there_needs_no_approval(environment: Environment) -> None:
    service = environment.service
    must_approve(environment, approval_of(environment.build("one")))
    old = str(environment.latest())
    environment.pin_by_launch_template()
    must_approve(environment, approval_of(environment.build("two")))
    assert environment.latest() != old
    ended = service.run(
        {"environment": environment.name, "action": "publish", "publish_image_id": old, "pin": True}
    )
    assert not failures([ended])
    assert environment.latest() == old


@pytest.fixture(scope="module")
def policies(running: Running) -> Policies:
    return Policies(running.service)


def writers(policies: Policies, service: Service, key: str, *actions: str) -> Iterator[str]:
    """The roles that may change an item of the table."""
    resource = f"arn:aws:dynamodb:us-east-1:123456789012:table/{service.outputs['StateTableName']}"
    for name, arn in policies.roles.items():
        for action in actions:
            asked = check(action, resource, {"dynamodb:LeadingKeys": [key]})
            if evaluate(policies.statements(arn), asked) is Decision.ALLOWED:
                yield f"{name} {action}"


def test_nobody_but_the_one_function_writes_decisions(policies: Policies, service: Service) -> None:
    changes = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem")
    assert list(writers(policies, service, "decision#prod-1a2b3c4d5e6f", *changes)) == [
        "DecideApprovalRole dynamodb:PutItem"
    ]
    assert sorted(writers(policies, service, "approval#prod", *changes)) == [
        "RequestApprovalRole dynamodb:PutItem",
        "SweepEnvironmentsRole dynamodb:PutItem",
    ]


def test_the_emulator_refuses_a_decision_by_another_role(running: Running, environment: Environment) -> None:
    """Not on paper: the call that another function would make."""
    service = running.service
    approval_id = approval_of(environment.build("one"))
    put = {
        "TableName": service.outputs["StateTableName"],
        "Item": {"pk": {"S": f"decision#{approval_id}"}, "content": {"S": "{}"}},
    }
    for caller in (
        "PlanBuildFunction",
        "RequestApprovalFunction",
        "PublishImageFunction",
        "SweepEnvironmentsFunction",
    ):
        with pytest.raises(ClientError, match="not authorized to perform: dynamodb:PutItem"):
            client_of(running, caller, "dynamodb").put_item(**put)
    running.grants.take()
    assert item(service, f"decision#{approval_id}") == {}


def test_by_the_wrong_role_nothing_is_decided(running: Running, environment: Environment) -> None:
    service = running.service
    approval_id = approval_of(environment.build("one"))
    event = json.dumps({"id": approval_id, "decision": "approve", "by": "ann"})
    name = service.outputs["DecideApprovalFunctionName"]
    for caller in ("PlanBuildFunction", "RequestApprovalFunction", "BuildStateMachine"):
        with pytest.raises(ClientError, match="not authorized to perform: lambda:InvokeFunction"):
            client_of(running, caller, "lambda").invoke(FunctionName=name, Payload=event)
    running.grants.take()
    assert item(service, f"decision#{approval_id}") == {}


def test_the_approvers_policy_lets_them_invoke_that_function_and_read(running: Running) -> None:
    service = running.service
    iam, policy = service.client("iam"), service.outputs["ApproverPolicyArn"]
    version = iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"]
    found = iam.get_policy_version(PolicyArn=policy, VersionId=version)["PolicyVersion"]["Document"]
    statements = parse_statements(found)
    function = "arn:aws:lambda:us-east-1:123456789012:function:"
    table = f"arn:aws:dynamodb:us-east-1:123456789012:table/{service.outputs['StateTableName']}"
    asked = {
        "decide": check("lambda:InvokeFunction", function + service.outputs["DecideApprovalFunctionName"]),
        "sweep": check("lambda:InvokeFunction", function + service.outputs["SweepFunctionName"]),
        "read": check("dynamodb:GetItem", table, {"dynamodb:LeadingKeys": ["decision#prod-1"]}),
        "write": check("dynamodb:PutItem", table, {"dynamodb:LeadingKeys": ["decision#prod-1"]}),
        "claims": check("dynamodb:GetItem", table, {"dynamodb:LeadingKeys": ["environment#prod"]}),
    }
    allowed = {name for name, each in asked.items() if evaluate(statements, each) is Decision.ALLOWED}
    assert allowed == {"decide", "read"}


@pytest.fixture
def operator(service: Service) -> Operator:
    return Operator(service)


def test_operators_see_what_waits_and_decide(environment: Environment, operator: Operator) -> None:
    name = environment.name
    approval_id = approval_of(environment.build("one"))
    told = f"{name}: nothing is published yet; {approval_id} waits until"
    assert told in operator.run("status").output
    assert f"ami-lifecycle approve {approval_id}" in operator.run("status", name).output
    assert operator.status(name)["approval"]["id"] == approval_id
    shown = operator.ask("approvals", name)["approvals"]
    assert [(each["id"], each["state"]) for each in shown] == [(approval_id, "waiting")]
    assert f"Decide: ami-lifecycle approve {approval_id}" in operator.run("approvals", name).notes
    refused = operator.run("reject", approval_id, "--reason", "", "--json")
    assert json.loads(refused.notes.splitlines()[-1])["error"]["code"] == "InvalidRequestError"
    rejected = operator.ask("reject", approval_id, "--reason", "no")
    assert (rejected["decision"], rejected["started_execution"]) == ("rejected", None)
    waited = operator.run("wait", name, "--json")
    assert (waited.exit_code, json.loads(waited.output)["outcome"]) == (7, "not approved")
    planned = operator.ask("build", name, "--dry-run")
    assert (planned["action"], planned["ask"]["subject"]["environment"]) == ("ask", name)
    followed = operator.run("build", name, "--watch")
    assert (
        followed.exit_code,
        f"Waits for approval: waits for the approval {approval_id}" in followed.output,
    ) == (0, True)
    own = operator.run("approve", approval_id, "--json")
    assert json.loads(own.notes.splitlines()[-1])["error"]["code"] == "OwnApprovalError"
    approved = operator.run("approve", approval_id, "--by", "ann", "--reason", "tested")
    assert f"{approval_id} is approved, by ann." in approved.output
    assert operator.run("wait", name).exit_code == 0
    environment.wait_until_idle()
    assert environment.metadata()["gates"]["approval"]["by"] == "ann"
    listed = operator.ask("approvals", name, "--all")["approvals"]
    assert {each["state"] for each in listed} <= {"approved", "rejected"}
    environment.service.sweep()
    assert "Nothing waits for approval." in operator.run("approvals", name).output
