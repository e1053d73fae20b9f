"""The rig over the adapters, against the emulated account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.contract.adapters.emulated_account import EmulatedAccount
from tests.contract.adapters.recorded_calls import Watched
from tests.fakes import FakeClock

from ami_lifecycle.adapters.approvals import DynamoApprovals, DynamoDecisions
from ami_lifecycle.adapters.commands import SsmCommands
from ami_lifecycle.adapters.documents import SsmDocuments
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.notifier import AwsNotifier
from ami_lifecycle.adapters.package_lists import S3PackageLists
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.repository import EcrRepository
from ami_lifecycle.adapters.usage import AwsImageUsage
from ami_lifecycle.adapters.waits import DynamoWaits
from ami_lifecycle.domain.command import CommandStatus
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.launch import LaunchRefusal
from ami_lifecycle.domain.model import ImageState, Instance, InstanceState, UsageKind
from ami_lifecycle.ports import (
    Approvals,
    Commands,
    Decisions,
    Documents,
    Environments,
    Executions,
    Images,
    ImageUsage,
    Instances,
    Notifier,
    PackageLists,
    Parameters,
    Repository,
    Waits,
)

SETTLED = {InstanceState.RUNNING, InstanceState.STOPPED, InstanceState.TERMINATED}
LAUNCH_FAULTS: Mapping[LaunchRefusal, Mapping[str, Any]] = {
    LaunchRefusal.CAPACITY: {"kind": "capacity"},
    LaunchRefusal.UNSUPPORTED: {"kind": "capacity", "code": "Unsupported"},
    LaunchRefusal.INELIGIBLE: {
        "kind": "error",
        "operation": "RunInstances",
        "code": "InvalidParameterCombination",
        "message": "The specified instance type is not eligible for Free Tier.",
    },
    LaunchRefusal.QUOTA_IN_USE: {"kind": "quota", "limit": 3, "times": 1},
    LaunchRefusal.QUOTA_TOO_SMALL: {"kind": "quota", "limit": 1, "times": 1},
    LaunchRefusal.INITIALIZATION_IN_USE: {"kind": "initialization", "limit": 99, "times": 1},
}


class EmulatedRig:
    """One test's view of the account: resources are told apart by the test's name."""

    def __init__(self, account: EmulatedAccount, name: str) -> None:
        def watched(adapter: object) -> Any:
            return Watched(adapter, account.calls)

        ec2 = account.client("ec2")
        self.account = account
        self.name = name
        self.instances: Instances = watched(Ec2Instances(ec2))
        self.images: Images = watched(Ec2Images(ec2))
        self.usage: ImageUsage = watched(
            AwsImageUsage(ec2, account.client("autoscaling"), account.client("ssm"))
        )
        self.commands: Commands = watched(SsmCommands(account.client("ssm")))
        self.documents: Documents = watched(SsmDocuments(account.client("ssm")))
        self.parameters: Parameters = watched(SsmParameters(account.client("ssm")))
        self.repository: Repository = watched(EcrRepository(account.client("ecr")))
        self.environments: Environments = watched(
            DynamoEnvironments(account.table, account.client("dynamodb"))
        )
        self.approvals: Approvals = watched(DynamoApprovals(account.table, account.client("dynamodb")))
        self.decisions: Decisions = watched(DynamoDecisions(account.table, account.client("dynamodb")))
        self.waits: Waits = watched(DynamoWaits(account.table, account.client("dynamodb"), FakeClock()))
        self.executions: Executions = watched(StepFunctionsExecutions(account.client("stepfunctions")))
        self.notifier: Notifier = watched(
            AwsNotifier(account.client("sns"), account.client("events"), account.topic_arn)
        )
        self.package_lists: PackageLists = watched(S3PackageLists(account.client("s3"), account.bucket))
        self.base_image_id = account.base_image_id
        self.instance_profile_arn = account.instance_profile_arn
        self.subnet_id = account.subnet_id
        self.repository_name = account.repository_name
        self.document = account.document
        self.state_machine_arn = account.state_machine_arn

    def now(self) -> datetime:
        return self.account.clock.now()

    def settle(self) -> None:
        tags = {"test": self.name}
        self.account.until(lambda: all(found.state in SETTLED for found in self.instances.find(tags)))
        self.account.until(
            lambda: all(found.state is not ImageState.PENDING for found in self.images.find(tags))
        )

    def keep_deleted(self, days: int) -> None:
        self.account.client("rbin").create_rule(
            ResourceType="EBS_SNAPSHOT",
            ResourceTags=[{"ResourceTagKey": "test", "ResourceTagValue": self.name}],
            RetentionPeriod={"RetentionPeriodValue": days, "RetentionPeriodUnit": "DAYS"},
        )

    def pass_time(self, seconds: float) -> None:
        self.account.clock.advance(seconds)

    def refuse_launches(self, refusal: LaunchRefusal) -> None:
        if refusal is LaunchRefusal.QUOTA_IN_USE:
            # It has two vCPUs of the three.
            self.account.client("ec2").run_instances(
                ImageId=self.base_image_id, InstanceType="m5.large", MinCount=1, MaxCount=1
            )
        self.account.faults.add(LAUNCH_FAULTS[refusal])

    def bring_online(self, instance: Instance) -> None:
        self.account.until(lambda: self.commands.agent_version(instance.instance_id) is not None)

    def finish(self, command_id: str, instance_id: str) -> None:
        def is_over() -> bool:
            result = self.commands.result(command_id, instance_id)
            return result is not None and result.status is not CommandStatus.RUNNING

        self.account.until(is_over)

    def store_document(self, name: str, text: str) -> None:
        ssm = self.account.client("ssm")
        step = {"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": [text]}}
        content = json.dumps({"schemaVersion": "2.2", "mainSteps": [step]})
        if ssm.list_documents(Filters=[{"Key": "Name", "Values": [name]}])["DocumentIdentifiers"]:
            ssm.update_document(Name=name, Content=content, DocumentVersion="$LATEST", DocumentFormat="JSON")
        else:
            ssm.create_document(Name=name, Content=content, DocumentType="Command", DocumentFormat="JSON")
        self.pass_time(60)

    def use(self, image_id: str, kind: UsageKind) -> str:
        ec2 = self.account.client("ec2")
        match kind:
            case UsageKind.LAUNCH_TEMPLATE:
                template = ec2.create_launch_template(
                    LaunchTemplateName=self.name, LaunchTemplateData={"ImageId": image_id}
                )
                return str(template["LaunchTemplate"]["LaunchTemplateId"])
            case UsageKind.LAUNCH_CONFIGURATION:
                self.account.client("autoscaling").create_launch_configuration(
                    LaunchConfigurationName=self.name, ImageId=image_id, InstanceType="m5.large"
                )
                return self.name
            case UsageKind.LAUNCH_PERMISSION:
                ec2.modify_image_attribute(
                    ImageId=image_id, LaunchPermission={"Add": [{"UserId": "210987654321"}]}
                )
                return "210987654321"
            case UsageKind.RUNNING_INSTANCE:
                launched = ec2.run_instances(
                    ImageId=image_id, InstanceType="m5.large", MinCount=1, MaxCount=1
                )
                return str(launched["Instances"][0]["InstanceId"])
            case _:
                raise ValueError(f"the emulated rig arranges no {kind.value}")

    def break_usage(self) -> None:
        self._fault("ec2", "DescribeImageReferences", "UnauthorizedOperation", status=403)

    def protect(self, image_id: str) -> None:
        self.account.client("ec2").enable_image_deregistration_protection(ImageId=image_id)

    def disable(self, image_id: str) -> None:
        self.account.client("ec2").disable_image(ImageId=image_id)

    def push(self, tag: str, content: str) -> str:
        return self.account.push(tag, content)

    def waiting_task(self) -> str:
        started = self.account.client("stepfunctions").start_execution(stateMachineArn=self.state_machine_arn)
        arn = started["executionArn"]
        self.account.until(lambda: arn in self.account.tokens)
        return self.account.tokens[arn]

    def abort(self, execution_arn: str) -> None:
        self.account.client("stepfunctions").stop_execution(executionArn=execution_arn)
        self.account.until(lambda: self.executions.status(execution_arn) is not ExecutionStatus.RUNNING)

    def notifications(self) -> list[tuple[str, dict[str, Any]]]:
        received = self.account.client("sqs").receive_message(
            QueueUrl=self.account.queue_url, MaxNumberOfMessages=10
        )
        found = []
        for message in received.get("Messages", ()):
            envelope = json.loads(message["Body"])
            found.append((envelope["Subject"], json.loads(envelope["Message"])))
        return found

    def _fault(self, service: str, operation: str, code: str, status: int = 400) -> None:
        self.account.faults.add(
            {"kind": "error", "service": service, "operation": operation, "code": code, "status": status}
        )
