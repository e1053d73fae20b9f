"""EC2 instances in memory."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.domain.launch import LaunchRefusal, LaunchRequest, LaunchResult
from ami_lifecycle.domain.model import Instance, InstanceState
from ami_lifecycle.errors import BuilderLostError, RefusedError, ResourceNotVisibleError
from ami_lifecycle.ports import Clock

SETTLED = {
    InstanceState.PENDING: InstanceState.RUNNING,
    InstanceState.STOPPING: InstanceState.STOPPED,
    InstanceState.SHUTTING_DOWN: InstanceState.TERMINATED,
}


class FakeInstances(Faulty):
    """Instances whose states a test advances, with `set_state` or `settle`."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or FakeClock()
        self.all: dict[str, Instance] = {}
        self.requests: dict[str, LaunchRequest] = {}
        self.hidden: set[str] = set()
        self.protected: set[str] = set()
        self._by_token: dict[str, str] = {}
        self._refusals: list[tuple[str | None, str | None, LaunchRefusal]] = []

    # What tests arrange.

    def refuse(
        self,
        *,
        instance_type: str | None = None,
        subnet_id: str | None = None,
        refusal: LaunchRefusal = LaunchRefusal.CAPACITY,
    ) -> None:
        """Have no capacity for the type, in the subnet; None means any."""
        self._refusals.append((instance_type, subnet_id, refusal))

    def add(self, instance: Instance) -> Instance:
        """Put an instance that was there before."""
        self.all[instance.instance_id] = instance
        return instance

    def set_state(self, instance_id: str, state: InstanceState, reason: str | None = None) -> None:
        """Change the state, as EC2 does by and by."""
        self.all[instance_id] = self.all[instance_id].model_copy(
            update={"state": state, "state_reason": reason or self.all[instance_id].state_reason}
        )

    def settle(self) -> None:
        """Finish every transition that is under way."""
        for instance_id, instance in self.all.items():
            self.set_state(instance_id, SETTLED.get(instance.state, instance.state))

    def running(self) -> list[Instance]:
        """All instances that still cost money or may again."""
        return [instance for instance in self.all.values() if not instance.state.is_over]

    # The port.

    @port_call
    def get(self, instance_id: str) -> Instance | None:
        """One instance; None when hidden or unknown."""
        return None if instance_id in self.hidden else self.all.get(instance_id)

    @port_call
    def find(self, tags: Mapping[str, str]) -> list[Instance]:
        """All visible instances that carry all these tags."""
        return [
            instance
            for instance in self.all.values()
            if instance.instance_id not in self.hidden and tags.items() <= dict(instance.tags).items()
        ]

    @port_call
    def launch(self, request: LaunchRequest) -> LaunchResult:
        """Launch, idempotent by client token."""
        if known := self._by_token.get(request.client_token):
            if self.requests[known] != request:
                raise RefusedError(f"client token {request.client_token} was used with other parameters")
            return LaunchResult(self.all[known])
        for instance_type, subnet_id, refusal in self._refusals:
            if instance_type in {None, request.instance_type} and subnet_id in {None, request.subnet_id}:
                return LaunchResult(
                    None, refusal, f"no {request.instance_type} in {request.subnet_id}: {refusal.value}"
                )
        instance = Instance(
            instance_id=f"i-{len(self.all) + 1:017x}",
            state=InstanceState.PENDING,
            image_id=request.image_id,
            instance_type=request.instance_type,
            subnet_id=request.subnet_id,
            launch_time=self.clock.now(),
            tags=dict(request.tags),
        )
        self._by_token[request.client_token] = instance.instance_id
        self.requests[instance.instance_id] = request
        return LaunchResult(self.add(instance))

    @port_call
    def stop(self, instance_id: str) -> None:
        """Begin to stop it."""
        instance = self._visible(instance_id)
        match instance.state:
            case InstanceState.RUNNING:
                self.set_state(instance_id, InstanceState.STOPPING)
            case InstanceState.STOPPING | InstanceState.STOPPED:
                pass
            case InstanceState.PENDING:
                raise ResourceNotVisibleError(f"{instance_id} is still pending")
            case _:
                raise BuilderLostError(f"{instance_id} is {instance.state.value}")

    @port_call
    def terminate(self, instance_id: str) -> None:
        """Begin to terminate it."""
        instance = self._visible(instance_id)
        if instance_id in self.protected:
            raise RefusedError(f"{instance_id} is protected against termination")
        if not instance.state.is_over:
            self.set_state(instance_id, InstanceState.SHUTTING_DOWN)

    def _visible(self, instance_id: str) -> Instance:
        if instance_id in self.hidden or instance_id not in self.all:
            raise ResourceNotVisibleError(f"EC2 does not show {instance_id}")
        return self.all[instance_id]
