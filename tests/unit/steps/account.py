"""One stack in one account, in process: fakes behind the real steps, and builders with defaults."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from tests.fakes import FakePackageLists, SentCommand, World
from tests.fakes.images import OWNER

from ami_lifecycle.domain.command import CommandResult, CommandStatus
from ami_lifecycle.domain.model import (
    TAG_APPLICATION,
    TAG_DIGEST,
    TAG_ENVIRONMENT,
    TAG_EXECUTION,
    TAG_GENERATION,
    TAG_ROLE,
    BlockDevice,
    Image,
    ImageState,
)
from ami_lifecycle.domain.packing import packed
from ami_lifecycle.domain.publication import dump, history_of, load, timestamp
from ami_lifecycle.domain.record import HistoryRecord, Metadata, RecordStatus
from ami_lifecycle.settings import Catalogue
from ami_lifecycle.steps.approval_ask import ApprovalCheck
from ami_lifecycle.steps.approval_sweep import ApprovalSettler
from ami_lifecycle.steps.clean_up_build import BuildCleaner
from ami_lifecycle.steps.launcher import Infrastructure
from ami_lifecycle.steps.orphan_removal import OrphanRemover
from ami_lifecycle.steps.plan_build import Planner
from ami_lifecycle.steps.preflight import Preflight
from ami_lifecycle.steps.retire_images import RetireInput, Retirer
from ami_lifecycle.steps.sweep_environments import Sweeper
from parameter_config import load_config

MACHINE = f"arn:aws:states:us-east-1:{OWNER}:stateMachine:build-image"
UBUNTU = "ami-0123456789abcdef0"
UBUNTU_PARAMETER = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
LONG_AGO = datetime(2025, 6, 1, tzinfo=UTC)
FUNCTION_SECONDS = 60
INFRASTRUCTURE = Infrastructure(
    subnet_ids=("subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"),
    security_group_id="sg-0123456789abcdef0",
    instance_profile_arn=f"arn:aws:iam::{OWNER}:instance-profile/builder",
)


def arn_of(name: str) -> str:
    return f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"


def image_id_of(number: int) -> str:
    return f"ami-{0xA0000 + number:017x}"


def an_image(
    number: int = 1,
    *,
    name: str = "comfyui-multitenant-prod",
    environment: str | None = "prod",
    digest: str | None = None,
    role: str = "canonical",
    execution: str = "long-ago",
    created: datetime = LONG_AGO,
    state: ImageState = ImageState.AVAILABLE,
    owner_id: str = OWNER,
    snapshot_ids: tuple[str, ...] | None = None,
    tags: dict[str, str] | None = None,
    **changes: Any,
) -> Image:
    """An image of the environment, or one without tags for `environment=None`."""
    own = {
        TAG_APPLICATION: "comfyui",
        TAG_ENVIRONMENT: environment or "",
        TAG_EXECUTION: arn_of(execution),
        TAG_ROLE: role,
        TAG_GENERATION: "1",
        # The name without a candidate's suffix: an image under another name is somebody's copy.
        "Name": name.split(".candidate.", maxsplit=1)[0],
    }
    if digest is not None:
        own[TAG_DIGEST] = digest
    ids = (f"snap-{0xA0000 + number:017x}",) if snapshot_ids is None else snapshot_ids
    return Image(
        image_id=image_id_of(number),
        name=name,
        state=state,
        owner_id=owner_id,
        creation_date=created + timedelta(minutes=number),
        block_devices=tuple(
            BlockDevice(
                device_name="/dev/sda1" if index == 0 else f"/dev/sd{chr(ord('b') + index)}",
                snapshot_id=snapshot_id,
                volume_size=40,
            )
            for index, snapshot_id in enumerate(ids)
        ),
        ena_support=True,
        tags=(own if environment else {}) | (tags or {}),
        **changes,
    )


@cache
def _catalogue(text: str) -> Catalogue:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "build_config.yml").write_text(text)
        Path(directory, "aws_config.yml").write_text("ecr:\n  repository: comfyui\n")
        return Catalogue(load_config(config_dir=directory, offline=True), "comfyui")


def catalogue(**build: Any) -> Catalogue:
    """A catalogue of `build_config.yml` with these top-level keys; the environments are dev and prod."""
    content = {"application": "comfyui", "environments": {"dev": {}, "prod": {}}} | build
    return _catalogue(json.dumps(content))


def facts(kind: str, digest: str, **more: Any) -> str:
    """What a document prints: chatter, then a line of facts."""
    return "pulling\n" + json.dumps({"kind": kind, "image_digest": digest, **more}) + "\n"


def told(packages: dict[str, str], **more: Any) -> str:
    """What a canary tells of packages of dpkg, by name."""
    rows = "\n".join(f"{name}\t{version}\tamd64" for name, version in packages.items())
    return packed({"components": {"kernel": "6.8"}, "packages": {"deb": rows}, "layers": []} | more)


@dataclass
class Account:
    """The stack with its environments. `defaults` are those of build_config.yml.

    Attributes:
        keeps_lists: whether the stack keeps package lists; `packages` is then what canaries tell.
    """

    defaults: dict[str, Any] = field(default_factory=dict)
    world: World = field(default_factory=World)
    environment: str = "prod"
    catalogue: Catalogue = field(init=False)
    verification_fails: bool = False
    keeps_lists: bool = False
    packages: dict[str, str] = field(default_factory=lambda: {"bash": "5.1"})

    def __post_init__(self) -> None:
        self.catalogue = catalogue(defaults={"publication": {"grace_period_seconds": 0}} | self.defaults)
        world = self.world
        world.images.add(
            an_image(0, name="ubuntu-22.04", environment=None, owner_id="099720109477").model_copy(
                update={"image_id": UBUNTU}
            )
        )
        world.parameters.set(UBUNTU_PARAMETER, UBUNTU, "aws:ec2:image")
        world.commands.answer = self._answer

    def _answer(self, command: SentCommand) -> CommandResult:
        kind = "verify" if " verify " in command.comment else "provision"
        if kind == "verify" and self.verification_fails:
            return CommandResult(status=CommandStatus.FAILED, exit_code=3, stderr="no container runs")
        digest = command.parameters["ImageDigest"]
        labels = {"ami-lifecycle.commit": "abc123", "ami-lifecycle.branch": "main"}
        more: dict[str, Any] = (
            {"image_labels": labels} if kind == "provision" else {"boot_to_healthy_seconds": 12.5}
        )
        if command.parameters.get("PackageList") == "true":
            more["packages"] = told(self.packages)
        return CommandResult(status=CommandStatus.SUCCESS, exit_code=0, stdout=facts(kind, digest, **more))

    # What tests arrange.

    @property
    def prefix(self) -> str:
        return f"/comfyui/ami/{self.environment}"

    def push(self, content: str, environment: str | None = None) -> str:
        """Push an image under the environment's tag; returns the digest."""
        return self.world.repository.push(f"{environment or self.environment}-latest", content)

    def publish(
        self, image: Image, *, status: RecordStatus = RecordStatus.LIVE, verified: bool = True
    ) -> Image:
        """Put an image that an earlier execution has published, with its records."""
        self.world.images.add(image)
        metadata = self.metadata_of(image, verified=verified)
        self.world.parameters.set(f"{self.prefix}/latest", image.image_id, "aws:ec2:image")
        self.world.parameters.set(f"{self.prefix}/metadata", dump(metadata))
        self.record(image, status=status, verified=verified)
        return image

    def record(
        self,
        image: Image,
        *,
        status: RecordStatus = RecordStatus.LIVE,
        verified: bool = True,
        superseded_by: str | None = None,
    ) -> None:
        record = history_of(
            self.metadata_of(image, verified=verified),
            status,
            "earlier",
            LONG_AGO,
            superseded_by,
            published_by=image.tags.get(TAG_EXECUTION),
        )
        self.world.parameters.set(f"{self.prefix}/history/{image.image_id}", dump(record))

    def metadata_of(self, image: Image, *, verified: bool = True) -> Metadata:
        return Metadata(
            ami_id=image.image_id,
            docker_image="registry/comfyui:prod-latest",
            environment=self.environment,
            creation_date=timestamp(image.creation_date or LONG_AGO),
            branch="main",
            commit_sha="abc",
            region="us-east-1",
            workflow_run_id="earlier",
            workflow_run_number="1",
            image_digest=image.tags.get(TAG_DIGEST, ""),
            verified_at=timestamp(LONG_AGO) if verified else None,
            snapshot_ids=image.snapshot_ids,
        )

    # What tests look at.

    @property
    def latest(self) -> str | None:
        stored = self.world.parameters.all.get(f"{self.prefix}/latest")
        return stored.value if stored else None

    @property
    def live(self) -> Image:
        assert self.latest is not None
        return self.world.images.all[self.latest]

    @property
    def metadata(self) -> Metadata:
        found = load(Metadata, self.world.parameters.all[f"{self.prefix}/metadata"].value)
        assert found is not None
        return found

    def history(self, image_id: str) -> HistoryRecord | None:
        stored = self.world.parameters.all.get(f"{self.prefix}/history/{image_id}")
        return load(HistoryRecord, stored.value) if stored else None

    def change_record(self, image_id: str, **changes: Any) -> None:
        """Let the record of an image say something else."""
        record = self.history(image_id)
        assert record is not None
        changed = record.model_copy(update=changes)
        self.world.parameters.set(f"{self.prefix}/history/{image_id}", dump(changed))

    def own_images(self) -> list[Image]:
        return [
            image
            for image in self.world.images.all.values()
            if image.tags.get(TAG_ENVIRONMENT) == self.environment
        ]

    # The steps, put together as functions/ does.

    @property
    def deadline(self) -> datetime:
        return self.world.clock.now() + timedelta(seconds=FUNCTION_SECONDS)

    @property
    def planner(self) -> Planner:
        world = self.world
        return Planner(
            catalogue=self.catalogue,
            repository=world.repository,
            images=world.images,
            parameters=world.parameters,
            documents=world.documents,
            environments=world.environments,
            clock=world.clock,
            preflight=self.preflight,
            approvals=world.approvals,
            decisions=world.decisions,
        )

    @property
    def preflight(self) -> Preflight:
        world = self.world
        return Preflight(
            world.repository,
            world.parameters,
            world.network,
            INFRASTRUCTURE.subnet_ids,
            "sg-0123456789abcdef0",
        )

    @property
    def orphan_remover(self) -> OrphanRemover:
        world = self.world
        return OrphanRemover(
            instances=world.instances,
            images=world.images,
            usage=world.usage,
            parameters=world.parameters,
            clock=world.clock,
            application="comfyui",
            package_lists=self.package_lists,
        )

    @property
    def build_cleaner(self) -> BuildCleaner:
        world = self.world
        return BuildCleaner(
            orphan_remover=self.orphan_remover,
            environments=world.environments,
            executions=world.executions,
            notifier=world.notifier,
            clock=world.clock,
        )

    @property
    def package_lists(self) -> FakePackageLists | None:
        return self.world.package_lists if self.keeps_lists else None

    def retirer(self, step: RetireInput) -> Retirer:
        world = self.world
        return Retirer(
            step,
            instances=world.instances,
            images=world.images,
            usage=world.usage,
            parameters=world.parameters,
            environments=world.environments,
            clock=world.clock,
            deadline=self.deadline,
        )

    @property
    def sweeper(self) -> Sweeper:
        world = self.world
        return Sweeper(
            catalogue=self.catalogue,
            repository=world.repository,
            instances=world.instances,
            images=world.images,
            parameters=world.parameters,
            documents=world.documents,
            environments=world.environments,
            executions=world.executions,
            build_cleaner=self.build_cleaner,
            orphan_remover=self.orphan_remover,
            usage=world.usage,
            preflight=self.preflight,
            approval=ApprovalCheck(world.approvals, world.decisions, world.clock),
            settler=ApprovalSettler(
                world.approvals,
                world.decisions,
                world.executions,
                world.notifier,
                world.clock,
                MACHINE,
                "comfyui",
            ),
            clock=world.clock,
            state_machine_arn=MACHINE,
            package_lists=self.package_lists,
        )
