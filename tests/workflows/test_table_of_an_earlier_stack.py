"""A stack is deleted and made again: what its table holds goes on, because the next one takes the table over."""

from __future__ import annotations

import json

import pytest
from tests.workflows.configuration import PROJECT
from tests.workflows.conftest import Running
from tests.workflows.service import ENDED, Service, until

from aws_emulator.cloudformation.resources import Account
from aws_emulator.cloudformation.stack import Stack
from aws_emulator.cloudformation.template import TemplateError, load_template
from aws_emulator.cloudformation.workloads import Workloads

SETTINGS = {"environments": {"kept": {"retirement": {"keep_previous": 1}}}}
RULES = (
    "BuildFailedRule",
    "CommandEndedRule",
    "ImagePushedRule",
    "ImageStateChangedRule",
    "InstanceStateChangedRule",
)


def another_stack(running: Running, name: str, **values: object) -> Stack:
    """A stack of the template beside the first, in the same account."""
    emulator = running.emulator
    planner = next(each for each in emulator.functions.functions() if each.logical_id == "PlanBuildFunction")
    account = Account(emulator.api, emulator.account_id, emulator.region, name)
    given = {key: emulator.stack.parameters[key] for key in ("VpcId", "SubnetIds")}
    return Stack(
        load_template(PROJECT / "template.yaml", emulator.region),
        account,
        Workloads(account, emulator.functions, emulator.identities, planner.opt),
        emulator.clock,
        values={**given, **values},
        network={},
        zones=[],
    )


def run(service: Service, machine: str, request: dict[str, object]) -> dict[str, object]:
    """Run an execution to its end; its output."""
    client = service.client("stepfunctions")
    arn = client.start_execution(stateMachineArn=machine, input=json.dumps(request))["executionArn"]
    until("it ends", lambda: client.describe_execution(executionArn=arn)["status"] in ENDED)
    ended = client.describe_execution(executionArn=arn)
    assert ended["status"] == "SUCCEEDED", ended
    found: dict[str, object] = json.loads(ended["output"])
    return found


def test_a_pin_outlives_the_stack(running: Running, service: Service) -> None:
    environment = service.environment("kept")
    environment.must_build("one")
    old = environment.latest()
    environment.must_build("two")
    asked = {"environment": "kept", "publish_image_id": old, "pin": True}
    assert service.run(asked).status == "SUCCEEDED"
    table = service.outputs["StateTableName"]
    item = environment.item()
    assert item["pin"]
    # As good as deleted: nothing of the first stack acts any more.
    service.set_rules(*RULES, enabled=False)

    again = another_stack(running, "ami-lifecycle-again", ExistingTableName=table)
    again.deploy()

    assert again.outputs["StateTableName"] == table
    assert "StateTable" not in again.resources
    assert len(service.client("dynamodb").list_tables()["TableNames"]) == 1
    planned = run(service, again.outputs["StateMachineArn"], {"environment": "kept"})
    assert "pinned" in str(planned["reasons"])
    sweep = again.resources["SweepEnvironmentsFunction"].created.physical_id
    answer = service.client("lambda").invoke(FunctionName=sweep, Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()
    # The digest that was rolled back is not built again.
    executions = service.client("stepfunctions").list_executions(
        stateMachineArn=again.outputs["StateMachineArn"]
    )
    assert len(executions["executions"]) == 1
    assert environment.item()["pin"] == item["pin"]
    assert environment.latest() == old


def test_subnets_of_another_vpc_are_refused_before_anything_is_made(
    running: Running, service: Service
) -> None:
    ec2 = service.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    foreign = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    mixed = [*running.emulator.stack.parameters["SubnetIds"][:1], foreign]
    with pytest.raises(TemplateError, match=r"All subnets .* must be in the VPC"):
        another_stack(running, "ami-lifecycle-lost", SubnetIds=mixed)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"VolumeKeyArn": "alias/mine"}, "permissions take no alias"),
        ({"ExistingTableName": "arn:aws:dynamodb:us-east-1:123456789012:table/x"}, "not its ARN"),
    ],
)
def test_a_parameter_in_another_form_is_refused_with_the_right_one(
    running: Running, values: dict[str, str], told: str
) -> None:
    with pytest.raises(TemplateError, match=told):
        another_stack(running, "ami-lifecycle-odd", **values)
