"""The scenes of the demonstration, and what must be true after each."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import boto3

from ami_lifecycle_cli.demo.docker_push import push_image
from ami_lifecycle_cli.demo.following import Followed, Follower, StateRun

ENVIRONMENT: Final = "prod"
REPOSITORY: Final = "comfyui"
TAG: Final = "prod-latest"
IMAGE_NAME: Final = "comfyui-multitenant-prod"
PREFIX: Final = f"/comfyui/ami/{ENVIRONMENT}"


class UnexpectedError(RuntimeError):
    """The service did not do what the scene promises."""


@dataclass
class Scene:
    """One scene: what was done, the executions that it led to, and what `latest` named afterwards."""

    title: str
    what: str
    executions: list[Followed] = field(default_factory=list)
    outcome: str = ""
    latest: str | None = None


@dataclass
class Picture:
    """What the account holds in the end."""

    images: list[dict[str, str]]
    snapshots: list[str]
    instances: list[str]
    metadata: dict[str, Any]
    history: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Story:
    """Lives through the scenes, one after the other.

    Args:
        endpoint_url: of the emulator.
        on_scene: called when a scene begins.
        on_state: called with each state that was left.
    """

    def __init__(
        self,
        endpoint_url: str,
        region: str,
        state_machine_arn: str,
        on_scene: Callable[[Scene], None],
        on_state: Callable[[Followed, StateRun], None],
    ) -> None:
        session = boto3.Session(
            aws_access_key_id="demo",
            aws_secret_access_key="demo",  # noqa: S106 - the emulator takes any
            region_name=region,
        )
        self._endpoint_url = endpoint_url
        self._ecr, self._ec2, self._ssm, stepfunctions = (
            session.client(name, endpoint_url=endpoint_url) for name in ("ecr", "ec2", "ssm", "stepfunctions")
        )
        self._on_scene = on_scene
        self._follower = Follower(stepfunctions, state_machine_arn, on_state)

    def live(self) -> list[Scene]:
        """Live through all scenes.

        Raises:
            UnexpectedError: a scene did not end as promised.
        """
        return [
            self._first_deployment(),
            self._update(),
            self._same_push_again(),
            self._push_during_a_build(),
            self._failing_verification(),
        ]

    def picture(self) -> Picture:
        """Look at the account; raises `UnexpectedError` when something is left that should not be."""
        images = self._ec2.describe_images(Owners=["self"])["Images"]
        snapshots = self._ec2.describe_snapshots(
            OwnerIds=["self"], Filters=[{"Name": "tag:ami-lifecycle:environment", "Values": [ENVIRONMENT]}]
        )["Snapshots"]
        reservations = self._ec2.describe_instances()["Reservations"]
        alive = [
            instance["InstanceId"]
            for reservation in reservations
            for instance in reservation["Instances"]
            if instance["State"]["Name"] not in {"shutting-down", "terminated"}
        ]
        pages = self._ssm.get_paginator("get_parameters_by_path").paginate(Path=f"{PREFIX}/history")
        history = [json.loads(found["Value"]) for page in pages for found in page["Parameters"]]
        metadata = json.loads(self._ssm.get_parameter(Name=f"{PREFIX}/metadata")["Parameter"]["Value"])
        _require([image["Name"] for image in images] == [IMAGE_NAME], f"one image named {IMAGE_NAME}")
        _require(images[0]["ImageId"] == self._latest() == metadata["ami_id"], "latest and metadata name it")
        used = {
            mapping["Ebs"]["SnapshotId"] for mapping in images[0]["BlockDeviceMappings"] if "Ebs" in mapping
        }
        _require(
            {snapshot["SnapshotId"] for snapshot in snapshots} == used, "only its own snapshots are left"
        )
        _require(not alive, "no instance is left")
        return Picture(
            images=[{"image_id": image["ImageId"], "name": image["Name"]} for image in images],
            snapshots=sorted(used),
            instances=alive,
            metadata=metadata,
            history=sorted(history, key=lambda record: (record["creation_date"], record["status_since"])),
        )

    def _first_deployment(self) -> Scene:
        scene = self._begin(
            "First deployment",
            "The first image is pushed. There is no AMI yet, so the build starts from Ubuntu 22.04.",
        )
        digest = self._push("a1" * 20)
        build = self._follow(scene)
        _require(build.status == "SUCCEEDED", f"the build succeeds ({build.error}: {build.cause})")
        return self._end(scene, f"built from Ubuntu, published with {_short(digest)}", digest)

    def _update(self) -> Scene:
        scene = self._begin(
            "Update", "A new image is pushed. The build starts from the environment's own AMI."
        )
        old = self._latest()
        digest = self._push("b2" * 20)
        build = self._follow(scene)
        _require(build.status == "SUCCEEDED", f"the build succeeds ({build.error}: {build.cause})")
        _require(self._latest() != old, "latest names another image")
        return self._end(
            scene, f"updated to {_short(digest)}, the old AMI and its snapshots are gone", digest
        )

    def _same_push_again(self) -> Scene:
        scene = self._begin(
            "The same push again", "The push event comes twice. The digest is published already."
        )
        old = self._latest()
        digest = self._push("b2" * 20)
        self._send_push_event(digest)
        build = self._follow(scene)
        _require((build.output or {}).get("action") == "none", "nothing is built")
        _require(self._latest() == old, "latest stays")
        return self._end(scene, f"nothing to do: {build.output['reasons'][0]}", digest)

    def _push_during_a_build(self) -> Scene:
        scene = self._begin("A push during a build", "While one image is built, a newer one is pushed.")
        self._push("c3" * 20)
        first = self._follower.next_execution()
        self._follower.follow(first, until_state="Await Provisioning")
        digest = self._push("d4" * 20)
        queued = self._follow(scene)
        _require((queued.output or {}).get("status") == "queued", "the second push waits for the first build")
        build = self._follower.follow(first)
        scene.executions.append(build)
        _require(build.status == "SUCCEEDED", f"the first build succeeds ({build.error}: {build.cause})")
        second = self._follow(scene)
        _require(second.status == "SUCCEEDED", f"the queued build succeeds ({second.error}: {second.cause})")
        return self._end(
            scene, f"two builds, one after the other; {_short(digest)} is published last", digest
        )

    def _failing_verification(self) -> Scene:
        scene = self._begin("A bad image", "An image is pushed whose application does not become healthy.")
        old = self._latest()
        published = self._published_digest()
        digest = self._push("e5" * 20)
        self._fail_verification_of(digest)
        build = self._follow(scene)
        _require(build.status == "FAILED", "the build fails")
        _require(
            build.error == "VerificationFailedError", f"verification refuses the image (not {build.error})"
        )
        _require(self._latest() == old, "latest stays")
        return self._end(scene, f"refused: {build.cause}", published)

    def _begin(self, title: str, what: str) -> Scene:
        scene = Scene(title, what)
        self._on_scene(scene)
        return scene

    def _end(self, scene: Scene, outcome: str, digest: str) -> Scene:
        scene.outcome = outcome
        scene.latest = self._latest()
        _require(self._published_digest() == digest, f"metadata names {_short(digest)}")
        return scene

    def _follow(self, scene: Scene) -> Followed:
        followed = self._follower.follow(self._follower.next_execution())
        scene.executions.append(followed)
        return followed

    def _push(self, revision: str) -> str:
        return push_image(self._ecr, REPOSITORY, TAG, revision=revision, branch="main")

    def _send_push_event(self, digest: str) -> None:
        detail = {
            "action-type": "PUSH",
            "result": "SUCCESS",
            "repository-name": REPOSITORY,
            "image-digest": digest,
            "image-tag": TAG,
        }
        # On AWS nobody but ECR can send its events.
        self._ask_emulator(
            "events", {"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": detail}
        )

    def _latest(self) -> str | None:
        found = self._ssm.get_parameters(Names=[f"{PREFIX}/latest"])["Parameters"]
        return str(found[0]["Value"]) if found else None

    def _published_digest(self) -> str:
        value = self._ssm.get_parameter(Name=f"{PREFIX}/metadata")["Parameter"]["Value"]
        return str(json.loads(value)["image_digest"])

    def _fail_verification_of(self, digest: str) -> None:
        fault = {
            "kind": "command_fails",
            "document": "VerifyImage",
            "digest": digest,
            "exit_code": 21,
            "stderr": "ami-lifecycle: GET http://127.0.0.1:8188/ answered 500 for 300 s; look at the application's log",
        }
        self._ask_emulator("faults", fault)

    def _ask_emulator(self, path: str, content: dict[str, Any]) -> None:
        request = urllib.request.Request(  # noqa: S310 - the emulator's own address
            f"{self._endpoint_url}/_emulator/{path}",
            data=json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            answer.read()


def _short(digest: str) -> str:
    return digest[:19]


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise UnexpectedError(f"expected: {what}")
