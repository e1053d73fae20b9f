"""Construction of the clean-up and the sweep, which need almost every adapter."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from ami_lifecycle.adapters.approvals import DynamoApprovals, DynamoDecisions
from ami_lifecycle.adapters.clients import client
from ami_lifecycle.adapters.clock import PacingClock, SystemClock
from ami_lifecycle.adapters.documents import SsmDocuments
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.network import Ec2Network
from ami_lifecycle.adapters.notifier import AwsNotifier
from ami_lifecycle.adapters.package_lists import package_lists
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.repository import EcrRepository
from ami_lifecycle.adapters.usage import usage_in_account
from ami_lifecycle.function_environment import FunctionEnvironment
from ami_lifecycle.settings import load_catalogue
from ami_lifecycle.steps.approval_ask import ApprovalCheck
from ami_lifecycle.steps.approval_sweep import ApprovalSettler
from ami_lifecycle.steps.clean_up_build import BuildCleaner
from ami_lifecycle.steps.orphan_removal import OrphanRemover
from ami_lifecycle.steps.preflight import Preflight
from ami_lifecycle.steps.sweep_environments import Sweeper

# The part of a sweep's time that is reserved for the checks after the removal of orphans.
_ENVIRONMENTS_TURN: Final = timedelta(seconds=150)


def preflight(variables: FunctionEnvironment) -> Preflight:
    """The preflight checks of a build."""
    return Preflight(
        repository=EcrRepository(client("ecr")),
        parameters=SsmParameters(client("ssm")),
        network=Ec2Network(client("ec2")),
        subnet_ids=variables.subnet_ids,
        security_group_id=variables.SECURITY_GROUP_ID,
    )


def approval_check(variables: FunctionEnvironment) -> ApprovalCheck:
    """The look at what was asked and decided."""
    dynamodb = client("dynamodb")
    return ApprovalCheck(
        approvals=DynamoApprovals(variables.TABLE_NAME, dynamodb),
        decisions=DynamoDecisions(variables.TABLE_NAME, dynamodb),
        clock=SystemClock(),
    )


def _approval_settler(variables: FunctionEnvironment) -> ApprovalSettler:
    dynamodb = client("dynamodb")
    return ApprovalSettler(
        approvals=DynamoApprovals(variables.TABLE_NAME, dynamodb),
        decisions=DynamoDecisions(variables.TABLE_NAME, dynamodb),
        executions=StepFunctionsExecutions(client("stepfunctions")),
        notifier=AwsNotifier(client("sns"), client("events"), variables.OUTCOME_TOPIC_ARN),
        clock=SystemClock(),
        state_machine_arn=variables.STATE_MACHINE_ARN,
        application=variables.APPLICATION,
    )


def build_cleaner(variables: FunctionEnvironment, deadline: datetime) -> BuildCleaner:
    """The clean-up of one execution."""
    return BuildCleaner(
        orphan_remover=_orphan_remover(variables, deadline),
        environments=DynamoEnvironments(variables.TABLE_NAME, client("dynamodb")),
        executions=StepFunctionsExecutions(client("stepfunctions")),
        notifier=AwsNotifier(client("sns"), client("events"), variables.OUTCOME_TOPIC_ARN),
        clock=SystemClock(),
    )


def sweeper(variables: FunctionEnvironment, deadline: datetime) -> Sweeper:
    """The sweep of all environments."""
    ec2, ssm = client("ec2"), client("ssm")
    return Sweeper(
        catalogue=load_catalogue(variables.CONFIG_DIR, ssm, variables.APPLICATION, PacingClock()),
        repository=EcrRepository(client("ecr")),
        instances=Ec2Instances(ec2),
        images=Ec2Images(ec2),
        parameters=SsmParameters(ssm),
        documents=SsmDocuments(ssm),
        environments=DynamoEnvironments(variables.TABLE_NAME, client("dynamodb")),
        executions=StepFunctionsExecutions(client("stepfunctions")),
        build_cleaner=build_cleaner(variables, deadline),
        # Many orphans must not use up the time for the environments.
        orphan_remover=_orphan_remover(variables, deadline - _ENVIRONMENTS_TURN),
        usage=usage_in_account(deadline),
        preflight=preflight(variables),
        approval=approval_check(variables),
        settler=_approval_settler(variables),
        clock=SystemClock(),
        state_machine_arn=variables.STATE_MACHINE_ARN,
        package_lists=package_lists(variables.PACKAGE_BUCKET),
    )


def _orphan_remover(variables: FunctionEnvironment, deadline: datetime) -> OrphanRemover:
    ec2 = client("ec2")
    return OrphanRemover(
        instances=Ec2Instances(ec2),
        images=Ec2Images(ec2),
        usage=usage_in_account(deadline),
        parameters=SsmParameters(client("ssm")),
        clock=SystemClock(),
        application=variables.APPLICATION,
        deadline=deadline,
        package_lists=package_lists(variables.PACKAGE_BUCKET),
    )
