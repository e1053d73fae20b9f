"""Enforcement of permissions: the gateway's middleware, and checks that services make for a role."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response
from aws_emulator.gateway.identities import CLIENT, Identities
from aws_emulator.iam.account import AccountView
from aws_emulator.iam.calls import needs_of
from aws_emulator.iam.conditions import PolicyError
from aws_emulator.iam.denials import denial
from aws_emulator.iam.policies import Check, Decision, admits, check, decide, statements_of

# The service principal of each kind of resource (each service's developer guide, execution roles).
ASSUMING_SERVICES: Final = {
    "AWS::Events::Rule": "events.amazonaws.com",
    "AWS::Lambda::Function": "lambda.amazonaws.com",
    "AWS::Scheduler::Schedule": "scheduler.amazonaws.com",
    "AWS::StepFunctions::StateMachine": "states.amazonaws.com",
}
# The agent needs these to register and to hold its channel (Systems Manager user guide, Additional policy
# considerations for managed instances); ec2messages is the older channel, which it falls back to.
_AGENT: Final = (
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
# Docker's pull, after signing in (ECR user guide, Repository policies: actions for pulling).
_PULL: Final = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
# KMS actions of EBS, besides CreateGrant.
_USING_KEY: Final = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
# What a state machine's role must have for its log (Step Functions developer guide, Logging using CloudWatch Logs).
_LOG_DELIVERY: Final = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)


@dataclass(frozen=True)
class Answer:
    """An evaluated check.

    Attributes:
        caller: as in the call log; the role's name for calls that AWS makes on its behalf.
    """

    caller: str
    role_arn: str
    check: Check
    allowed: bool


class Enforcement:
    """Checks every call of a role against its policies; callers without a role are administrators.

    Args:
        enabled: when False, everything is allowed, and denials are only recorded.

    Attributes:
        service_control_policies: documents of the organization, of which the Deny statements bind every principal of
            the account.
    """

    def __init__(self, account: AccountView, identities: Identities, *, enabled: bool = True) -> None:
        self._account = account
        self._identities = identities
        self._enabled = enabled
        self._answers: dict[Answer, None] = {}
        self.service_control_policies: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def __call__(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """The gateway's middleware; raises the service's own ApiError for what is not allowed."""
        _check_documents(request)
        self._check_role_of_machine(request)
        role = self._identities.role_of(request.caller)
        if role is not None:
            for asked in needs_of(request.service, request.operation, request.parameters, self._account):
                self._require(request.caller, role, asked, request.service)
        elif self.service_control_policies and request.caller == CLIENT:
            self._require_of_organization(request)
        return proceed()

    # What services ask.

    def allows(self, caller: str, action: str, resource: str = "*") -> bool:
        """Whether a caller may do something; always True for one without a role."""
        role = self._identities.role_of(caller)
        if role is None:
            return True
        return self._answer(caller, role, check(action, resource)) is Decision.ALLOWED or not self._enabled

    def permits(self, caller: str, service: str, operation: str, parameters: Mapping[str, Any]) -> bool:
        """Whether a caller's rights include a call that a service makes on its behalf; True for one without a role."""
        role = self._identities.role_of(caller)
        if role is None:
            return True
        needs = needs_of(service, operation, parameters, self._account)
        decisions = [self._answer(caller, role, asked) for asked in needs]
        return not self._enabled or all(each is Decision.ALLOWED for each in decisions)

    def agent_may_report(self, profile: Mapping[str, str]) -> bool:
        """Whether an instance's profile lets its SSM agent register and receive commands."""
        return self._role_may(self._account.role_of_profile(profile), _AGENT)

    def refused_pull(self, profile: Mapping[str, str] | None, repository: str) -> str | None:
        """What ECR says to an instance that may not pull from a repository; None if it may."""
        role = self._account.role_of_profile(profile) if profile else None
        if role is None:
            return "no basic auth credentials"
        arn = self._account.arn("ecr", f"repository/{repository}")
        checks = [check("ecr:GetAuthorizationToken"), *(check(action, arn) for action in _PULL)]
        for asked in checks:
            decision = self._answer(_name(role), role, asked)
            if decision is not Decision.ALLOWED and self._enabled:
                return denial("ecr", self._principal(role, "instance"), asked, decision).message
        return None

    def access_key_of(self, instance_id: str, profile: Mapping[str, str]) -> str | None:
        """The access key that an instance has of the role in its profile; None where that has no role."""
        role = self._account.role_of_profile(profile)
        return self._identities.issue(instance_id, role).access_key_id if role else None

    def refused_key(self, caller: str, key_arn: str) -> str | None:
        """Why EBS cannot use a customer's key for a caller's volumes; None if it can.

        The key's policy is taken to leave it to IAM, as the default one does (AWS KMS developer guide, Default key
        policy), and the actions are those of the EBS user guide, Requirements for EBS encryption.
        """
        state = self._account.state_of_key(key_arn)
        if state != "Enabled":
            return (
                f"Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state ({state})"
            )
        role = self._identities.role_of(caller)
        if role is None or not self._enabled:
            return None
        via = {"kms:ViaService": f"ec2.{self._account.region}.amazonaws.com"}
        granting = check("kms:CreateGrant", key_arn, {**via, "kms:GrantIsForAWSResource": "true"})
        for asked in (granting, *(check(action, key_arn, via) for action in _USING_KEY)):
            if self._answer(caller, role, asked) is not Decision.ALLOWED:
                return "Client.InternalError: Client error on launch"
        return None

    def may_write_log(self, role_arn: str, log_group: str) -> bool:
        """Whether a role may write to a log group; without it CloudWatch Logs has nothing to show."""
        arn = self._account.arn("logs", f"log-group:{log_group}:log-stream:emulator")
        return self._role_may(role_arn, ("logs:CreateLogStream", "logs:PutLogEvents"), arn)

    def may_write_command_log(self, profile: Mapping[str, str] | None, log_group: str) -> bool:
        """Whether an instance may write a command's output to a log group."""
        role = self._account.role_of_profile(profile) if profile else None
        if role is None:
            return False
        group = self._account.arn("logs", f"log-group:{log_group}:*")
        return (
            self._role_may(role, ("logs:DescribeLogGroups",))
            and self._role_may(role, ("logs:DescribeLogStreams",), group)
            and self.may_write_log(role, log_group)
        )

    def queue_admits(self, queue_arn: str, principal: str, source_arn: str) -> bool:
        """Whether a queue's policy lets a service send to it on behalf of a rule."""
        asked = check("sqs:SendMessage", queue_arn, {"aws:SourceArn": source_arn})
        return not self._enabled or admits(self._account.queue_policy(queue_arn), principal, asked)

    def require_trust(self, role_arn: str, principal: str) -> None:
        """Refuse a role that a service cannot assume.

        Raises:
            ApiError: `InvalidParameterValueException`, as services answer when they are given the role.
        """
        asked = check("sts:AssumeRole", context={"aws:SourceAccount": self._account.account_id})
        if self._enabled and not admits(self._account.trust_of(role_arn), principal, asked):
            message = f"The role {role_arn} cannot be assumed by {principal}."
            raise ApiError("InvalidParameterValueException", message)

    def answers(self) -> list[Answer]:
        """Every different check that was made so far, oldest first."""
        with self._lock:
            return list(self._answers)

    def _check_role_of_machine(self, request: Request) -> None:
        """Step Functions looks at once whether a state machine's role can deliver its log."""
        if (request.service, request.operation) != ("stepfunctions", "CreateStateMachine"):
            return
        logging = request.parameters.get("loggingConfiguration") or {}
        if logging.get("level", "OFF") == "OFF":
            return
        role = request.parameters["roleArn"]
        if not self._role_may(role, _LOG_DELIVERY):
            message = "The state machine IAM Role is not authorized to access the Log Destination"
            raise ApiError("AccessDeniedException", message)

    def _role_may(self, role_arn: str | None, actions: Iterable[str], resource: str = "*") -> bool:
        if role_arn is None:
            return False
        decisions = [self._answer(_name(role_arn), role_arn, check(action, resource)) for action in actions]
        return not self._enabled or all(each is Decision.ALLOWED for each in decisions)

    def _require_of_organization(self, request: Request) -> None:
        """Hold an administrator against the organization's policies, which bind every principal of the account."""
        for asked in needs_of(request.service, request.operation, request.parameters, self._account):
            if self._refused_by_organization(asked):
                principal = f"arn:aws:iam::{self._account.account_id}:user/{request.caller}"
                raise denial(request.service, principal, asked, Decision.DENIED_BY_ORGANIZATION)

    def _refused_by_organization(self, asked: Check) -> bool:
        """Whether a policy refuses it. What they allow is everything, as FullAWSAccess does (AWS Organizations user
        guide, Service control policies).
        """
        statements = (each for document in self.service_control_policies for each in statements_of(document))
        return any(each.effect == "Deny" and each.matches(asked) for each in statements)

    def _require(self, caller: str, role_arn: str, asked: Check, service: str) -> None:
        decision = self._answer(caller, role_arn, asked)
        if decision is not Decision.ALLOWED and self._enabled:
            raise denial(service, self._principal(role_arn, caller), asked, decision)

    def _answer(self, caller: str, role_arn: str, asked: Check) -> Decision:
        policies = self._account.policies_of(role_arn)
        statements = [statement for document in policies for statement in statements_of(document)]
        decision = (
            Decision.DENIED_BY_ORGANIZATION
            if self._refused_by_organization(asked)
            else decide(statements, asked)
        )
        with self._lock:
            self._answers[Answer(caller, role_arn, asked, decision is Decision.ALLOWED)] = None
        return decision

    def _principal(self, role_arn: str, session: str) -> str:
        return f"arn:aws:sts::{self._account.account_id}:assumed-role/{_name(role_arn)}/{session}"


def _check_documents(request: Request) -> None:
    """Refuse a policy that cannot be evaluated when it is written, not when it is first needed."""
    if request.service != "iam":
        return
    for member in ("PolicyDocument", "AssumeRolePolicyDocument"):
        if member in request.parameters:
            try:
                statements_of(request.parameters[member])
            except (PolicyError, json.JSONDecodeError) as error:
                raise ApiError("MalformedPolicyDocument", str(error)) from error


def _name(role_arn: str) -> str:
    return role_arn.rpartition("/")[2]


def answers_as_json(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """Answers as `GET /_emulator/permissions` shows them."""
    return [
        {
            "caller": each.caller,
            "role_arn": each.role_arn,
            "action": each.check.action,
            "resource": each.check.resource,
            "conditions": {key: list(values) for key, values in each.check.context},
            "allowed": each.allowed,
        }
        for each in answers
    ]
