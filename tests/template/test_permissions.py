"""House rules of permissions. docs/iam.md explains them, and lists what may be granted on every resource."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.template.call_graph import names_used, port_calls, port_names
from tests.template.stack import (
    ROOT,
    TAG_CONDITION,
    THE_APPLICATION,
    Statement,
    all_grants,
    attached_policies,
    functions,
    grants_of,
    listed,
    managed_policy,
    resources,
)

from ami_lifecycle.adapters.approvals import DynamoApprovals, DynamoDecisions
from ami_lifecycle.adapters.commands import SsmCommands
from ami_lifecycle.adapters.documents import SsmDocuments
from ami_lifecycle.adapters.environments import DynamoEnvironments
from ami_lifecycle.adapters.executions import StepFunctionsExecutions
from ami_lifecycle.adapters.images import Ec2Images
from ami_lifecycle.adapters.instances import Ec2Instances
from ami_lifecycle.adapters.network import Ec2Network
from ami_lifecycle.adapters.notifier import AwsNotifier
from ami_lifecycle.adapters.package_lists import S3PackageLists
from ami_lifecycle.adapters.parameters import SsmParameters
from ami_lifecycle.adapters.permissions import actions_of
from ami_lifecycle.adapters.repository import EcrRepository
from ami_lifecycle.adapters.usage import AwsImageUsage
from ami_lifecycle.adapters.waits import DynamoWaits
from parameter_config import load_config

ADAPTERS: dict[str, type[Any]] = {
    "Approvals": DynamoApprovals,
    "Commands": SsmCommands,
    "Decisions": DynamoDecisions,
    "Documents": SsmDocuments,
    "Environments": DynamoEnvironments,
    "Executions": StepFunctionsExecutions,
    "Images": Ec2Images,
    "ImageUsage": AwsImageUsage,
    "Instances": Ec2Instances,
    "Network": Ec2Network,
    "Notifier": AwsNotifier,
    "PackageLists": S3PackageLists,
    "Parameters": SsmParameters,
    "Repository": EcrRepository,
    "Waits": DynamoWaits,
}
WITHOUT_AWS = {"Clock"}
OWN_LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}
# Lambda sends a failed asynchronous invocation to the queue with the function's own role (Lambda
# developer guide, Retaining records of asynchronous invocations).
FAILED_INVOCATIONS = {"sqs:SendMessage"}

CHANGES_OF_TAGGED = {
    "ec2:CreateImage",
    "ec2:DeleteSnapshot",
    "ec2:DeregisterImage",
    "ec2:DisableImageDeprecation",
    "ec2:DisableImageDeregistrationProtection",
    "ec2:EnableImageDeprecation",
    "ec2:EnableImageDeregistrationProtection",
    "ec2:RegisterImage",
    "ec2:RestoreSnapshotFromRecycleBin",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
}
READS = re.compile(r"(Describe|Get|List|Batch(Get|Check))[A-Z]")
FUNCTIONS = sorted(functions())
GRANTS = {str(grant): grant for grant in all_grants()}
CHANGING_GRANTS = {name: grant for name, grant in GRANTS.items() if CHANGES_OF_TAGGED & set(grant.actions)}
REQUEST_TAG = f"aws:RequestTag/{TAG_CONDITION}"
RESOURCE_TAG = f"aws:ResourceTag/{TAG_CONDITION}"
SSM_RESOURCE_TAG = f"ssm:resourceTag/{TAG_CONDITION}"
OUR_TAG = (REQUEST_TAG, RESOURCE_TAG, SSM_RESOURCE_TAG)


def is_bound_to_our_tag(grant: Statement) -> bool:
    equal = grant.conditions.get("StringEquals", {})
    return any(equal.get(key) == THE_APPLICATION for key in OUR_TAG)


def kinds_of(resources_named: set[str]) -> set[str]:
    """Resource types in ARNs: `instance` of `...:instance/*`."""
    return {resource.split(":")[-1].split("/")[0] for resource in resources_named}


def listed_in_the_document() -> dict[str, str]:
    """Action to reason, from the table in docs/iam.md."""
    rows = re.findall(
        r"^\| `([a-z0-9]+:[A-Za-z]+)` \| (.+?) \|$", (ROOT / "docs" / "iam.md").read_text(), re.MULTILINE
    )
    assert len(rows) == len(dict(rows)), "docs/iam.md lists an action twice"
    return dict(rows)


# What is granted is what is needed.


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_granted_what_it_calls_and_nothing_else(name: str) -> None:
    needed: set[str] = set(OWN_LOG)
    for port, method in port_calls(name):
        if port not in WITHOUT_AWS:
            member = getattr(ADAPTERS[port], method)
            # What an adapter was made with calls nothing.
            needed |= set() if isinstance(member, property) else actions_of(member)
    if "load_catalogue" in names_used(name):
        needed.add("ssm:GetParameters")
    function = functions()[name]
    if "EventInvokeConfig" in function.properties:
        needed |= FAILED_INVOCATIONS
    assert function.actions == needed


def test_every_port_has_an_adapter_that_declares_its_actions() -> None:
    assert ADAPTERS.keys() | WITHOUT_AWS == port_names()


def test_everything_in_the_configuration_can_be_read() -> None:
    (grant,) = [grant for grant in managed_policy("ReadSourcePolicy") if grant.sid == "ReadSettings"]
    readable = grant.resources[0].split(":parameter", 1)[1].replace("${ApplicationName}", "{application}")
    declared = load_config(ROOT / "config", offline=True).declarations
    names = [name for each in declared for name in (each.schema.ssm_param, *each.schema.fallbacks)]
    assert names
    assert [name for name in names if not name.startswith(readable.removesuffix("*"))] == []


# The shape of a grant.


@pytest.mark.parametrize("grant", GRANTS.values(), ids=list(GRANTS))
def test_a_statement_has_an_id_and_lists_its_actions(grant: Statement) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", grant.sid)
    assert [
        action for action in grant.actions if not re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z0-9]+", action)
    ] == []
    assert list(grant.actions) == sorted(set(grant.actions))


def test_statement_ids_are_unique_within_an_owner() -> None:
    assert len(GRANTS) == len(all_grants())


def test_what_is_granted_on_every_resource_is_listed_with_a_reason() -> None:
    granted = {action for grant in all_grants() if "*" in grant.resources for action in grant.actions}
    documented = listed_in_the_document()
    assert granted == set(documented)
    assert [action for action, reason in documented.items() if len(reason) < 20] == []


def test_nothing_of_ec2_that_changes_is_granted_on_every_resource() -> None:
    everywhere = {action for grant in all_grants() if "*" in grant.resources for action in grant.actions}
    changing = {
        action
        for action in everywhere
        if action.startswith("ec2:") and not READS.match(action.partition(":")[2])
    }
    assert changing == set()


@pytest.mark.parametrize("grant", GRANTS.values(), ids=list(GRANTS))
def test_a_resource_is_in_this_account_and_region(grant: Statement) -> None:
    for resource in grant.resources:
        if resource == "*" or not resource.startswith("arn:"):
            continue
        _, partition, service, region, account, name = resource.replace("AWS::", "").split(":", 5)
        assert (partition, region) == ("${Partition}", "${Region}")
        # Images and snapshots have no account in their ARN (service authorization reference, Amazon EC2),
        # and public parameters belong to AWS.
        foreign = name.startswith(("image/", "snapshot/", "parameter/aws/"))
        # A subnet shared through AWS RAM has its owner's account.
        owner = "*" if name.startswith("subnet/") else "${AccountId}"
        assert account == ("" if foreign else owner), f"{service} {name}"


# Only what is ours is changed.


@pytest.mark.parametrize("grant", CHANGING_GRANTS.values(), ids=list(CHANGING_GRANTS))
def test_a_change_in_ec2_is_bound_to_our_tag(grant: Statement) -> None:
    assert is_bound_to_our_tag(grant)


def test_no_other_change_in_ec2_is_granted() -> None:
    changing = {
        action
        for grant in all_grants()
        for action in grant.actions
        if action.startswith("ec2:") and not READS.match(action.partition(":")[2])
    }
    assert changing == CHANGES_OF_TAGGED | {"ec2:RunInstances", "ec2:CreateTags"}


def test_whatever_a_launch_creates_carries_our_tag() -> None:
    launches = [
        grant for grant in managed_policy("LaunchInstancesPolicy") if "ec2:RunInstances" in grant.actions
    ]
    created = {resource for grant in launches if is_bound_to_our_tag(grant) for resource in grant.resources}
    used = {resource for grant in launches if not is_bound_to_our_tag(grant) for resource in grant.resources}
    assert kinds_of(created) == {
        "instance",
        "network-interface",
        "volume",
    }
    assert kinds_of(used) == {
        "image",
        "security-group",
        "subnet",
    }
    assert any("${BuilderSecurityGroup.GroupId}" in resource for resource in used)


def test_tags_are_written_only_while_something_is_created() -> None:
    # Otherwise a function could put our tag on what is not ours, and then delete it.
    tagging = [grant for grant in all_grants() if "ec2:CreateTags" in grant.actions]
    assert tagging
    for grant in tagging:
        equal = grant.conditions["StringEquals"]
        assert equal["ec2:CreateAction"] in {"RunInstances", "CreateImage", "RegisterImage"}
        assert equal[REQUEST_TAG] == THE_APPLICATION


def test_commands_run_only_on_our_instances_and_only_our_documents() -> None:
    sending = [grant for grant in all_grants() if "ssm:SendCommand" in grant.actions]
    for grant in sending:
        kinds = kinds_of(set(grant.resources))
        assert kinds in ({"instance"}, {"document"})
        if kinds == {"instance"}:
            assert is_bound_to_our_tag(grant)
        else:
            (document,) = grant.resources
            assert document.endswith(("${ProvisionImageDocument}", "${VerifyImageDocument}"))


def test_only_the_builder_role_is_passed_and_only_to_ec2() -> None:
    passing = [grant for grant in all_grants() if "iam:PassRole" in grant.actions]
    assert passing
    for grant in passing:
        assert grant.resources == ("${BuilderRole.Arn}",)
        # Both are EC2: the second is what it is called in China.
        both = ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]
        assert grant.conditions == {"StringEquals": {"iam:PassedToService": both}}


def test_only_published_parameters_are_written() -> None:
    writing = [
        grant
        for grant in all_grants()
        if {"ssm:PutParameter", "ssm:DeleteParameter", "ssm:AddTagsToResource"} & set(grant.actions)
    ]
    assert writing
    for grant in writing:
        assert [
            resource for resource in grant.resources if ":parameter/${ApplicationName}/ami/" not in resource
        ] == []


def test_latest_can_never_be_deleted() -> None:
    deleting = [grant for grant in all_grants() if "ssm:DeleteParameter" in grant.actions]
    assert [
        resource for grant in deleting for resource in grant.resources if not resource.endswith("/history/*")
    ] == []


def test_functions_reach_only_their_kind_of_item() -> None:
    table = [grant for grant in all_grants() if grant.resources == ("${StateTable.Arn}",)]
    keyed = [grant for grant in table if grant.actions != ("dynamodb:Scan",)]
    assert {value for grant in keyed for value in listed(grant.condition_keys["dynamodb:LeadingKeys"])} == {
        "approval#*",
        "decision#*",
        "environment#*",
        "wait#*",
    }


def test_decisions_are_written_by_the_one_function_that_decides() -> None:
    """Whoever else could write them, or a request that is decided, would go around the approvers."""
    writers = {
        (grant.owner, key)
        for grant in all_grants()
        if set(grant.actions) & {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
        for key in listed(grant.condition_keys["dynamodb:LeadingKeys"])
    }
    assert {owner for owner, key in writers if key == "decision#*"} == {"DecideApprovalRole"}
    assert {owner for owner, key in writers if key == "approval#*"} == {
        "RequestApprovalRole",
        "SweepEnvironmentsRole",
    }
    assert {key.partition("#")[1] for _, key in writers} == {"#"}, "no grant is of all keys"


# Roles.


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_role_of_its_own_that_only_lambda_assumes(name: str) -> None:
    function = functions()[name]
    assert function.role == f"{function.prefix}Role"
    (statement,) = resources("AWS::IAM::Role")[function.role]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_writes_only_its_own_log(name: str) -> None:
    function = functions()[name]
    logs = [grant for grant in grants_of(function.role) if OWN_LOG & set(grant.actions)]
    assert [grant.resources for grant in logs] == [(f"${{{function.prefix}LogGroup.Arn}}",)]


def test_every_role_has_exactly_one_user() -> None:
    of_functions = [function.role for function in functions().values()]
    others = {"BuilderRole", "BuildStateMachineRole", "StartBuildRole", "SweepScheduleRole"}
    assert len(of_functions) == len(set(of_functions))
    assert set(resources("AWS::IAM::Role")) == set(of_functions) | others


def test_no_role_uses_a_policy_from_outside_the_template() -> None:
    # What AWS changes in its managed policies changes what we may do.
    attached = {policy for role in resources("AWS::IAM::Role") for policy in attached_policies(role)}
    assert attached == set(resources("AWS::IAM::ManagedPolicy")) - {"ApproverPolicy", "ConsumerPolicy"}


def test_services_assume_roles_only_for_this_account() -> None:
    for role in ("BuildStateMachineRole", "StartBuildRole", "SweepScheduleRole"):
        (statement,) = resources("AWS::IAM::Role")[role]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_state_machine_may_invoke_its_steps_and_no_other_function() -> None:
    (grant,) = [
        grant for grant in grants_of("BuildStateMachineRole") if grant.actions == ("lambda:InvokeFunction",)
    ]
    beside = {"decide_approval", "resume_build", "sweep_environments"}
    steps = {function.logical_id for name, function in functions().items() if name not in beside}
    assert set(grant.resources) == {f"${{{step}.Arn}}" for step in steps}


def test_a_builder_can_neither_read_parameters_nor_change_anything_in_ec2() -> None:
    actions = {action for grant in grants_of("BuilderRole") for action in grant.actions}
    assert {action for action in actions if action.startswith("ec2:")} == set()
    # Only where the stack lists what containers get at their start, and only that.
    secrets = managed_policy("ContainerSecretsPolicy")
    assert {
        action for action in actions if "Parameter" in action or action.startswith("secretsmanager:")
    } == {action for grant in secrets for action in grant.actions}
    assert attached_policies("BuilderRole") == ["ContainerSecretsPolicy"]
    assert resources("AWS::IAM::ManagedPolicy")["ContainerSecretsPolicy"]["PolicyDocument"]["Statement"][0][
        "Resource"
    ] == {"Ref": "ContainerSecretArns"}


def test_consumers_read_what_is_published_and_nothing_else() -> None:
    (grant,) = managed_policy("ConsumerPolicy")
    assert set(grant.actions) == {"ssm:GetParameter", "ssm:GetParameters"}
    assert {resource.split("/ami/*/", 1)[1] for resource in grant.resources} == {
        "latest",
        "metadata",
        "history/*",
    }
