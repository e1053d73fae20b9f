"""Instances after their launch: state changes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.instance_views import require_instances, shown_state
from aws_emulator.ec2.model import Instance
from aws_emulator.ec2.requests import refuse_dry_run, supported
from aws_emulator.ec2.store import Ec2Store

_ENDED: Final = ("shutting-down", "terminated")


class Instances:
    """The operations on launched instances.

    Args:
        agent_may_report: whether an instance profile has the permissions without which the SSM agent never
            registers.
    """

    def __init__(self, store: Ec2Store, agent_may_report: Callable[[Mapping[str, str]], bool]) -> None:
        self._store = store
        self._agent_may_report = agent_may_report

    def begin_life(self, instance: Instance) -> None:
        """Start the life cycle of a launched instance."""
        self._notify(instance)
        fault = self._store.faults.instance(self._store.role_of(instance))
        if fault is None or fault.after is not None:
            self._boot(instance)
        if fault is None:
            return

        def die() -> None:
            code = fault.reason.partition(":")[0]
            instance.state_reason = (code, fault.reason)
            instance.transition_reason = ""
            self._end(instance)

        self._store.later(self._store.durations.instance_running if fault.after is None else fault.after, die)

    def end_at_once(self, instance: Instance, reason: str) -> None:
        """Terminate a launched instance before it runs."""
        self._notify(instance)

        def die() -> None:
            instance.state_reason = (reason.partition(":")[0], reason)
            instance.transition_reason = "Server.InternalError"
            self._end(instance)

        self._store.later(self._store.durations.instance_running, die)

    def _boot(self, instance: Instance) -> None:
        instance.starts += 1
        start = instance.starts

        def run() -> None:
            if instance.state == "pending" and instance.starts == start:
                self._enter(instance, "running")

        self._store.later(self._store.durations.instance_running, run)
        online = self._store.durations.agent_online_of(self._store.role_of(instance))
        if instance.starts == 1:
            online += self._store.durations.first_read(
                self._store.root_volume(instance).device.initialization_rate
            )
        self._start_agent(instance, max(online, self._store.durations.instance_running))

    def _start_agent(self, instance: Instance, seconds: float) -> None:
        """Have the SSM agent report after some seconds.

        It never does without an instance profile (the agent has no credentials) or with one that lacks
        permissions, on a disk that the image's attributes cannot boot, or when a fault says so.
        """
        start = instance.starts
        if (
            instance.profile is None
            or not instance.bootable
            or self._store.faults.agent(self._store.role_of(instance))
        ):
            return
        if not self._agent_may_report(instance.profile):
            return

        def vanish() -> None:
            instance.agent_online = False

        def report() -> None:
            if instance.state == "running" and instance.starts == start:
                instance.agent_online = True
                instance.agent_since = self._store.clock.now()
                if (fault := self._store.faults.vanishing_agent(self._store.role_of(instance))) is not None:
                    self._store.later(fault.after, vanish)

        self._store.later(seconds, report)

    def reboot(self, instance: Instance) -> None:
        """Reboot a running instance: the agent is offline for as long as a start takes."""
        instance.agent_online = False
        instance.starts += 1
        self._start_agent(instance, self._store.durations.agent_online)

    def _enter(self, instance: Instance, state: str) -> None:
        instance.state = state
        self._notify(instance)

    def _notify(self, instance: Instance) -> None:
        self._store.bus.emit(
            "aws.ec2",
            "EC2 Instance State-change Notification",
            {"instance-id": instance.instance_id, "state": instance.state},
            [self._store.arn("instance", instance.instance_id)],
        )

    @operation("ec2", "StopInstances")
    def stop_instances(self, request: Request) -> Response:
        """Stop instances; those that are stopped already stay so."""
        with self._store.lock:
            parameters = supported(request, "InstanceIds", "Force")
            instances = require_instances(self._store, parameters["InstanceIds"])
            refuse_dry_run(request)
            for instance in instances:
                if instance.state in {"pending", *_ENDED}:
                    raise _incorrect_state(instance, "stopped")
            return {"StoppingInstances": [self._stop(instance) for instance in instances]}

    def _stop(self, instance: Instance) -> dict[str, Any]:
        before = instance.state
        if before == "running":
            instance.transition_reason = f"User initiated ({self._store.clock.now():%Y-%m-%d %H:%M:%S} GMT)"
            instance.state_reason = (
                "Client.UserInitiatedShutdown",
                "Client.UserInitiatedShutdown: User initiated shutdown",
            )
            self._enter(instance, "stopping")
            instance.agent_online = False

            def stopped() -> None:
                if instance.state == "stopping":
                    self._enter(instance, "stopped")

            self._store.later(self._store.durations.stop, stopped)
        return _change(instance, before, instance.state)

    @operation("ec2", "StartInstances")
    def start_instances(self, request: Request) -> Response:
        """Start stopped instances."""
        with self._store.lock:
            parameters = supported(request, "InstanceIds")
            instances = require_instances(self._store, parameters["InstanceIds"])
            refuse_dry_run(request)
            for instance in instances:
                if instance.state in {"stopping", *_ENDED}:
                    raise _incorrect_state(instance, "started")
            changes = []
            for instance in instances:
                before = instance.state
                if before == "stopped":
                    instance.transition_reason, instance.state_reason = "", None
                    self._enter(instance, "pending")
                    self._boot(instance)
                changes.append(_change(instance, before, instance.state))
            return {"StartingInstances": changes}

    @operation("ec2", "TerminateInstances")
    def terminate_instances(self, request: Request) -> Response:
        """Terminate instances: takes time, is idempotent, and all or none are accepted."""
        with self._store.lock:
            parameters = supported(request, "InstanceIds", "Force", "SkipOsShutdown")
            instances = require_instances(self._store, parameters["InstanceIds"])
            refuse_dry_run(request)
            for instance in instances:
                if instance.termination_protected and instance.state != "terminated":
                    raise ApiError(
                        "OperationNotPermitted",
                        f"The instance '{instance.instance_id}' may not be terminated. Modify its "
                        "'disableApiTermination' instance attribute and try again.",
                    )
            return {"TerminatingInstances": [self._terminate(instance) for instance in instances]}

    def _terminate(self, instance: Instance) -> dict[str, Any]:
        before = instance.state
        if before in _ENDED:
            return _change(instance, before, before)
        instance.transition_reason = f"User initiated ({self._store.clock.now():%Y-%m-%d %H:%M:%S} GMT)"
        instance.state_reason = (
            "Client.UserInitiatedShutdown",
            "Client.UserInitiatedShutdown: User initiated shutdown",
        )
        instance.agent_online = False
        # A stopped instance answers `terminated` at once, while describes follow later.
        answer = "terminated" if before == "stopped" else "shutting-down"
        if before == "stopped":
            self._store.later(
                min(1.0, self._store.durations.terminate / 2), lambda: self._shut_down(instance)
            )
        else:
            self._shut_down(instance)
        self._store.later(self._store.durations.terminate, lambda: self._end(instance))
        return _change(instance, before, answer)

    def _shut_down(self, instance: Instance) -> None:
        if instance.state not in _ENDED:
            self._enter(instance, "shutting-down")

    def _end(self, instance: Instance) -> None:
        if instance.state == "terminated":
            return
        instance.agent_online = False
        for volume_id in instance.volumes.values():
            volume = self._store.volumes[volume_id]
            if volume.device.delete_on_termination:
                del self._store.volumes[volume_id]
            else:
                volume.state, volume.instance_id = "available", None
        instance.volumes = {}
        self._enter(instance, "terminated")
        self._store.later(self._store.durations.terminated_visible, lambda: self._forget(instance))

    def _forget(self, instance: Instance) -> None:
        self._store.instances.pop(instance.instance_id, None)

    @operation("ec2", "DescribeInstanceAttribute")
    def describe_instance_attribute(self, request: Request) -> Response:
        """Show one attribute of an instance."""
        with self._store.lock:
            parameters = supported(request, "InstanceId", "Attribute")
            (instance,) = require_instances(self._store, [parameters["InstanceId"]])
            attributes: dict[str, tuple[str, Any]] = {
                # Protection against stopping cannot be set here.
                "disableApiStop": ("DisableApiStop", {"Value": False}),
                "disableApiTermination": ("DisableApiTermination", {"Value": instance.termination_protected}),
                "instanceInitiatedShutdownBehavior": (
                    "InstanceInitiatedShutdownBehavior",
                    {"Value": instance.shutdown_behavior},
                ),
                "instanceType": ("InstanceType", {"Value": instance.instance_type}),
                "rootDeviceName": ("RootDeviceName", {"Value": instance.image.root_device_name}),
                "userData": ("UserData", {"Value": instance.user_data} if instance.user_data else {}),
            }
            if parameters["Attribute"] not in attributes:
                raise ApiError(
                    "EmulatorUnsupportedParameter",
                    f"the emulator does not emulate the attribute {parameters['Attribute']}",
                    501,
                )
            name, value = attributes[parameters["Attribute"]]
            return {"InstanceId": instance.instance_id, name: value}

    @operation("ec2", "ModifyInstanceAttribute")
    def modify_instance_attribute(self, request: Request) -> Response:
        """Change termination protection, shutdown behaviour or, when stopped, the user data."""
        with self._store.lock:
            parameters = supported(
                request,
                "InstanceId",
                "DisableApiTermination",
                "InstanceInitiatedShutdownBehavior",
                "UserData",
                "Attribute",
                "Value",
            )
            (instance,) = require_instances(self._store, [parameters["InstanceId"]])
            refuse_dry_run(request)
            protect = parameters.get("DisableApiTermination", {}).get("Value")
            if parameters.get("Attribute") == "disableApiTermination":
                protect = str(parameters.get("Value")).lower() == "true"
            if protect is not None:
                instance.termination_protected = protect
            if "InstanceInitiatedShutdownBehavior" in parameters:
                instance.shutdown_behavior = parameters["InstanceInitiatedShutdownBehavior"]["Value"]
            if "UserData" in parameters:
                if instance.state != "stopped":
                    raise ApiError(
                        "IncorrectInstanceState",
                        f"The instance '{instance.instance_id}' is not in the 'stopped' state.",
                    )
                instance.user_data = base64.b64encode(parameters["UserData"].get("Value", b"")).decode()
            return {}


def _change(instance: Instance, before: str, after: str) -> dict[str, Any]:
    return {
        "InstanceId": instance.instance_id,
        "PreviousState": shown_state(before),
        "CurrentState": shown_state(after),
    }


def _incorrect_state(instance: Instance, action: str) -> ApiError:
    return ApiError(
        "IncorrectInstanceState",
        f"The instance '{instance.instance_id}' is not in a state from which it can be {action}.",
    )
