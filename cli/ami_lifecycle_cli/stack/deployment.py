"""The deployed stack: where its state machine, table, queue and topic are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.approvals import DynamoApprovals, DynamoDecisions
from ami_lifecycle.adapters.clock import SystemClock
from ami_lifecycle.adapters.documents import SsmDocuments
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.network import Ec2Network
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.repository import EcrRepository
from ami_lifecycle.adapters.usage import AwsImageUsage
from ami_lifecycle.domain.naming import ParameterNames
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import AmiLifecycleError, InputError, UnknownEnvironmentError
from ami_lifecycle.settings import Catalogue, load_catalogue
from ami_lifecycle.steps.lookups import account_of
from ami_lifecycle.steps.plan_build import Planner
from ami_lifecycle.steps.preflight import Preflight
from ami_lifecycle.steps.published_records import PublishedRecords
from ami_lifecycle.steps.retire_images import RetirementReview
from ami_lifecycle_cli.stack.deployed_configuration import directory_of, layer_of, read_layer


class StackNotFoundError(InputError):
    """There is no stack of this name here, or it is not the service's."""


class StackTarget(Protocol):
    """Where a stack is."""

    @property
    def stack(self) -> str:
        """Its name."""

    @property
    def profile(self) -> str | None:
        """The AWS profile that its clients go by; None for the default."""

    def client(self, service: str) -> Any:
        """A boto3 client of its account and Region."""


class Stack:
    """A deployed stack, and the ports of the domain on its account."""

    def __init__(self, target: StackTarget) -> None:
        self.name = target.stack
        self.client = target.client
        self.clock = SystemClock()
        self._profile = target.profile

    @cached_property
    def description(self) -> Mapping[str, Any]:
        """The stack, as CloudFormation describes it.

        Raises:
            StackNotFoundError: there is none.
        """
        cloudformation = self.client("cloudformation")
        try:
            found: Mapping[str, Any] = cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            # CloudFormation API reference, DescribeStacks: a stack that does not exist is a ValidationError.
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise StackNotFoundError(
                f"there is no stack {self.name!r} in {cloudformation.meta.region_name}",
                hint="name it with --stack or AMI_LIFECYCLE_STACK, and the Region with --region, or deploy it: "
                "sam deploy",
            ) from error
        region = found["StackId"].split(":")[3]
        if region != cloudformation.meta.region_name:
            raise StackNotFoundError(
                f"the stack {self.name!r} is in {region}, not in {cloudformation.meta.region_name}",
                hint="name its Region with --region",
            )
        return found

    @property
    def region(self) -> str:
        """Region of the stack."""
        return self.state_machine_arn.split(":")[3]

    @property
    def account_id(self) -> str:
        """Account of the stack."""
        return account_of(self.state_machine_arn)

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs."""
        return {each["OutputKey"]: each["OutputValue"] for each in self.description.get("Outputs", ())}

    @cached_property
    def parameters_given(self) -> Mapping[str, str]:
        """The parameters that the stack was deployed with."""
        return {
            each["ParameterKey"]: each["ParameterValue"] for each in self.description.get("Parameters", ())
        }

    def output(self, name: str) -> str:
        """One output. Raises `StackNotFoundError` when the stack is another one's."""
        if name not in self.outputs:
            raise StackNotFoundError(
                f"the stack {self.name} has no output {name}, so it is not a stack of ami-lifecycle, or its "
                f"deployment has not ended ({self.description.get('StackStatus')})",
                hint="name another with --stack",
            )
        return self.outputs[name]

    @property
    def state_machine_arn(self) -> str:
        """ARN of the state machine that builds."""
        return self.output("StateMachineArn")

    @property
    def application(self) -> str:
        """First part of the names of all published parameters."""
        return self.parameters_given.get("ApplicationName", "comfyui")

    @cached_property
    def configuration_files(self) -> Mapping[str, bytes]:
        """The configuration files that are deployed, which is what the functions read, by their names.

        Raises:
            AmiLifecycleError: they cannot be read.
        """
        client = self.client("lambda")
        return read_layer(client, layer_of(client, self.output("SweepFunctionName")), self._profile)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The environments and their settings, as they are deployed.

        Raises:
            SettingsError: the deployed configuration does not make sense, or is another application's.
        """
        with directory_of(self.configuration_files) as directory:
            return load_catalogue(directory, self.client("ssm"), self.application)

    @cached_property
    def configuration_problem(self) -> AmiLifecycleError | None:
        """Why the deployed configuration cannot be read; None where it can."""
        _ = self.description
        try:
            _ = self.catalogue
        except AmiLifecycleError as error:
            return error
        return None

    @property
    def has_configuration(self) -> bool:
        """Whether the deployed configuration can be read; without it, less can be told."""
        return self.configuration_problem is None

    def environment_names(self) -> list[str]:
        """The configured environments; where they cannot be read, those that something is published in."""
        if self.has_configuration:
            return list(self.catalogue.environments)
        path = f"/{self.application}/ami"
        names = self.parameters.list_below(path)
        return sorted({name.removeprefix(f"{path}/").split("/")[0] for name in names})

    def require_environment(self, environment: str) -> str:
        """The name, when there is such an environment. Raises `UnknownEnvironmentError` otherwise."""
        names = self.environment_names()
        if environment not in names:
            if self.configuration_problem is not None:
                raise self.configuration_problem
            raise UnknownEnvironmentError(
                f"there is no environment {environment!r}; there are {', '.join(names) or 'none'}",
                hint="Correct the name, or add it to config/build_config.yml and deploy",
            )
        return environment

    def published(self, environment: str) -> PublishedRecords:
        """What the environment publishes: `latest`, `metadata`, history."""
        return PublishedRecords(self.parameters, ParameterNames(self.application, environment))

    @cached_property
    def images(self) -> Ec2Images:
        """Images and snapshots."""
        return Ec2Images(self.client("ec2"))

    @cached_property
    def usage(self) -> AwsImageUsage:
        """Who uses images."""
        return AwsImageUsage(
            self.client("ec2"), self.client("autoscaling"), self.client("ssm"), clock=self.clock
        )

    @cached_property
    def parameters(self) -> SsmParameters:
        """Parameter Store."""
        return SsmParameters(self.client("ssm"))

    @cached_property
    def documents(self) -> SsmDocuments:
        """Documents that hooks name."""
        return SsmDocuments(self.client("ssm"))

    @cached_property
    def repository(self) -> EcrRepository:
        """ECR."""
        return EcrRepository(self.client("ecr"))

    @cached_property
    def environments(self) -> DynamoEnvironments:
        """Claims, pins and what waits."""
        return DynamoEnvironments(self.output("StateTableName"), self.client("dynamodb"))

    @cached_property
    def executions(self) -> StepFunctionsExecutions:
        """Executions."""
        return StepFunctionsExecutions(self.client("stepfunctions"))

    @cached_property
    def approvals(self) -> DynamoApprovals:
        """Requests for approval."""
        return DynamoApprovals(self.output("StateTableName"), self.client("dynamodb"))

    @cached_property
    def decisions(self) -> DynamoDecisions:
        """What was decided about them."""
        return DynamoDecisions(self.output("StateTableName"), self.client("dynamodb"))

    def planner(self) -> Planner:
        """The planner that the state machine uses too; it writes nothing."""
        return Planner(
            catalogue=self.catalogue,
            repository=self.repository,
            images=self.images,
            parameters=self.parameters,
            documents=self.documents,
            environments=self.environments,
            clock=self.clock,
            preflight=self.preflight,
            approvals=self.approvals,
            decisions=self.decisions,
        )

    @cached_property
    def preflight(self) -> Preflight:
        """The look that the plan takes, too."""
        given = self.parameters_given.get("SubnetIds", "")
        return Preflight(
            repository=self.repository,
            parameters=self.parameters,
            network=Ec2Network(self.client("ec2")),
            subnet_ids=tuple(part.strip() for part in given.split(",") if part.strip()),
            security_group_id=self.outputs.get("SecurityGroupId", ""),
        )

    def retirement_review(self, settings: EnvironmentSettings) -> RetirementReview:
        """The decisions about the old images of an environment."""
        return RetirementReview(
            settings=settings,
            instances=Ec2Instances(self.client("ec2")),
            images=self.images,
            usage=self.usage,
            parameters=self.parameters,
            environments=self.environments,
            clock=self.clock,
        )

    def execution_arn(self, name: str) -> str:
        """ARN that an execution of this name has."""
        return f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
