"""The stack's functions in process: each by its name, over the fakes of one account."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel
from tests.unit.steps.account import INFRASTRUCTURE, MACHINE, Account

from ami_lifecycle.domain.events import Event
from ami_lifecycle.domain.execution import (
    Adoption,
    BuildState,
    ClaimedInput,
    CommandRef,
    ImageRef,
    InstanceRef,
    StepInput,
)
from ami_lifecycle.domain.result import CleanUpResult, ReleaseResult
from ami_lifecycle.entry import parsed_by
from ami_lifecycle.steps.adopt_image_name import AdoptInput, NameAdopter
from ami_lifecycle.steps.await_resource import AwaitInput, await_resource
from ami_lifecycle.steps.claim_environment import claim_environment
from ami_lifecycle.steps.clean_up_build import CleanUpInput, parse_clean_up
from ami_lifecycle.steps.create_image import CreateImageInput, create_image
from ami_lifecycle.steps.decide_approval import Decider, parse_decision
from ami_lifecycle.steps.document_runner import CommandInput, DocumentRunner
from ami_lifecycle.steps.gates import gates_of
from ami_lifecycle.steps.launch_builder import launch_builder
from ami_lifecycle.steps.launch_canary import CanaryInput, launch_canary
from ami_lifecycle.steps.launcher import Launcher
from ami_lifecycle.steps.plan_build import PlanInput
from ami_lifecycle.steps.provision_builder import provision_builder
from ami_lifecycle.steps.publish_image import Publisher, PublishInput
from ami_lifecycle.steps.release_environment import ReleaseInput, Releaser
from ami_lifecycle.steps.request_approval import Asker
from ami_lifecycle.steps.resume_build import Resumed, resume_build
from ami_lifecycle.steps.retire_images import RetireInput
from ami_lifecycle.steps.stop_builder import InstanceInput, stop_builder
from ami_lifecycle.steps.verify_image import verify_image
from ami_lifecycle.steps.wait_check import WaitCheck, WaitState

Handler = Callable[[Any], BaseModel | None]
_Input = TypeVar("_Input")
_REGION = "us-east-1"


@dataclass
class Functions:
    """What functions/ puts together from adapters, put together from fakes."""

    account: Account

    def invoke(self, function: str, payload: Any) -> BaseModel | None:
        """What a function answers to a JSON value; raises the function's error."""
        # A context of its own tells the promises one invocation from another.
        return Context().run(self.handlers[function], payload)

    @cached_property
    def handlers(self) -> dict[str, Handler]:
        """The functions by the names of their folders."""
        account, world = self.account, self.account.world
        return {
            "plan_build": _handler(parsed_by(PlanInput), self.plan),
            "request_approval": _handler(parsed_by(StepInput), self.asker.ask),
            "decide_approval": _handler(parse_decision, self.decider.decide),
            "claim_environment": _handler(
                parsed_by(StepInput),
                lambda step: claim_environment(step, world.environments, world.executions, world.clock),
            ),
            "launch_builder": _handler(parsed_by(ClaimedInput), self.launch_builder),
            "await_resource": _handler(parsed_by(AwaitInput), self.await_resource),
            "provision_builder": _handler(parsed_by(CommandInput), self.provision_builder),
            "stop_builder": _handler(
                parsed_by(InstanceInput), lambda step: stop_builder(step, world.instances)
            ),
            "create_image": _handler(
                parsed_by(CreateImageInput),
                lambda step: create_image(step, world.images, world.environments, account.deadline),
            ),
            "launch_canary": _handler(parsed_by(CanaryInput), self.launch_canary),
            "verify_image": _handler(parsed_by(CommandInput), self.verify_image),
            "publish_image": _handler(parsed_by(PublishInput), lambda step: self.publisher(step).publish()),
            "retire_images": _handler(parsed_by(RetireInput), lambda step: account.retirer(step).retire()),
            "adopt_image_name": _handler(parsed_by(AdoptInput), self.adopt),
            "release_environment": _handler(parsed_by(ReleaseInput), self.release),
            "clean_up_build": _handler(parse_clean_up, self.clean_up_build),
        }

    # What is put together for each invocation, because each has a deadline of its own.

    def plan(self, step: PlanInput) -> BuildState:
        return self.account.planner.plan(step)

    def adopt(self, step: AdoptInput) -> Adoption | ImageRef:
        return self.adopter.register(step)

    def release(self, step: ReleaseInput) -> ReleaseResult:
        return self.releaser.release(step)

    def clean_up_build(self, step: CleanUpInput) -> CleanUpResult:
        return self.account.build_cleaner.clean_up(step)

    @property
    def launcher(self) -> Launcher:
        world = self.account.world
        return Launcher(
            world.instances, world.environments, INFRASTRUCTURE, world.clock, self.account.deadline
        )

    def launch_builder(self, step: ClaimedInput) -> InstanceRef:
        return launch_builder(step, self.launcher)

    def launch_canary(self, step: CanaryInput) -> InstanceRef:
        return launch_canary(step, self.account.world.images, self.launcher)

    @property
    def documents(self) -> DocumentRunner:
        return DocumentRunner(self.account.world.commands, self.account.world.instances, "Document")

    def provision_builder(self, step: CommandInput) -> CommandRef:
        return provision_builder(step, self.documents, _REGION)

    def verify_image(self, step: CommandInput) -> CommandRef:
        return verify_image(step, self.documents, _REGION, lists_packages=self.account.keeps_lists)

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
            _REGION,
            self.account.deadline,
            gates=gates_of(step.plan.configured, world.decisions),
            package_lists=self.account.package_lists,
        )

    @property
    def asker(self) -> Asker:
        world = self.account.world
        return Asker(world.approvals, world.decisions, world.executions, world.notifier, world.clock, MACHINE)

    @property
    def decider(self) -> Decider:
        world = self.account.world
        return Decider(
            world.approvals,
            world.decisions,
            world.executions,
            world.notifier,
            world.clock,
            MACHINE,
            "comfyui",
        )

    @property
    def adopter(self) -> NameAdopter:
        world = self.account.world
        return NameAdopter(
            world.images, world.parameters, world.environments, world.clock, self.account.deadline
        )

    @property
    def releaser(self) -> Releaser:
        world = self.account.world
        return Releaser(world.instances, world.environments, world.executions, world.notifier, world.clock)


def _handler(parse: Callable[[Any], _Input], step: Callable[[_Input], BaseModel | None]) -> Handler:
    """What `lambda_handler` makes of a step, without the log and the measures."""
    return lambda payload: step(parse(payload))
