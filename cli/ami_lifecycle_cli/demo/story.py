"""The scenes of the demonstration, and the assertions after each."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

import boto3

from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import AmiLifecycleError
from ami_lifecycle_cli.demo.docker_push import push_image
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.execution_start import start
from ami_lifecycle_cli.stack.follower import Followed, Follower
from ami_lifecycle_cli.stack.formatting import short_digest
from ami_lifecycle_cli.stack.records import is_passing_name, read_history, record_as_json
from ami_lifecycle_cli.stack.rollback_plan import plan_rollback
from ami_lifecycle_cli.stack.runs import RUNNING, Run, Runs, StateRun

ENVIRONMENT: Final = "prod"
REPOSITORY: Final = "comfyui"
TAG: Final = "prod-latest"
IMAGE_NAME: Final = "comfyui-multitenant-prod"
PREFIX: Final = f"/comfyui/ami/{ENVIRONMENT}"
LAUNCH_TEMPLATE: Final = "comfyui-workers"

_PAUSE_SECONDS: Final = 0.4
# How many executions are listed to find those that have started since.
_FRESH_AT_MOST: Final = 2
_PATIENCE_SECONDS: Final = 120.0
_REASON: Final = "black pictures"
# What `documents/verify_image.sh` says of a container that does not stay up, which it looks at whatever check is set.
_ENDED: Final = "its container is not running, exit code 1"
_VERIFICATION_SAID: Final = (
    f"ami-lifecycle: comfyui is not healthy after 5 restarts and 31 seconds: {_ENDED}; "
    "read its last log lines below, or raise HealthTimeoutSeconds\n"
    "ModuleNotFoundError: No module named 'torch'\n"
)


class UnexpectedError(AmiLifecycleError):
    """A scene did not have its expected outcome."""


@dataclass
class EmulatedTarget:
    """The demonstration's stack in the emulator."""

    stack: str
    region: str
    endpoint_url: str
    profile: str | None = None
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator, which takes any credentials."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=self.region,
                endpoint_url=self.endpoint_url,
                aws_access_key_id="demo",
                aws_secret_access_key="demo",  # noqa: S106 - as above
            )
        return self._clients[service]


@dataclass
class Scene:
    """One scene: what was done, the executions that it led to, and what `latest` named afterwards."""

    title: str
    what: str
    executions: list[Followed] = field(default_factory=list)
    outcome: str = ""
    latest: str | None = None


class StoryListener(Protocol):
    """Receives the progress of the demonstration."""

    def begin(self, scene: Scene) -> None:
        """Called when a scene begins."""

    def say(self, text: str) -> None:
        """Called with a line of text."""

    def state(self, run: StateRun) -> None:
        """Called when a state has ended."""


@dataclass
class AccountSummary:
    """The account's resources at the end."""

    images: list[dict[str, str]]
    snapshots: list[str]
    instances: list[str]
    metadata: dict[str, Any]
    history: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Story:
    """Runs the scenes in order.

    Args:
        target: the stack in the emulator.
        listener: receives scenes and states.
    """

    def __init__(self, target: EmulatedTarget, listener: StoryListener) -> None:
        self._endpoint_url = target.endpoint_url
        self._ecr, self._ec2, self._ssm = map(target.client, ("ecr", "ec2", "ssm"))
        self._listener = listener
        self._stack = Stack(target)
        self._runs = Runs(self._stack)
        self._follower = Follower(self._stack, longest_pause_seconds=_PAUSE_SECONDS)
        self._begun: set[str] = set()
        self._reported: dict[str, int] = {}
        self._waiting = ""

    def live(self) -> list[Scene]:
        """Run all scenes.

        Raises:
            UnexpectedError: a scene did not end as promised.
        """
        return [
            self._first_deployment(),
            self._update(),
            self._same_push_again(),
            self._push_during_a_build(),
            self._rollback(),
            self._failing_verification(),
        ]

    def summary(self) -> AccountSummary:
        """Summarise the account; raises `UnexpectedError` if a resource was leaked."""
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
        records = read_history(self._stack, ENVIRONMENT).records
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
        return AccountSummary(
            images=[{"image_id": image["ImageId"], "name": image["Name"]} for image in images],
            snapshots=sorted(used),
            instances=alive,
            metadata=metadata,
            history=[record_as_json(each) for each in records if not is_passing_name(each, records)],
        )

    def _first_deployment(self) -> Scene:
        scene = self._begin(
            "First deployment",
            "The first Docker image is pushed. There is no AMI yet, so the build starts from Ubuntu 22.04.",
        )
        digest = self._push("a1" * 20)
        build = self._follow(scene)
        _require(build.status == "SUCCEEDED", f"the build succeeds ({build.error}: {build.cause})")
        return self._end(scene, f"built from Ubuntu, published with {short_digest(digest)}", digest)

    def _update(self) -> Scene:
        scene = self._begin(
            "Update", "A new Docker image is pushed. The build starts from the environment's own AMI."
        )
        old = self._latest()
        digest = self._push("b2" * 20)
        build = self._follow(scene)
        _require(build.status == "SUCCEEDED", f"the build succeeds ({build.error}: {build.cause})")
        _require(self._latest() != old, "latest names another image")
        return self._end(
            scene,
            f"updated to {short_digest(digest)}; nothing used the old AMI, so it and its snapshots are gone",
            digest,
        )

    def _same_push_again(self) -> Scene:
        scene = self._begin(
            "The same push again", "The push event comes twice. The digest is published already."
        )
        old = self._latest()
        digest = self._push("b2" * 20)
        self._send_push_event(digest)
        build = self._follow(scene)
        _require(build.output.get("action") == "none", "nothing is built")
        _require(self._latest() == old, "latest stays")
        return self._end(scene, "nothing to do", digest)

    def _push_during_a_build(self) -> Scene:
        scene = self._begin(
            "A push during a build",
            "While one image is built, a newer one is pushed. And somebody begins to use the first of the two.",
        )
        used = self._push("c3" * 20)
        first = self._next_execution()
        self._watch(first, until_state="Await Provisioning")
        self._listener.say("The newer image is pushed:")
        digest = self._push("d4" * 20)
        queued = self._follow(scene)
        _require(queued.outcome == "queued", "the second push waits for the first build")
        self._listener.say("The first build goes on:")
        build = self._finish(scene, first)
        _require(build.status == "SUCCEEDED", f"the first build succeeds ({build.error}: {build.cause})")
        self._listener.say(f"The launch template {LAUNCH_TEMPLATE} takes its AMI. The waiting push is built:")
        self._use(str(self._latest()))
        second = self._follow(scene)
        _require(second.status == "SUCCEEDED", f"the queued build succeeds ({second.error}: {second.cause})")
        return self._end(
            scene,
            f"two builds, one after the other; {short_digest(digest)} is published last, and the AMI with "
            f"{short_digest(used)} is kept, because a launch template uses it",
            digest,
        )

    def _rollback(self) -> Scene:
        scene = self._begin(
            "A rollback",
            f"The new image passed its checks, but people find it bad: {_REASON}. Somebody goes back.",
        )
        bad = self._latest()
        self._listener.say(f"$ ami-lifecycle rollback {ENVIRONMENT} --reason '{_REASON}'")
        planned = plan_rollback(self._stack, ENVIRONMENT, to=None, steps=1, reason=_REASON, fresh=False)
        _require(not planned.needs_build, "the rollback needs no build")
        back = self._finish(scene, self._start(planned.request))
        _require(back.status == "SUCCEEDED", f"the rollback succeeds ({back.error}: {back.cause})")
        _require(self._latest() == planned.record.ami_id != bad, "latest names the image before")
        self._listener.say(f"{ENVIRONMENT} is pinned now. The next push waits:")
        self._waiting = self._push("e5" * 20)
        pushed = self._follow(scene)
        _require(pushed.output.get("action") == "none", "a push does not undo the rollback")
        return self._end(
            scene,
            f"back to {planned.record.ami_id} at once, without a build; pushes wait until somebody unpins",
            planned.record.image_digest,
        )

    def _failing_verification(self) -> Scene:
        scene = self._begin(
            "A bad image",
            "The push that waited is let through. Each new AMI is booted once, on a canary, before it is published: "
            "this one's container ends as soon as it starts.",
        )
        old = self._latest()
        published = self._published_digest()
        self._fail_verification_of(self._waiting)
        self._listener.say(f"$ ami-lifecycle unpin {ENVIRONMENT}")
        self._stack.environments.set_pin(ENVIRONMENT, None)
        request = BuildRequest(environment=ENVIRONMENT, action=Action.BUILD, reason="unpinned")
        build = self._finish(scene, self._start(request))
        _require(build.status == "FAILED", "the build fails")
        _require(
            build.error == "VerificationFailedError", f"verification refuses the image (not {build.error})"
        )
        _require(self._latest() == old, "latest stays")
        self._listener.say(f"{build.error}: {build.cause}")
        return self._end(scene, f"refused, because {_ENDED}; latest stays, nothing is left over", published)

    def _begin(self, title: str, what: str) -> Scene:
        scene = Scene(title, what)
        self._listener.begin(scene)
        return scene

    def _end(self, scene: Scene, outcome: str, digest: str) -> Scene:
        scene.outcome = outcome
        scene.latest = self._latest()
        _require(self._published_digest() == digest, f"metadata names {short_digest(digest)}")
        return scene

    def _follow(self, scene: Scene) -> Run:
        """The next execution, followed to its end."""
        return self._finish(scene, self._next_execution())

    def _finish(self, scene: Scene, arn: str) -> Run:
        followed = self._watch(arn)
        scene.executions.append(followed)
        return followed.run

    def _next_execution(self) -> str:
        """ARN of the oldest execution that was not followed yet; waits for it."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            found = self._runs.newest(ENVIRONMENT, _FRESH_AT_MOST)
            fresh = [run for run in found if run.arn not in self._begun]
            if fresh:
                arn = min(fresh, key=lambda run: run.started).arn
                self._begun.add(arn)
                return arn
            time.sleep(_PAUSE_SECONDS)
        raise _unexpected("the event starts an execution")

    def _start(self, request: BuildRequest) -> str:
        arn = start(self._stack, request)
        self._begun.add(arn)
        return arn

    def _watch(self, arn: str, until_state: str | None = None) -> Followed:
        """Follow an execution to its end, or until it enters a state; each completed state is reported once."""
        end = time.monotonic() + _PATIENCE_SECONDS
        for run, states in self._follower.watch(arn):
            reported = self._reported.setdefault(arn, 0)
            left = [state for state in states if state.exited is not None or run.status != RUNNING]
            for state in left[reported:]:
                self._listener.state(state)
            self._reported[arn] = len(left)
            if until_state in {state.name for state in states}:
                break
            if time.monotonic() > end:
                raise UnexpectedError(
                    f"the demonstration went wrong; expected: {run.name} ends within {_PATIENCE_SECONDS:.0f} s"
                )
        return Followed(run, states)

    def _push(self, revision: str) -> str:
        return push_image(self._ecr, REPOSITORY, TAG, revision=revision, branch="main")

    def _use(self, image_id: str) -> None:
        data = {"ImageId": image_id, "InstanceType": "m7i.large"}
        self._ec2.create_launch_template(LaunchTemplateName=LAUNCH_TEMPLATE, LaunchTemplateData=data)

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
            "stderr": _VERIFICATION_SAID,
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


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise _unexpected(what)


def _unexpected(what: str) -> UnexpectedError:
    return UnexpectedError(f"the demonstration went wrong; expected: {what}")
