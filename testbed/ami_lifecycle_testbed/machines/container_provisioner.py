"""Runs `ProvisionImage` and `VerifyImage` for real, on a machine for each emulated builder and canary.

An instance is launched as a machine when EC2 says that it runs, is shut down when it is stopped, and ended
when it is terminated. What a build leaves is on its machine's disk: the emulated volume and its snapshots
carry the disk's name in their content, so that a canary, or the next build, starts from it.
"""

from __future__ import annotations

import base64
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ami_lifecycle_testbed.durations import BuildDurations
from ami_lifecycle_testbed.provisioner import RefusedPull, SimulatedProvisioner, provisioned_content
from aws_emulator.ec2.model import Instance
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.ecr import Registry
from aws_emulator.faults import Faults
from aws_emulator.machines.agent import DocumentStep, StepResult, run_step
from aws_emulator.machines.errors import CommandError, MachineError
from aws_emulator.machines.instance_metadata import Identity, RoleCredentials
from aws_emulator.machines.machine import Machine
from aws_emulator.machines.machine_host import MachineHost
from aws_emulator.ssm.provisioner import CommandResult, PendingResult

logger = logging.getLogger(__name__)

_DISK: Final = "disk"
_ROLES: Final = ("builder", "canary")
_BOOT_SECONDS: Final = 180.0


class _Host:
    """The machine of one instance: what it does, it does in order, on threads of its own."""

    def __init__(self, identity: Identity, disk: Path) -> None:
        self.identity = identity
        self.disk = disk
        self.machine: Machine | None = None
        self.is_up = threading.Event()
        self.is_off = threading.Event()


class ContainerProvisioner(SimulatedProvisioner):
    """Provisions and verifies on machines.

    Args:
        documents: directory of `provision_image.yaml` and `verify_image.yaml`.
        machine_host: where machines are launched; open as long as this object is used.
    """

    def __init__(
        self,
        durations: BuildDurations,
        ec2: Ec2Store,
        registry: Registry,
        faults: Faults,
        refused_pull: RefusedPull,
        *,
        documents: Path,
        machine_host: MachineHost,
        access_key_of: Callable[[str, Mapping[str, str]], str | None],
    ) -> None:
        super().__init__(durations, ec2, registry, faults, refused_pull)
        self._access_key_of = access_key_of
        self._machine_host = machine_host
        self._steps = {
            "provision": DocumentStep.read(documents / "provision_image.yaml"),
            "verify": DocumentStep.read(documents / "verify_image.yaml"),
        }
        self._hosts: dict[str, _Host] = {}
        self._profiles: dict[str, Mapping[str, str] | None] = {}
        self._lock = threading.RLock()
        machine_host.authority.may_pull = self._may_pull
        ec2.bus.subscribe(self._on_event)

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["detail-type"] != "EC2 Instance State-change Notification":
            return
        instance_id, state = event["detail"]["instance-id"], event["detail"]["state"]
        actions: dict[str, Callable[[str], None]] = {
            "running": self._launch,
            "stopping": self._stop,
            "shutting-down": self._end,
        }
        if state in actions:
            self._in_background(actions[state], instance_id)

    def _in_background(self, action: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=action, args=arguments, name="machine", daemon=True).start()

    def _launch(self, instance_id: str) -> None:
        with self._ec2.lock:
            instance = self._ec2.instances.get(instance_id)
        if instance is not None and self._ec2.role_of(instance) in _ROLES:
            self._host_of(instance)

    def _host_of(self, instance: Instance) -> _Host:
        """The host of an instance, launched now if that has not happened yet."""
        with self._lock:
            host = self._hosts.get(instance.instance_id)
            if host is None:
                user_data = base64.b64decode(instance.user_data or "").decode(errors="replace")
                profile = instance.profile
                key = self._access_key_of(instance.instance_id, profile) if profile else None
                credentials = RoleCredentials(key) if key else None
                shows_tags = instance.metadata_options.get("InstanceMetadataTags") == "enabled"
                identity = Identity(
                    instance.instance_id,
                    user_data=user_data,
                    credentials=credentials,
                    tags=dict(instance.tags) if shows_tags else None,
                )
                if credentials is not None:
                    self._profiles[credentials.access_key_id] = instance.profile
                disk = self._machine_host.directory / f"{instance.instance_id}-{secrets.token_hex(3)}.ext4"
                host = self._hosts[instance.instance_id] = _Host(identity, disk)
                content = self._ec2.content_of(instance)
                size = self._ec2.root_volume(instance).device.volume_size * 1024
                self._in_background(self._boot, host, content.get(_DISK), size)
            return host

    def _boot(self, host: _Host, source: str | None, size_mib: int) -> None:
        try:
            self._wait_until_free(source)
            origin = Path(source) if source else self._machine_host.base.disk
            disk = self._machine_host.new_disk(origin, size_mib)
            disk.replace(host.disk)
            host.machine = self._machine_host.launch(host.identity, host.disk)
        except (MachineError, CommandError, OSError):
            # As on EC2: an instance that does not boot runs, and its agent never reports.
            logger.exception("the machine of %s did not boot", host.identity.instance_id)
        host.is_up.set()

    def _wait_until_free(self, source: str | None) -> None:
        with self._lock:
            owner = next((host for host in self._hosts.values() if source == str(host.disk)), None)
        if owner is not None and not owner.is_off.wait(_BOOT_SECONDS):
            raise MachineError(f"the disk of {owner.identity.instance_id} is still in use")

    def _stop(self, instance_id: str) -> None:
        with self._lock:
            host = self._hosts.get(instance_id)
        if host is None or not host.is_up.wait(_BOOT_SECONDS) or host.machine is None:
            return
        try:
            host.machine.power_off()
        except MachineError:
            logger.exception("the machine of %s had to be cut off", instance_id)
        self._machine_host.end(host.machine.name)
        host.is_off.set()

    def _end(self, instance_id: str) -> None:
        with self._lock:
            host = self._hosts.get(instance_id)
        if host is None or not host.is_up.wait(_BOOT_SECONDS):
            return
        if host.machine is not None:
            self._machine_host.end(host.machine.name)
        host.is_off.set()
        with self._ec2.lock:
            contents = [each.content for each in self._ec2.snapshots.values()]
        kept = {content.get(_DISK) for content in contents}
        with self._lock:
            finished = [each for each in self._hosts.values() if each.is_off.is_set()]
        for each in finished:
            if str(each.disk) not in kept:
                each.disk.unlink(missing_ok=True)

    def _may_pull(self, access_key_id: str) -> bool:
        repositories = list(self._registry.repositories)
        profile = self._profiles.get(access_key_id)
        return any(self._refused_pull(profile, each) is None for each in repositories)

    def _provision(self, parameters: Mapping[str, str], instance: Instance) -> CommandResult | PendingResult:
        return self._run("provision", parameters, instance)

    def _verify(self, parameters: Mapping[str, str], instance: Instance) -> CommandResult | PendingResult:
        return self._run("verify", parameters, instance)

    def _run(self, kind: str, parameters: Mapping[str, str], instance: Instance) -> PendingResult:
        pending = PendingResult()
        self._in_background(self._execute, kind, dict(parameters), self._host_of(instance), pending)
        return pending

    def _execute(self, kind: str, parameters: dict[str, str], host: _Host, pending: PendingResult) -> None:
        step = self._steps[kind]
        if not host.is_up.wait(_BOOT_SECONDS) or host.machine is None:
            return
        try:
            result = run_step(host.machine, step, step.environment(parameters))
        except MachineError as error:
            logger.warning("%s", error)
            return
        logger.info("%s on %s ended with %d", kind, host.identity.instance_id, result.exit_code)
        pending.complete(self._reported(kind, parameters, host, result))

    def _reported(
        self, kind: str, parameters: Mapping[str, str], host: _Host, result: StepResult
    ) -> CommandResult:
        content = None
        if kind == "provision" and result.exit_code == 0:
            repository = parameters["ImageUri"].partition("/")[2]
            size = self._registry.image_size(repository, parameters["ImageDigest"])
            content = provisioned_content(parameters, size) | {_DISK: str(host.disk)}
        return CommandResult(0.0, result.exit_code, result.stdout, result.stderr, content)
