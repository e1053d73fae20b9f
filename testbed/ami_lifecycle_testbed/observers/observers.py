"""Whoever watches the emulated account: its calls and events, told to the promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ami_lifecycle_testbed.observers.account_view import LOOK_UPS, AccountView
from ami_lifecycle_testbed.promises import Act, Effect, LookUp, PromiseChecks
from ami_lifecycle_testbed.promises.acts import Invocation, invocation_of
from aws_emulator.api.operations import ApiError, Request, Response
from aws_emulator.gateway.gateway import Gateway

_SERVICES: Final = frozenset({"ec2", "ssm", "autoscaling"})
# botocore puts it into every call of a function, which the gateway may serve in a thread of its own.
_TRACE: Final = "x-amzn-trace-id"
_MOST_TRACES: Final = 1000
_VERIFICATION: Final = "VerifyImage"
# Which parameter of a changing call names what it changes.
_CHANGES: Final[Mapping[str, str]] = {
    "CreateImage": "InstanceId",
    "CreateTags": "Resources",
    "DeleteSnapshot": "SnapshotId",
    "DeleteTags": "Resources",
    "DeregisterImage": "ImageId",
    "DisableImageDeprecation": "ImageId",
    "DisableImageDeregistrationProtection": "ImageId",
    "EnableImageDeprecation": "ImageId",
    "EnableImageDeregistrationProtection": "ImageId",
    "ModifyImageAttribute": "ImageId",
    "ModifyInstanceAttribute": "InstanceId",
    "RestoreSnapshotFromRecycleBin": "SnapshotId",
    "SendCommand": "InstanceIds",
    "StopInstances": "InstanceIds",
    "TerminateInstances": "InstanceIds",
}
_WRITES: Final = frozenset({"PutParameter", "DeleteParameter"})
_NAMING: Final = (
    "Name",
    "ImageId",
    "InstanceId",
    "InstanceIds",
    "SnapshotId",
    "FunctionName",
    "executionArn",
    "name",
)


class Observers(PromiseChecks):
    """Holds the promises over the emulated account.

    Args:
        is_ours: whether a caller is part of the stack.
    """

    def __init__(self, view: AccountView, is_ours: Callable[[str], bool]) -> None:
        self._view = view
        self._is_ours = is_ours
        self._by_trace: dict[str, Invocation] = {}
        super().__init__(view)

    def attach(self, gateway: Gateway) -> None:
        """Watch the gateway's calls, nearest to the services, and serve `/_emulator/violations`."""
        gateway.middlewares.append(self.around_call)
        gateway.routes["GET", "/_emulator/violations"] = self._show

    def around_call(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """Watch one call (a gateway middleware)."""
        if request.service not in _SERVICES:
            return proceed()
        act = self._act_of(request)
        suspicions = self.before(act)
        try:
            response = proceed()
        except ApiError as error:
            self.failed(act, error.code)
            raise
        self.after(act, suspicions, _effect_of(request, response), _outcome(response))
        return response

    def notice_event(self, event: dict[str, Any]) -> None:
        """Look again when something has changed by itself."""
        detail = event["detail"]
        match event["detail-type"]:
            case "EC2 Command Invocation Status-change Notification":
                canary = self._view.verified(detail["instance-id"], detail.get("command-id", ""))
                if canary and detail["status"] == "Success" and _VERIFICATION in detail["document-name"]:
                    self.passed(canary)
            case "EC2 AMI State Change" if detail["State"] == "available":
                self.available(detail["ImageId"])
        self.check()

    def _act_of(self, request: Request) -> Act:
        parameters = request.parameters
        writes = request.service == "ssm" and request.operation in _WRITES
        return Act(
            request.operation,
            by_person=not self._is_ours(request.caller),
            invocation=self._invocation_of(request),
            changes=_listed(parameters.get(_CHANGES.get(request.operation, ""), ())),
            parameter=str(parameters.get("Name")) if writes else None,
            value=str(parameters["Value"]) if writes and "Value" in parameters else None,
            looks_up=_look_ups_of(request),
            describe=lambda: _describe(request),
        )

    def _invocation_of(self, request: Request) -> Invocation:
        """Whose call it is: that of the trace which the SDK names, or of this thread or actor of virtual time."""
        trace = request.headers.get(_TRACE)
        if trace is None:
            return invocation_of(request.caller)
        while len(self._by_trace) > _MOST_TRACES:
            self._by_trace.pop(next(iter(self._by_trace)), None)
        return self._by_trace.setdefault(trace, Invocation())

    def _show(self, _body: bytes, query: dict[str, str]) -> tuple[int, Any]:
        if query.get("rest") in {"1", "true"}:
            self.check_at_rest()
        return 200, {"violations": self.violations.as_json()}


def _listed(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _look_ups_of(request: Request) -> tuple[LookUp, ...]:
    if request.operation not in LOOK_UPS:
        return ()
    parameters = request.parameters
    of = (
        parameters.get("ImageIds")
        or parameters.get("Names")
        or [parameters.get("ImageId") or parameters.get("AutoScalingGroupName")]
    )
    return tuple(LookUp(request.operation, each) for each in of)


def _effect_of(request: Request, response: Response) -> Effect:
    match request.operation:
        case "RunInstances":
            return Effect(instances=tuple(each["InstanceId"] for each in response.get("Instances", ())))
        case "CreateImage" | "RegisterImage" | "CopyImage":
            return Effect(images=(response["ImageId"],))
        case "CreateSnapshot" | "CopySnapshot":
            return Effect(snapshots=(response["SnapshotId"],))
    return Effect()


def _outcome(response: Response) -> str:
    outcome = getattr(response, "outcome", None)
    return str(outcome()) if callable(outcome) else "ok"


def _describe(request: Request) -> str:
    """A call in a few words: who, what, on which resource."""
    named = [f"{key}={request.parameters[key]}" for key in _NAMING if key in request.parameters]
    return f"{request.caller} {request.service}:{request.operation}({', '.join(named)})"
