"""A whole execution in process: the real steps in the order of the state machine, retried as it retries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from tests.fakes import Call, Faulty
from tests.template.stack import states
from tests.unit.steps.account import INFRASTRUCTURE, MACHINE, Account, arn_of

from ami_lifecycle.domain.command import CommandFacts
from ami_lifecycle.domain.decision import Retirement, Unfinished
from ami_lifecycle.domain.events import Event
from ami_lifecycle.domain.execution import (
    BuildState,
    ClaimedInput,
    ClaimResult,
    ClaimStatus,
    CommandRef,
    ExecutionStatus,
    InstanceRef,
    Published,
    StepInput,
    Wait,
    WaitKind,
)
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.domain.result import ReleaseResult
from ami_lifecycle.errors import AmiLifecycleError, CommandUndeliveredError
from ami_lifecycle.steps.adopt_image_name import AdoptInput, NameAdopter
from ami_lifecycle.steps.await_resource import AwaitInput, await_resource
from ami_lifecycle.steps.claim_environment import claim_environment
from ami_lifecycle.steps.clean_up_build import CleanUpInput
from ami_lifecycle.steps.create_image import CreateImageInput, create_image
from ami_lifecycle.steps.document_runner import CommandInput, DocumentRunner
from ami_lifecycle.steps.launch_builder import launch_builder
from ami_lifecycle.steps.launch_canary import CanaryInput, launch_canary
from ami_lifecycle.steps.launcher import Launcher
from ami_lifecycle.steps.plan_build import PlanInput
from ami_lifecycle.steps.provision_builder import provision_builder
from ami_lifecycle.steps.publish_image import Publisher, PublishInput
from ami_lifecycle.steps.release_environment import ReleaseInput, Releaser
from ami_lifecycle.steps.resume_build import Resumed, resume_build
from ami_lifecycle.steps.retire_images import RetireInput
from ami_lifecycle.steps.stop_builder import stop_builder
from ami_lifecycle.steps.verify_image import verify_image
from ami_lifecycle.steps.wait_check import WaitCheck, WaitState

T = TypeVar("T")
_PLANS_ANEW: Final = 10
_WAITS_AGAIN: Final = 10


class Crash(BaseException):
    """The execution is aborted and its function killed at this very call: nothing catches it."""


class Ended(NamedTuple):
    """How an execution ended: published, nothing, queued or failed."""

    outcome: str
    reason: str = ""
    result: ReleaseResult | None = None
    error: str = ""


@dataclass
class FaultAt:
    """An error at one call of all that an execution makes; `after` loses the response.

    A `Crash` is for good: a function that was killed makes no further call.
    """

    number: int = -1
    after: bool = False
    error: BaseException | None = None
    calls: list[str] = field(default_factory=list)
    _is_dead: bool = False

    def before(self, port: Faulty, call: Call) -> None:
        if self._is_dead and self.error is not None:
            raise self.error
        self.calls.append(f"{type(port).__name__}.{call.method}")
        if not self.after:
            self._strike()

    def after_(self) -> None:
        if self.after:
            self._strike()

    def _strike(self) -> None:
        if self.error is None or len(self.calls) - 1 != self.number:
            return
        self._is_dead = isinstance(self.error, Crash)
        # Once is enough, unless the function is dead.
        self.number = -1
        raise self.error


class FaultHook:
    """Puts a `FaultAt` around the calls of a world while it is switched on."""

    def __init__(self, fault: FaultAt) -> None:
        self.fault = fault
        self.on = True

    def before(self, port: Faulty, call: Call) -> None:
        if self.on:
            self.fault.before(port, call)

    def after(self, port: Faulty, call: Call) -> None:
        if self.on:
            self.fault.after_()


def retried_in(state: str) -> dict[str, tuple[int, int]]:
    """Names that a state retries, with attempts and the longest delay."""
    return {
        name: (retrier["MaxAttempts"], retrier["MaxDelaySeconds"])
        for retrier in states()[state].get("Retry", [])
        for name in retrier["ErrorEquals"]
    }


@dataclass
class _After:
    """What an execution has published, and what became of the rest."""

    published: Published | None
    retirement: Retirement | None = None
    of_candidate: Retirement | None = None


@dataclass
class Execution:
    """One execution of the state machine."""

    account: Account
    name: str = "e1"
    visited: list[str] = field(default_factory=list)
    state: BuildState | None = None

    @property
    def arn(self) -> str:
        return arn_of(self.name)

    def run(self, request: Any) -> Ended:
        """Run to the end: the success states, or the clean-up and a Fail state."""
        executions = self.account.world.executions
        executions.statuses[self.arn] = ExecutionStatus.RUNNING
        try:
            ended = self._run(request)
        except AmiLifecycleError as error:
            self.clean_up(type(error).__name__, str(error))
            executions.end(self.arn, ExecutionStatus.FAILED)
            return Ended("failed", str(error), error=type(error).__name__)
        executions.end(self.arn, ExecutionStatus.SUCCEEDED)
        return ended

    def clean_up(self, error: str = "", cause: str = "", status: str = "RUNNING") -> None:
        """Clean Up Build, as the state machine or the rule on ended executions calls it."""
        step = CleanUpInput(
            execution_arn=self.arn, state_machine_arn=MACHINE, error=error, cause=cause, status=status
        )
        self._do("Clean Up Build", lambda: self.account.build_cleaner.clean_up(step))

    def _run(self, request: Any) -> Ended:
        for _ in range(_PLANS_ANEW):
            state = self._do("Plan Build", lambda: self._plan(request))
            self.state = state
            if state.plan.action == "none":
                return Ended("nothing", state.plan.reasons[0])
            claim = self._do("Claim Environment", lambda: self._claim(state))  # noqa: B023 - called at once
            if claim.status is ClaimStatus.CLAIMED:
                return self._claimed(state, claim)
            if claim.status is not ClaimStatus.OUTDATED:
                return Ended("queued", claim.reason)
        raise AssertionError("the plan is outdated again and again")

    def _plan(self, request: Any) -> BuildState:
        raw = (
            request.model_dump(mode="json", exclude_none=True)
            if isinstance(request, BuildRequest)
            else request
        )
        step = PlanInput(request=raw, execution_arn=self.arn, execution_name=self.name)
        return self.account.planner.plan(step)

    def _claim(self, state: BuildState) -> ClaimResult:
        world = self.account.world
        step = StepInput(plan=state.plan, execution_arn=self.arn)
        return claim_environment(step, world.environments, world.executions, world.clock)

    def _claimed(self, state: BuildState, claim: ClaimResult) -> Ended:
        held = {"plan": state.plan, "execution_arn": self.arn, "claim_number": claim.number}
        image_id = state.image.image_id if state.image else ""
        provisioned = verified = published = None
        if state.plan.action == "build":
            image_id, provisioned, verified = self._build(held)
        if state.plan.action != "retire":
            publish = PublishInput(**held, image_id=image_id, provisioned=provisioned, verified=verified)
            published = self._do("Publish Image", lambda: self.publisher(publish).publish())
            self._pass("Grace Period")
        after = _After(published)
        unfinished = None
        try:
            self._finish(held, image_id, provisioned, verified, after)
        except AmiLifecycleError as error:
            # Published Already? and Give Up, as the state machine has them.
            if after.published is None:
                raise
            unfinished = Unfinished(error=type(error).__name__, cause=str(error))
        release = ReleaseInput(
            **held,
            state_machine_arn=MACHINE,
            published=after.published,
            retirement=after.retirement,
            candidate_retirement=after.of_candidate,
            unfinished=unfinished,
        )
        try:
            result = self._do("Release Environment", lambda: self.releaser.release(release))
        except AmiLifecycleError:
            # Published All The Same?
            if after.published is None:
                raise
            return Ended("published")
        return Ended("published", result=result)

    def _finish(
        self,
        held: dict[str, Any],
        image_id: str,
        provisioned: CommandFacts | None,
        verified: CommandFacts | None,
        after: _After,
    ) -> None:
        """What follows the publication: retirement, the canonical name, the candidate."""
        after.retirement = self._do(
            "Retire Previous Images",
            lambda: self.account.retirer(RetireInput(**held, published=after.published)).retire(),
        )
        if not after.retirement.adopt_name:
            return
        adoption = self._do(
            "Adopt Image Name", lambda: self.adopter.adopt(AdoptInput(**held, image_id=image_id))
        )
        if not adoption.adopted or adoption.image_id is None:
            return
        self._wait("Await Canonical Image", WaitKind.IMAGE, adoption.image_id)
        copy = PublishInput(
            **held,
            image_id=adoption.image_id,
            provisioned=provisioned,
            verified=verified,
            copy_of=image_id,
        )
        after.published = self._do("Publish Canonical Image", lambda: self.publisher(copy).publish())
        self._pass("Canonical Grace Period")
        after.of_candidate = self._do(
            "Retire Candidate",
            lambda: self.account.retirer(RetireInput(**held, published=after.published)).retire(),
        )

    def _build(self, held: dict[str, Any]) -> tuple[str, CommandFacts, CommandFacts | None]:
        of_instance = {key: held[key] for key in ("plan", "execution_arn")}
        builder = self._do("Launch Builder", lambda: self.launch_builder(ClaimedInput(**held)))
        self._pass("Let Builder Boot")
        at_builder = CommandInput(**of_instance, instance_id=builder.instance_id)
        self._wait("Await Builder", WaitKind.AGENT, builder.instance_id)
        provisioned = self._run_document(WaitKind.PROVISIONING, self.provision_builder, at_builder)
        world = self.account.world
        self._do("Stop Builder", lambda: stop_builder(at_builder, world.instances))
        self._wait("Await Stop", WaitKind.STOPPED, builder.instance_id)
        create = CreateImageInput(**held, instance_id=builder.instance_id)
        image = self._do(
            "Create Image",
            lambda: create_image(create, world.images, world.environments, self.account.deadline),
        )
        self._wait("Await Image", WaitKind.IMAGE, image.image_id)
        if not held["plan"].configured.verification.enabled:
            return image.image_id, provisioned, None
        canary = self._do(
            "Launch Canary",
            lambda: self.launch_canary(CanaryInput(**held, image_id=image.image_id)),
        )
        self._pass("Let Canary Boot")
        self._wait("Await Canary", WaitKind.AGENT, canary.instance_id)
        at_canary = CommandInput(**of_instance, instance_id=canary.instance_id)
        verified = self._run_document(WaitKind.VERIFICATION, self.verify_image, at_canary)
        return image.image_id, provisioned, verified

    def _run_document(
        self, kind: WaitKind, send: Callable[[CommandInput], CommandRef], at: CommandInput
    ) -> CommandFacts:
        """Send a document and wait for it, again for as long as it never began."""
        names = {
            WaitKind.PROVISIONING: ("Provision Builder", "Await Provisioning"),
            WaitKind.VERIFICATION: ("Verify Image", "Await Verification"),
        }[kind]
        while True:
            command = self._do(names[0], lambda: send(at))  # noqa: B023 - called at once
            try:
                seen = self._wait(names[1], kind, command.command_id, at.instance_id)
            except CommandUndeliveredError:
                at = at.model_copy(update={"undelivered": command})
                continue
            return CommandFacts.model_validate(seen)

    def _do(self, state: str, step: Callable[[], T]) -> T:
        """Run a Task: its function once, and again after the errors that the state retries."""
        self.visited.append(state)
        retried = retried_in(state)
        attempts: dict[str, int] = {}
        while True:
            self.account.world.clock.advance(1)
            try:
                return step()
            except AmiLifecycleError as error:
                name = type(error).__name__
                most, delay = retried.get(name, (0, 0))
                attempts[name] = attempts.get(name, 0) + 1
                if attempts[name] > most:
                    raise
                self.account.world.clock.advance(delay)
                self._let_time_pass()

    def _wait(
        self, state: str, kind: WaitKind, resource_id: str, instance_id: str | None = None
    ) -> dict[str, Any]:
        """Run a Task that waits: by its token where it has one, else by looking again."""
        wait = Wait(kind=kind, resource_id=resource_id, instance_id=instance_id)
        executions = self.account.world.executions
        for number in range(_WAITS_AGAIN):
            self._let_time_pass()
            token = None if kind is WaitKind.AGENT else f"{self.name}/{state}/{number}"
            if token is not None:
                executions.waiting.add(token)
            step = AwaitInput(wait=wait, execution_arn=self.arn, task_token=token)
            seen = self._do(state, lambda: self.await_resource(step))  # noqa: B023 - called at once
            if token is None:
                return dict(seen.output)
            if token in executions.successes:
                return dict(executions.successes[token])
        raise AssertionError(f"{state} waits for ever")

    def _pass(self, state: str) -> None:
        self.visited.append(state)

    def _let_time_pass(self) -> None:
        world = self.account.world
        world.settle()
        for instance in world.instances.running():
            if instance.state.value == "running":
                world.commands.bring_online(instance.instance_id)

    # The steps' objects, made for each invocation, because each has a deadline of its own.

    @property
    def launcher(self) -> Launcher:
        world = self.account.world
        return Launcher(
            world.instances,
            world.environments,
            INFRASTRUCTURE,
            world.clock,
            self.account.deadline,
        )

    def launch_builder(self, step: ClaimedInput) -> InstanceRef:
        return launch_builder(step, self.launcher)

    def launch_canary(self, step: CanaryInput) -> InstanceRef:
        return launch_canary(step, self.account.world.images, self.launcher)

    @property
    def documents(self) -> DocumentRunner:
        return DocumentRunner(self.account.world.commands, self.account.world.instances, "Document")

    def provision_builder(self, step: CommandInput) -> CommandRef:
        return provision_builder(step, self.documents, "us-east-1")

    def verify_image(self, step: CommandInput) -> CommandRef:
        return verify_image(step, self.documents, "us-east-1")

    @property
    def wait_check(self) -> WaitCheck:
        world = self.account.world
        return WaitCheck(world.instances, world.images, world.commands)

    def await_resource(self, step: AwaitInput) -> WaitState:
        world = self.account.world
        return await_resource(step, self.wait_check, world.waits, world.executions, world.clock)

    def resume_build(self, event: Event) -> Resumed:
        world = self.account.world
        return resume_build(event, self.wait_check, world.waits, world.executions, world.clock)

    def publisher(self, step: PublishInput) -> Publisher:
        world = self.account.world
        return Publisher(
            step,
            world.images,
            world.parameters,
            world.environments,
            world.clock,
            "us-east-1",
            self.account.deadline,
        )

    @property
    def adopter(self) -> NameAdopter:
        world = self.account.world
        return NameAdopter(world.images, world.parameters, world.environments, self.account.deadline)

    @property
    def releaser(self) -> Releaser:
        world = self.account.world
        return Releaser(world.instances, world.environments, world.executions, world.notifier, world.clock)


def run(account: Account, name: str = "e1", **request: Any) -> Ended:
    """Run one execution of a request for the account's environment."""
    return Execution(account, name).run(BuildRequest(environment=account.environment, **request))


def run_started(account: Account, already: int = 0) -> list[Ended]:
    """Run what steps have started, one after the other, until nothing more is started."""
    ended = []
    world = account.world
    while already < len(world.executions.started):
        started = world.executions.started[already]
        already += 1
        ended.append(Execution(account, started.name).run(started.request))
    return ended


def converge(account: Account, rounds: int = 6) -> None:
    """Sweep every 15 minutes, and run what the sweeps start."""
    for _ in range(rounds):
        before = len(account.world.executions.started)
        account.world.clock.advance(3_600)
        account.world.settle()
        account.sweeper.sweep()
        run_started(account, before)
