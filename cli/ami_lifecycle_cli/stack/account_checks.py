"""Checks of the stack and its account: deployment, configuration, permissions, quotas, rules, dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.domain.alarm_settings import overlap
from ami_lifecycle.domain.model import Image
from ami_lifecycle.domain.settings import EnvironmentSettings
from ami_lifecycle.errors import ImageNotAllowedError, SettingsError
from ami_lifecycle.steps.hook_programs import with_programs
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.findings import Finding, Level
from ami_lifecycle_cli.stack.quota_checks import applied_quota
from ami_lifecycle_cli.stack.records import data_type_of_latest

# The actions that this command line needs; those of the functions' roles are covered by the template's tests.
OPERATOR_ACTIONS: Final = (
    "states:StartExecution",
    "states:StopExecution",
    "states:DescribeExecution",
    "states:GetExecutionHistory",
    "states:ListExecutions",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:GetParametersByPath",
    "ssm:GetCommandInvocation",
    "ec2:DescribeImages",
    "ec2:DescribeImageReferences",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:CreateTags",
    "lambda:GetFunctionConfiguration",
    "lambda:GetLayerVersion",
    "logs:DescribeLogGroups",
    "logs:FilterLogEvents",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
)
# What the commands need besides, where the stack or the settings have switched something on.
_LISTS_ACTIONS: Final = ("s3:GetObject", "s3:ListBucket")
_BIN_ACTIONS: Final = ("ec2:DescribeSnapshots", "ec2:ListSnapshotsInRecycleBin")
_SCAN_ACTIONS: Final = ("ecr:DescribeImageScanFindings",)
_APPROVAL_ACTIONS: Final = ("lambda:InvokeFunction",)
_DOCUMENT_ACTIONS: Final = ("ssm:GetDocument",)
# Service, code and default (Service Quotas; EC2 user guide, AMI quotas; EBS user guide, Quotas).
_AMIS: Final = ("ec2", "L-B665C33B", 50_000)
_SNAPSHOTS: Final = ("ebs", "L-309BACF6", 100_000)
# AWS General Reference, Systems Manager quotas: standard parameters per account and Region.
_PARAMETERS: Final = 10_000
_NEARLY: Final = 0.9
_RULES: Final = (
    "ImagePushedRule",
    "ImageStateChangedRule",
    "InstanceStateChangedRule",
    "CommandEndedRule",
    "BuildFailedRule",
)
_ALARM_RULE: Final = "AlarmRaisedRule"


def check_deployment(stack: Stack) -> Iterator[Finding]:
    """The stack exists, and its last deployment succeeded."""
    status = str(stack.description.get("StackStatus", ""))
    fine = status.endswith("_COMPLETE") and "ROLLBACK" not in status
    yield Finding(
        Level.OK if fine else Level.WARNING,
        "stack",
        f"{stack.name} in {stack.account_id}, {stack.region}: {status}",
        "" if fine else "look at the stack's events, and deploy again: sam deploy",
    )


def _digest_of_tag(stack: Stack, settings: EnvironmentSettings) -> str | None:
    return stack.repository.digest_of(settings.repository, settings.image_tag)


def check_configuration(stack: Stack) -> Iterator[Finding]:
    """Every environment's settings are valid, and its repository and tag exist."""
    for environment in stack.catalogue.environments:
        settings = stack.catalogue.get(environment)
        if not settings.takes_promotions and _digest_of_tag(stack, settings) is None:
            yield Finding(
                Level.WARNING,
                "configuration",
                f"{environment}: {settings.repository} has no tag {settings.image_tag}",
                f"push the first image: docker push <registry>/{settings.repository}:{settings.image_tag}",
            )
        if not settings.verification.enabled:
            yield Finding(
                Level.WARNING,
                "configuration",
                f"{environment}: verification is switched off, so unverified images are published",
                "set verification.enabled: true in build_config.yml, and deploy",
            )
    given = stack.parameters_given.get("RepositoryName")
    others = {stack.catalogue.repository_of(name) for name in stack.catalogue.environments} - {given}
    if others:
        yield Finding(
            Level.ERROR,
            "configuration",
            f"environments are built from {', '.join(sorted(others))}, but the stack listens to pushes of {given}",
            "make the parameter ecr.repository and the stack's RepositoryName the same",
        )
    yield Finding(
        Level.OK, "configuration", f"settings of {', '.join(stack.catalogue.environments)} are valid"
    )


def check_builds(stack: Stack) -> Iterator[Finding]:
    """Problems that the plan of each environment's next build would report, and limitations of `latest` for
    consumers.
    """
    for environment in stack.catalogue.environments:
        settings = stack.catalogue.get(environment)
        digest = None if settings.takes_promotions else _digest_of_tag(stack, settings)
        if digest is not None:
            problems, _ = stack.preflight.build_problems(settings, digest)
        else:
            problems = [
                *stack.preflight.parameter_problems(settings),
                *stack.preflight.network_problems(settings),
            ]
        for problem in problems:
            yield Finding(Level.ERROR, "builds", f"{environment}: {problem.what}", problem.remedy)
        if data_type := data_type_of_latest(stack, environment):
            what, _, remedy = data_type.partition(". ")
            yield Finding(Level.WARNING, "builds", f"{environment}: {what}", remedy)
        if not problems:
            yield Finding(Level.OK, "builds", f"{environment}: the plan of a build finds nothing to refuse")


def check_permissions(stack: Stack) -> Iterator[Finding]:
    """The caller has the permissions of these commands."""
    caller = stack.client("sts").get_caller_identity()["Arn"]
    if caller.endswith(":root"):
        yield Finding(Level.WARNING, "permissions", "you are the account's root user", "use a role instead")
        return
    answer = stack.client("iam").simulate_principal_policy(
        PolicySourceArn=_policy_source(stack, caller), ActionNames=needed_actions(stack)
    )
    denied = [
        each["EvalActionName"] for each in answer["EvaluationResults"] if each["EvalDecision"] != "allowed"
    ]
    if denied:
        # Simulation without resources and tags also denies what is granted only for some.
        yield Finding(
            Level.WARNING,
            "permissions",
            f"{caller} may not everywhere: {', '.join(denied)}",
            "grant these for this stack's resources where you need the commands that use them",
        )
    else:
        yield Finding(Level.OK, "permissions", f"{caller} may do what these commands do")


def needed_actions(stack: Stack) -> list[str]:
    """What the commands call, of this stack with these settings."""
    given = stack.parameters_given
    # Without the right to read the configuration, that is what is to be told.
    settings = (
        [stack.catalogue.get(each) for each in stack.catalogue.environments]
        if stack.has_configuration
        else []
    )
    wanted = (
        (OPERATOR_ACTIONS, True),
        (_LISTS_ACTIONS, given.get("KeepPackageLists") == "true"),
        (_BIN_ACTIONS, given.get("RecycleBinDays", "0") != "0"),
        (_SCAN_ACTIONS, any(each.scan_gate is not None for each in settings)),
        (_APPROVAL_ACTIONS, any(each.approval.is_on for each in settings)),
        (_DOCUMENT_ACTIONS, any(hook.document for each in settings for _, _, hook in each.hooks.all)),
    )
    return [action for actions, is_needed in wanted if is_needed for action in actions]


def _policy_source(stack: Stack, caller: str) -> str:
    """The role behind a session (IAM API reference, SimulatePrincipalPolicy, takes no session)."""
    if ":assumed-role/" not in caller:
        return caller
    role = caller.split("/")[1]
    return str(stack.client("iam").get_role(RoleName=role)["Role"]["Arn"])


def check_images_quota(stack: Stack) -> Iterator[Finding]:
    """The quota of images is not exhausted."""
    pages = (
        stack.client("ec2").get_paginator("describe_images").paginate(Owners=["self"], IncludeDisabled=True)
    )
    yield _headroom(stack, "images", sum(len(page["Images"]) for page in pages), _AMIS)


def check_snapshots_quota(stack: Stack) -> Iterator[Finding]:
    """The quota of snapshots is not exhausted."""
    pages = stack.client("ec2").get_paginator("describe_snapshots").paginate(OwnerIds=["self"])
    yield _headroom(stack, "snapshots", sum(len(page["Snapshots"]) for page in pages), _SNAPSHOTS)


def check_parameters_quota(stack: Stack) -> Iterator[Finding]:
    """The quota of standard parameters is not exhausted; history adds one for each image."""
    count = 0
    for page in (
        stack.client("ssm").get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 50})
    ):
        count += sum(each.get("Tier", "Standard") == "Standard" for each in page["Parameters"])
    yield _limit_finding(
        "standard parameters", count, _PARAMETERS, "lower publication.history_to_keep, or delete some"
    )


def _headroom(stack: Stack, what: str, count: int, quota: tuple[str, str, int]) -> Finding:
    limit, note = _quota(stack, quota)
    return _limit_finding(what, count, limit, "remove old ones, or ask for more in Service Quotas", note)


def _limit_finding(what: str, count: int, limit: float, remedy: str, note: str = "") -> Finding:
    level = Level.OK if count < _NEARLY * limit else Level.WARNING if count < limit else Level.ERROR
    message = f"{count} of {limit:.0f} {what}{note}"
    return Finding(level, "quotas", message, "" if level is Level.OK else remedy)


def _quota(stack: Stack, quota: tuple[str, str, int]) -> tuple[float, str]:
    """The account's value; AWS's default where it cannot be read."""
    service, code, default = quota
    value = applied_quota(stack.client("service-quotas"), service, code)
    if value is None:
        return default, " (AWS's default; the account's own value could not be read)"
    return value, ""


def check_rules(stack: Stack) -> Iterator[Finding]:
    """The rules and the schedule are enabled."""
    resources = _resources(stack)
    events = stack.client("events")
    listening = (_ALARM_RULE,) if stack.parameters_given.get("RollbackAlarms") else ()
    off = [
        name
        for name in (*_RULES, *listening)
        if name not in resources or events.describe_rule(Name=resources[name])["State"] == "DISABLED"
    ]
    for name in off:
        yield Finding(
            Level.ERROR,
            "events",
            f"the rule {name} is disabled or missing",
            f"aws events enable-rule --name {resources.get(name, name)}, or deploy again",
        )
    schedule = stack.client("scheduler").get_schedule(Name=resources.get("SweepSchedule", "SweepSchedule"))
    if schedule["State"] != "ENABLED":
        yield Finding(
            Level.ERROR,
            "events",
            "the schedule of the sweep is disabled, so nothing repairs itself",
            "deploy again",
        )
    elif not off:
        yield Finding(Level.OK, "events", "all rules and the schedule of the sweep are enabled")


def check_alarms(stack: Stack) -> Iterator[Finding]:
    """The alarms that environments are rolled back on reach the service."""
    given = stack.parameters_given.get("RollbackAlarms", "")
    for environment in stack.catalogue.environments:
        alarms = stack.catalogue.alarms_of(environment)
        if alarms is None:
            continue
        if given and overlap(given, alarms):
            yield Finding(
                Level.OK, "events", f"{environment}: alarms of {alarms} roll it back while it soaks"
            )
            continue
        let_through = f"lets {given} through" if given else "is empty"
        yield Finding(
            Level.ERROR,
            "events",
            f"{environment}: alarms of {alarms} roll nothing back, because the stack's RollbackAlarms {let_through}",
            f"deploy with RollbackAlarms={alarms}, or with a wider one: docs/rollout.md",
        )


def _resources(stack: Stack) -> dict[str, str]:
    cloudformation = stack.client("cloudformation")
    with aws_errors("cloudformation:ListStackResources", stack.name):
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack.name)
        found: list[dict[str, Any]] = [each for page in pages for each in page["StackResourceSummaries"]]
    return {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in found}


def check_dead_letters(stack: Stack) -> Iterator[Finding]:
    """The dead-letter queues are empty."""
    answer = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.output("DeadLetterQueueUrl"), AttributeNames=["ApproximateNumberOfMessages"]
    )
    count = int(answer["Attributes"]["ApproximateNumberOfMessages"])
    yield Finding(
        Level.WARNING if count else Level.OK,
        "dead letters",
        f"{count} events or invocations were not delivered" if count else "every event was delivered",
        "read them, find the cause, then purge the queue: docs/runbook.md, Dead letters" if count else "",
    )


def check_bases(stack: Stack) -> Iterator[Finding]:
    """What fresh builds start from is there, is whose it must be, fits the architecture, and is allowed."""
    ec2 = stack.client("ec2")
    state = ec2.get_allowed_images_settings()["State"]
    planner = stack.planner()
    by_base: dict[tuple[str, str], EnvironmentSettings] = {}
    for settings in map(stack.catalogue.get, stack.catalogue.environments):
        by_base.setdefault((settings.base.text, settings.builder.architecture), settings)
    for (base, architecture), settings in sorted(by_base.items()):
        what = f"{base} for {architecture}"
        try:
            image = planner.base(settings, stack.state_machine_arn)
        except (ImageNotAllowedError, SettingsError) as error:
            message, _, remedy = str(error).rpartition("; ")
            yield Finding(Level.ERROR, "base", f"{what}: {message}", remedy)
            continue
        (shown,) = ec2.describe_images(ImageIds=[image.image_id], IncludeDeprecated=True)["Images"]
        yield _judge_base(what, image, state, is_allowed=bool(shown.get("ImageAllowed", True)))


def _judge_base(what: str, image: Image, state: str, *, is_allowed: bool) -> Finding:
    found = f"{what} is {image.image_id}" + (
        f" of {image.creation_date:%Y-%m-%d}" if image.creation_date else ""
    )
    if is_allowed:
        allowed = "" if state == "disabled" else f", which Allowed AMIs allows ({state})"
        return Finding(Level.OK, "base", f"{found}{allowed}")
    return Finding(
        Level.WARNING,
        "base",
        f"{found}, which is not among Allowed AMIs; {state} hides nothing yet",
        "allow its provider before the setting is enabled; else fresh builds fail: docs/bases.md",
    )


def check_hook_documents(stack: Stack) -> Iterator[Finding]:
    """The documents that hooks name are there, and hooks can run them. Whether the stack's roles may read them, the
    operator's own permissions do not tell: that is the stack's parameter HookDocumentArns.
    """
    for settings in map(stack.catalogue.get, stack.catalogue.environments):
        named = [hook.name for _, _, hook in settings.hooks.all if hook.document]
        if not named:
            continue
        try:
            with_programs(settings, stack.documents)
        except SettingsError as error:
            message, _, remedy = str(error).rpartition("; ")
            yield Finding(Level.ERROR, "hooks", f"{settings.environment}: {message}", remedy)
            continue
        yield Finding(Level.OK, "hooks", f"{settings.environment}: {', '.join(named)} can be run")


def check_encryption(stack: Stack) -> Iterator[Finding]:
    """The KMS key of new volumes is usable: the stack's, else the account's default."""
    ec2 = stack.client("ec2")
    if own := stack.parameters_given.get("VolumeKeyArn"):
        found = stack.client("kms").describe_key(KeyId=own)["KeyMetadata"]
        enabled = bool(found["Enabled"])
        yield Finding(
            Level.OK if enabled else Level.ERROR,
            "encryption",
            f"volumes are encrypted with the stack's key {own}, which is {found['KeyState'].lower()}",
            "" if enabled else "enable the key, or deploy the stack with another VolumeKeyArn",
        )
        return
    if not ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]:
        yield Finding(
            Level.OK, "encryption", "new volumes are not encrypted by default; images follow their base"
        )
        return
    key = ec2.get_ebs_default_kms_key_id()["KmsKeyId"]
    if key.endswith("alias/aws/ebs"):
        yield Finding(Level.OK, "encryption", "new volumes are encrypted with the AWS managed key")
        return
    found = stack.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    if found.get("KeyManager") == "AWS":
        yield Finding(Level.OK, "encryption", "new volumes are encrypted with the AWS managed key")
        return
    yield Finding(
        Level.ERROR,
        "encryption",
        f"new volumes are encrypted with the customer managed key {key}, which is {found['KeyState'].lower()}, and the "
        "stack's roles may not use it: builders end as soon as they start",
        f"deploy the stack with VolumeKeyArn={found['Arn']}: docs/deploy.md, 10",
    )
