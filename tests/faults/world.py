"""The simulated account that scenarios act in, and what people do in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from tests.workflows.configuration import DURATIONS, PROJECT, write_configuration

from ami_lifecycle_cli.demo.docker_push import push_image
from ami_lifecycle_testbed.emulator import Simulation
from ami_lifecycle_testbed.observers.account_view import GONE
from aws_emulator.ec2.model import Image
from aws_emulator.step_functions.execution import Execution

REPOSITORY = "comfyui"
APPLICATION = "comfyui"
PROD, KEEPING, OTHER, PROMOTED, BASED = "prod", "keeping", "other", "promoted", "based"
ASKED, SCANNED = "asked", "scanned"
SOAKING = "soaking"
_GOLDEN_OWNER, _GOLDEN_NAME = "210987654321", "golden"
_HOOKS = {
    stage: [{"script": f"config/hooks/{stage}.sh", "parameters": {"LEVEL": "1"}}]
    for stage in ("provision", "provision_after", "verify")
}
SCRIPTS = {f"{stage}.sh": "#!/bin/bash\nexit 0\n" for stage in _HOOKS}
# The same hooks, and a document of the account's own that is looked at when a build is planned, and by each sweep.
DOCUMENT = "Golden-Agent"
_WITH_DOCUMENT = {**_HOOKS, "provision_after": [*_HOOKS["provision_after"], {"document": DOCUMENT}]}
ENVIRONMENTS: Mapping[str, Any] = {
    PROD: {},
    KEEPING: {"retirement": {"keep_previous": 1, "deprecate_kept": True, "deregistration_protection": True}},
    OTHER: {"hooks": _WITH_DOCUMENT},
    # From OTHER, whose provision hooks are on its disks.
    PROMOTED: {"publishes": "promotions", "hooks": _WITH_DOCUMENT},
    # From the newest image that another account shares, and built again when that account shares a newer one.
    BASED: {
        "base": {"newest": {"owner": _GOLDEN_OWNER, "name": f"{_GOLDEN_NAME}-*"}},
        "refresh": {"follow_base": True},
    },
    ASKED: {"approval": {"pushes": True}},
    # With a vulnerability gate.
    SCANNED: {"scan": {}},
    SOAKING: {"rollback_on_alarm": {"alarms": "soaking-*", "soak_minutes": 600}},
}
# No step of a build takes this long without anything to do.
PATIENCE = 40 * 3600.0
# Lambda repeats a failed asynchronous invocation after one minute and after two more; a function that was
# killed cannot write any more after its timeout.
AFTERMATH = 420.0


class World:
    """One account with the stack, in virtual time.

    Args:
        directory: where the configuration is written.
        seed: repeats what is random.
    """

    def __init__(
        self, directory: Path, seed: int = 0, environments: Mapping[str, Any] = ENVIRONMENTS
    ) -> None:
        configuration = write_configuration(directory, environments, {"reconcile_attempts": 3}, SCRIPTS)
        # What is retired stays in the Recycle Bin, which is no leak.
        self.simulation = Simulation(
            PROJECT,
            seed=seed,
            config_dir=configuration,
            durations=DURATIONS,
            parameters={
                "HookDocumentArns": f"arn:aws:ssm:us-east-1:123456789012:document/{DOCUMENT}",
                "RecycleBinDays": "7",
                "KeepPackageLists": "true",
                "RollbackAlarms": "soaking-*",
            },
        )
        self.simulation.start()
        step = {"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["true"]}}
        content = json.dumps({"schemaVersion": "2.2", "mainSteps": [step]})
        self.simulation.run_command.add_document("123456789012", DOCUMENT, content)
        self.clock = self.simulation.clock
        self.observers = self.simulation.observers
        self._clients: dict[str, Any] = {}
        self.foreign: list[str] = []

    def close(self) -> None:
        """End the simulation."""
        self.simulation.stop()

    def client(self, service: str) -> Any:
        """A boto3 client of a person."""
        if service not in self._clients:
            self._clients[service] = boto3.client(service)
        return self._clients[service]

    # What people do.

    def push(self, revision: str, environment: str = PROD) -> str:
        """Push a Docker image under an environment's tag; its digest."""
        tag = f"{environment}-latest"
        return push_image(self.client("ecr"), REPOSITORY, tag, revision=revision, branch="main")

    def scan_pushes(self, seconds: float, *findings: Mapping[str, str]) -> None:
        """Have ECR scan what is pushed from now on; its scans take so long and find this."""
        self.client("ecr").put_image_scanning_configuration(
            repositoryName=REPOSITORY, imageScanningConfiguration={"scanOnPush": True}
        )
        self.simulation.registry.set_scan(REPOSITORY, findings=findings, seconds=seconds)

    def promote(self) -> None:
        """Promote what OTHER publishes."""
        self.start(environment=PROMOTED, action="promote", promote_from=OTHER)

    def set_alarm(self, state: str) -> None:
        """Set the state of the alarm that SOAKING listens to."""
        cloudwatch, name = self.client("cloudwatch"), "soaking-errors"
        if not cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]:
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                Namespace="comfyui",
                MetricName="Errors",
                Statistic="Sum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=5,
                ComparisonOperator="GreaterThanThreshold",
            )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="41 errors")

    def publish_once_more(self, environment: str) -> None:
        """Have an environment publish another image, in the way that it does."""
        if environment != PROMOTED:
            self.push("once more", environment)
            if environment == ASKED:
                self.settle()
                self.approve()
            return
        self.push("once more", OTHER)
        self.settle()
        self.promote()

    def approve(self) -> None:
        """Approve what waits in ASKED, as a tool does that Lambda repeats a failed call for."""
        (table,) = self.simulation.stack.physical_ids("AWS::DynamoDB::Table").values()
        answer = self.client("dynamodb").get_item(
            TableName=table, Key={"pk": {"S": f"approval#{ASKED}"}}, ConsistentRead=True
        )
        asked = json.loads(answer.get("Item", {}).get("content", {}).get("S", "{}")).get("open")
        if asked is None:
            return
        subject = asked["subject"]
        known = "\n".join(("digest", subject["digest"], subject["recipe"] or ""))
        approval_id = f"{ASKED}-{hashlib.sha256(known.encode()).hexdigest()[:12]}"
        functions = self.simulation.stack.physical_ids("AWS::Lambda::Function")
        self.client("lambda").invoke(
            FunctionName=functions["DecideApprovalFunction"],
            InvocationType="Event",
            Payload=json.dumps({"id": approval_id, "decision": "approve", "by": "ann"}),
        )

    def start(self, **request: Any) -> str:
        """Start an execution; its ARN."""
        answer = self.client("stepfunctions").start_execution(
            stateMachineArn=self.simulation.state_machine_arn, input=json.dumps(request)
        )
        return str(answer["executionArn"])

    def sweep(self) -> None:
        """Have the schedule fire."""
        (name,) = self.simulation.stack.physical_ids("AWS::Scheduler::Schedule").values()
        self.simulation.scheduler.fire(name)

    def use(self, image_id: str) -> str:
        """Have a launch template name an image; its id."""
        template = self.client("ec2").create_launch_template(
            LaunchTemplateName=f"fleet-{image_id}", LaunchTemplateData={"ImageId": image_id}
        )
        return str(template["LaunchTemplate"]["LaunchTemplateId"])

    def free(self, template_id: str) -> None:
        """Delete a launch template."""
        self.client("ec2").delete_launch_template(LaunchTemplateId=template_id)

    def add_foreign(self) -> None:
        """Things of others, as like ours as they can be without our tags."""
        ec2, subnet = self.client("ec2"), self.subnet()
        (base,) = [each for each in self.simulation.ec2.images.values() if each.architecture == "x86_64"][:1]
        launched = ec2.run_instances(
            ImageId=base.image_id, InstanceType="m7i.large", MinCount=1, MaxCount=1, SubnetId=subnet
        )["Instances"][0]["InstanceId"]
        self.pass_time(30)
        image_id = ec2.create_image(InstanceId=launched, Name=f"comfyui-multitenant-{PROD}-of-others")[
            "ImageId"
        ]
        ec2.create_tags(Resources=[image_id], Tags=[{"Key": "ami-lifecycle:application", "Value": "other"}])
        self.pass_time(30)
        self.foreign = [launched, image_id]
        self.observers.begin()

    def share_base(self) -> str:
        """Have another account share a newer image to start from; its id."""
        ec2 = self.simulation.ec2
        return ec2.seed_image(f"{_GOLDEN_NAME}-{len(ec2.images)}", owner_id=_GOLDEN_OWNER)

    def subnet(self) -> str:
        """A subnet of the account."""
        return str(self.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"])

    # What then happens.

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.clock.run_until(lambda: False, seconds)

    def settle(self) -> bool:
        """Let everything run that runs; False when it does not end."""
        self.pass_time(1)
        return self.clock.run_until(self.is_quiet, PATIENCE)

    def is_quiet(self) -> bool:
        """Whether no execution and no function runs."""
        return self.clock.idle and not any(execution.running for execution in self.executions())

    def executions(self) -> list[Execution]:
        """All executions, oldest first."""
        return self.simulation.step_functions.executions()

    def latest(self, environment: str = PROD) -> str | None:
        """What an environment's `latest` names."""
        parameter = self.simulation.parameter_store.parameters.get(self.name("latest", environment))
        return parameter.latest.value if parameter else None

    def name(self, leaf: str, environment: str = PROD) -> str:
        """The name of a parameter."""
        return f"/{APPLICATION}/ami/{environment}/{leaf}"

    def record(self, image_id: str, environment: str = PROD) -> dict[str, Any]:
        """The history record of an image."""
        name = self.name(f"history/{image_id}", environment)
        found: dict[str, Any] = json.loads(self.simulation.parameter_store.parameters[name].latest.value)
        return found

    def images(self, environment: str = PROD) -> list[Image]:
        """The environment's images, oldest first."""
        return [
            image
            for image in self.simulation.ec2.images.values()
            if image.state != "deregistered" and image.tags.get("ami-lifecycle:environment") == environment
        ]

    def remains(self) -> list[str]:
        """Ids of the instances of the stack that are alive."""
        known = self.simulation.ec2.instances
        return [
            instance_id
            for instance_id in self.observers.created.instances
            if instance_id in known and known[instance_id].state not in GONE
        ]
