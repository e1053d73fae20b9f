"""Permissions on the emulator: the service works with what template.yaml grants, and with nothing less.

One fixture lives through what functions do, from a first build to failures, aborts and sweeps. The emulator
keeps every question that a call put to a role's policies. So a grant can be taken away on paper: the
questions are answered again without it, and one of them must be denied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.workflows.configuration import PROJECT
from tests.workflows.conftest import Running
from tests.workflows.granted import FEW_ENVIRONMENTS, Grant, Policies, listed
from tests.workflows.service import Environment, Service, failures, until

from aws_emulator.iam.enforcement import Answer
from aws_emulator.iam.policies import Decision, decide

SETTINGS = FEW_ENVIRONMENTS
ASYNCHRONOUS = {
    "CleanUpBuildFunction": "clean_up_build_failed",
    "ResumeBuildFunction": "resume_build",
    "SweepEnvironmentsFunction": "sweep_environments",
}
# Grants whose use cannot be seen here, each with what needs it.
_CHANNEL = (
    "the agent's older message channel, to which it falls back (Systems Manager user guide, ec2messages)"
)
_ASSOCIATIONS = "the agent asks for State Manager's associations at its start, whatever it finds"
_TRACES = "traces; without the right they are lost and nothing fails (AWS X-Ray developer guide)"
UNSEEN: Mapping[str, str] = {
    "BuilderRole ec2messages:AcknowledgeMessage": _CHANNEL,
    "BuilderRole ec2messages:DeleteMessage": _CHANNEL,
    "BuilderRole ec2messages:FailMessage": _CHANNEL,
    "BuilderRole ec2messages:GetEndpoint": _CHANNEL,
    "BuilderRole ec2messages:GetMessages": _CHANNEL,
    "BuilderRole ec2messages:SendReply": _CHANNEL,
    "BuilderRole ssm:ListAssociations": _ASSOCIATIONS,
    "BuilderRole ssm:ListInstanceAssociations": _ASSOCIATIONS,
    "BuildStateMachineRole xray:GetSamplingRules": _TRACES,
    "BuildStateMachineRole xray:GetSamplingTargets": _TRACES,
    "BuildStateMachineRole xray:PutTelemetryRecords": _TRACES,
    "BuildStateMachineRole xray:PutTraceSegments": _TRACES,
}
# Actions of a shared policy that another of its roles uses.
UNSEEN_OF_ROLE: Mapping[str, str] = {
    **UNSEEN,
    "ResumeBuildRole ssm:DescribeInstanceInformation": (
        "an event about an instance whose agent is waited for, which is running when the event is handled"
    ),
    "RetireImagesRole ssm:AddTagsToResource": (
        "a record that vanishes between the look and the write is created again, with tags"
    ),
}


@pytest.fixture(scope="module")
def answers(running: Running) -> list[Answer]:
    """All that was asked of policies while the service lived through what it is made for."""
    service = running.service
    _add_group_of_others(service)
    scenes = (_build_twice, _fail, _build_what_queued, _go_back, _approve)
    with ThreadPoolExecutor(len(scenes)) as threads:
        for scene in [threads.submit(scene, service) for scene in scenes]:
            scene.result()
    _restrict_images(service)
    _sweep(service)
    # Their events name an instance that is none, so the agent is not there, and they look why.
    for name in ("provision_builder", "verify_image"):
        logical_id = f"{name.title().replace('_', '')}Function"
        service.invoke(logical_id, json.loads((PROJECT / "events" / f"{name}.json").read_text()))
    _lose_invocations(running)
    for function in running.emulator.functions.functions():
        lines = service.ask("GET", f"logs?function={function.logical_id}")["lines"]
        assert lines, f"{function.logical_id} has not run"
    return running.emulator.enforcement.answers()


def _add_group_of_others(service: Service) -> None:
    """A group whose refreshes have to be looked at."""
    ubuntu = service.client("ec2").describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    service.client("ec2").create_launch_template(
        LaunchTemplateName="others", LaunchTemplateData={"ImageId": ubuntu, "InstanceType": "m5.large"}
    )
    service.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="others",
        LaunchTemplate={"LaunchTemplateName": "others"},
        MinSize=0,
        MaxSize=1,
        AvailabilityZones=["us-east-1a"],
    )


def _build_twice(service: Service) -> None:
    """Between two builds, one whose builder does not stop at first, and then makes no image; all with a quota
    that has no room for the first instance type.
    """
    environment = service.environment("calm")
    service.inject({"kind": "quota", "instance_type": "m7i.large", "limit": 1})
    environment.must_build("calm 1")
    # The next image is compared with one whose package list somebody has deleted.
    bucket, _, key = environment.metadata()["facts"]["packages"]["uri"].removeprefix("s3://").partition("/")
    service.client("s3").delete_object(Bucket=bucket, Key=key)
    refused = {"kind": "error", "service": "ec2", "code": "IncorrectInstanceState", "status": 400}
    service.inject({**refused, "operation": "StopInstances", "caller": "StopBuilderFunction"})
    service.inject(
        {**refused, "operation": "CreateImage", "caller": "CreateImageFunction", "code": "IncorrectState"}
    )
    environment.build("calm 2")
    environment.must_build("calm 3")


def _restrict_images(service: Service) -> None:
    """A fresh build in an account that does not allow itself Ubuntu's image."""
    ec2 = service.client("ec2")
    ec2.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
    ended = service.run({"environment": "calm", "fresh": True})
    assert ended.error == "ImageNotAllowedError"
    ec2.disable_allowed_images_settings()


def _fail(service: Service) -> None:
    """Provisioning, verification and publishing fail, the last with a push in the queue."""
    environment = service.environment("failing")
    environment.must_build("failing 1")
    for document in ("ProvisionImage", "VerifyImage"):
        digest = environment.push_quietly(f"failing {document}")
        service.inject({"kind": "command_fails", "document": document, "digest": digest, "times": None})
        ended = service.run({"environment": environment.name, "image_digest": digest})
        assert ended.status == "FAILED", f"{document}: {ended.output}"
        environment.wait_until_idle()
    service.inject(
        {
            "kind": "error",
            "service": "ssm",
            "operation": "PutParameter",
            "match": {"Name": f"{environment.prefix}/latest"},
            "code": "AccessDeniedException",
        }
    )
    known = environment.executions()
    environment.push("failing 2")
    _wait_for_claim(environment)
    environment.push("failing 3")
    environment.wait_for_executions(len(known) + 3)


def _build_what_queued(service: Service) -> None:
    environment = service.environment("busy")
    environment.push("busy 1")
    _wait_for_claim(environment)
    environment.push("busy 2")
    environment.wait_for_executions(3)


def _go_back(service: Service) -> None:
    """A kept image becomes live again, another one goes, and comes back out of the Recycle Bin."""
    environment = service.environment("wayback")
    environment.must_build("wayback 1")
    first = environment.latest()
    environment.must_build("wayback 2")
    second = environment.latest()
    for request in ({"action": "publish", "publish_image_id": first}, {"force": True}):
        if "force" in request:
            environment.push_quietly("wayback 3")
        assert not failures([service.run({"environment": environment.name, **request})])
        environment.wait_until_idle()
    undeletion = {"environment": environment.name, "action": "undelete", "publish_image_id": second}
    ended = service.run(undeletion)
    assert not failures([ended])
    assert ended.output["action"] == "undelete"
    environment.wait_until_idle()


def _approve(service: Service) -> None:
    """Two pushes are approved, the second one asks before the sweep has looked."""
    environment = service.environment("asked")
    for revision in ("asked 1", "asked 2"):
        asked = environment.must_build(revision).output["approval_id"]
        event = {"id": asked, "decision": "approve", "by": "ann"}
        _, decided = service.invoke("DecideApprovalFunction", event)
        assert not failures([service.wait(decided["started_execution"])])


def _wait_for_claim(environment: Environment) -> None:
    try:
        until("the build holds the environment", lambda: "claim" in environment.item())
    except AssertionError as error:
        machine = environment.service.client("stepfunctions")
        found = [machine.describe_execution(executionArn=arn) for arn in environment.executions()]
        states = [(each["status"], each.get("cause"), each.get("output", "")[:500]) for each in found]
        raise AssertionError(f"{error}: {json.dumps(states, indent=1)}") from error


def _sweep(service: Service) -> None:
    """A build is stopped and nobody is told; a push is lost; history is longer than wanted."""
    environment = service.environment("swept")
    environment.must_build("swept 1")
    # An alias with a version, which has to be resolved.
    service.client("ec2").create_launch_template(
        LaunchTemplateName="pinned",
        LaunchTemplateData={"ImageId": f"resolve:ssm:{environment.prefix}/latest:1"},
    )
    service.set_rules("BuildFailedRule", enabled=False)
    known = environment.executions()
    service.inject({"kind": "command_lost", "document": "VerifyImage"})
    environment.push("swept 2")
    until("the build starts", lambda: len(environment.executions()) > len(known))
    arn = environment.wait_for_state("Await Verification")
    service.client("stepfunctions").stop_execution(executionArn=arn)
    assert any(arn in finding["finding"] for finding in service.sweep())
    environment.wait_until_idle()
    service.set_rules("BuildFailedRule", enabled=True)
    service.set_rules("ImagePushedRule", enabled=False)
    known = environment.executions()
    environment.push("swept 3")
    service.sweep()
    assert not failures([environment.wait_for_execution(known)])
    service.set_rules("ImagePushedRule", enabled=True)
    service.sweep()
    # Ubuntu's newest image is looked for in an account that does not allow itself one.
    ec2 = service.client("ec2")
    ec2.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
    service.sweep()
    ec2.disable_allowed_images_settings()


def _lose_invocations(running: Running) -> None:
    """Asynchronous invocations that fail for good go to the queue, and so does a schedule that cannot deliver."""
    service = running.service
    service.inject(
        *(
            {
                "kind": "error",
                "service": "dynamodb",
                "caller": caller,
                "code": "ValidationException",
                "times": None,
            }
            for caller in ASYNCHRONOUS
        )
    )
    for caller, event in ASYNCHRONOUS.items():
        service.client("lambda").invoke(
            FunctionName=service.physical_ids[caller],
            InvocationType="Event",
            Payload=(PROJECT / "events" / f"{event}.json").read_text(),
        )
    fault = {"kind": "error", "service": "lambda", "operation": "Invoke", "caller": "SweepSchedule"}
    service.inject({**fault, "code": "ResourceNotFoundException"})
    service.fire_schedule()
    senders = {*ASYNCHRONOUS, "SweepSchedule"}

    def have_sent() -> bool:
        asked = running.emulator.enforcement.answers()
        return {each.caller for each in asked if each.check.action == "sqs:SendMessage"} == senders

    until("all that was lost is in the queue", have_sent)
    service.ask("DELETE", "faults")


@pytest.fixture(scope="module")
def policies(running: Running) -> Policies:
    return Policies(running.service)


def test_nothing_that_the_service_does_is_denied(answers: list[Answer]) -> None:
    assert len(answers) > 500
    assert [f"{each.caller}: {each.check}" for each in answers if not each.allowed] == []


def test_every_function_and_every_other_role_was_asked(answers: list[Answer], policies: Policies) -> None:
    assert {each.role_arn for each in answers} == set(policies.roles.values())


def test_without_any_single_grant_something_is_denied(answers: list[Answer], policies: Policies) -> None:
    asked: dict[str, list[Answer]] = {}
    for answer in answers:
        asked.setdefault(answer.role_arn, []).append(answer)
    superfluous = {
        str(grant)
        for grant in policies.grants()
        if not any(_is_missed(grant, policies, arn, asked.get(arn, [])) for arn in grant.role_arns)
    }
    assert superfluous == set(UNSEEN)


def _is_missed(grant: Grant, policies: Policies, role_arn: str, asked: list[Answer]) -> bool:
    statements = policies.without(grant, role_arn)
    return any(
        decide(statements, each.check) is not Decision.ALLOWED
        for each in asked
        if each.check.action == grant.action
    )


def test_every_role_uses_every_action_that_it_is_granted(answers: list[Answer], policies: Policies) -> None:
    used = {(each.role_arn, each.check.action) for each in answers}
    granted = {
        (arn, action)
        for arn, owners in policies.attached.items()
        for owner in owners
        for statement in policies.documents[owner]["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    }
    names = {arn: logical_id for logical_id, arn in policies.roles.items()}
    unused = {f"{names[arn]} {action}" for arn, action in granted - used}
    assert unused == set(UNSEEN_OF_ROLE)
