"""The emulated account with the stack, as an outside client sees it: plain boto3 against the endpoint."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from ami_lifecycle_cli.demo.docker_push import push_image

REPOSITORY = "comfyui"
ENDED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})
GONE = frozenset({"shutting-down", "terminated"})
ENVIRONMENT_TAG = "tag:ami-lifecycle:environment"
# Only a test that fails waits so long. A build of the tests takes seconds, and minutes on a machine that others load.
PATIENCE_SECONDS = 600.0
_Value = TypeVar("_Value")


def until(what: str, look: Callable[[], _Value], seconds: float = PATIENCE_SECONDS) -> _Value:
    """Look again and again; the first answer that is true."""
    end, pause = time.monotonic() + seconds, 0.02
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        # Looking costs the emulator, which shares this process, as much as working.
        time.sleep(pause)
        pause = min(1.3 * pause, 0.15)


@dataclass(frozen=True)
class Ended:
    """An execution that has ended."""

    arn: str
    status: str
    output: Any
    error: str | None
    cause: str | None

    @property
    def name(self) -> str:
        return self.arn.rsplit(":", 1)[-1]

    @property
    def failure(self) -> str | None:
        """Why it has not succeeded; nothing when it has."""
        return (
            None if self.status == "SUCCEEDED" else f"{self.name} {self.status}: {self.error}: {self.cause}"
        )


def failures(executions: Iterable[Ended]) -> list[str]:
    """Why those that have not succeeded have not."""
    return [each.failure for each in executions if each.failure is not None]


@dataclass(frozen=True)
class Left:
    """What an environment has in the account."""

    images: dict[str, str]
    snapshots: frozenset[str]
    instances: frozenset[str]
    claimed: bool


class Service:
    """The account. Clients are made once and make one attempt per call, so that errors show."""

    def __init__(self, endpoint_url: str, state_machine_arn: str, region: str = "us-east-1") -> None:
        self.endpoint_url = endpoint_url
        self.state_machine_arn = state_machine_arn
        self.region = region
        self._clients: dict[str, Any] = {}
        self._inputs: dict[str, Any] = {}
        outputs = self.client("cloudformation").describe_stacks()["Stacks"][0]["Outputs"]
        self.outputs = {row["OutputKey"]: row["OutputValue"] for row in outputs}
        resources = self.client("cloudformation").describe_stack_resources(StackName="ami-lifecycle")
        self.physical_ids = {
            row["LogicalResourceId"]: row["PhysicalResourceId"] for row in resources["StackResources"]
        }

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint_url,
                region_name=self.region,
                aws_access_key_id="tests",
                aws_secret_access_key="tests",
                config=Config(retries={"total_max_attempts": 1}, max_pool_connections=30),
            )
        return self._clients[service]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def environment(self, name: str) -> Environment:
        return Environment(self, name)

    # What the emulator offers beside AWS.

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the emulator's own address
            f"{self.endpoint_url}/_emulator/{path}",
            data=None if content is None else json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def inject(self, *faults: dict[str, Any]) -> None:
        self.ask("POST", "faults", list(faults))

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"calls?since={since}")
        return found

    def last_call(self) -> int:
        return max((call["number"] for call in self.calls()), default=0)

    # Rules and the schedule.

    def put_event(self, source: str, kind: str, detail: dict[str, Any]) -> None:
        self.ask("POST", "events", {"source": source, "detail-type": kind, "detail": detail})

    def set_rules(self, *logical_ids: str, enabled: bool) -> None:
        events = self.client("events")
        for logical_id in logical_ids:
            (events.enable_rule if enabled else events.disable_rule)(Name=self.physical_ids[logical_id])

    def stop_schedule(self) -> None:
        """Have the sweep run only when a test asks: at a small time scale it would run every few seconds."""
        scheduler = self.client("scheduler")
        known = scheduler.get_schedule(Name=self.physical_ids["SweepSchedule"])
        kept = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
        scheduler.update_schedule(**{key: known[key] for key in kept}, State="DISABLED")

    def sweep(self) -> list[dict[str, Any]]:
        """Have the schedule's function run once, to its end; its findings."""
        answer, payload = self.invoke("SweepEnvironmentsFunction", {})
        assert "FunctionError" not in answer, payload
        findings: list[dict[str, Any]] = payload["findings"]
        return findings

    def fire_schedule(self) -> None:
        self.ask("POST", "schedule/fire?name=SweepSchedule")

    def invoke(self, logical_id: str, event: Any) -> tuple[dict[str, Any], Any]:
        answer = self.client("lambda").invoke(
            FunctionName=self.physical_ids[logical_id], Payload=json.dumps(event)
        )
        return answer, json.loads(answer["Payload"].read())

    # Executions.

    def start(self, content: Any) -> str:
        arn: str = self.client("stepfunctions").start_execution(
            stateMachineArn=self.state_machine_arn, input=json.dumps(content)
        )["executionArn"]
        return arn

    def wait(self, arn: str, seconds: float = PATIENCE_SECONDS) -> Ended:
        """Wait until an execution has ended."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.client("stepfunctions").describe_execution(executionArn=arn)
            return found if found["status"] in ENDED else None

        found = until(f"{arn} ends", look, seconds)
        assert found is not None
        return Ended(
            arn=arn,
            status=found["status"],
            output=json.loads(found["output"]) if found.get("output") else None,
            error=found.get("error"),
            cause=found.get("cause"),
        )

    def run(self, content: Any) -> Ended:
        """Start an execution and wait until it has ended."""
        return self.wait(self.start(content))

    def executions(self) -> list[dict[str, Any]]:
        """All executions, oldest first."""
        pages = (
            self.client("stepfunctions")
            .get_paginator("list_executions")
            .paginate(stateMachineArn=self.state_machine_arn)
        )
        return [execution for page in pages for execution in page["executions"]][::-1]

    def executions_of(self, digests: Collection[str], number: int) -> list[str]:
        """Wait for so many executions that pushes of these digests started; their ARNs."""

        def look() -> list[str]:
            found = [each["executionArn"] for each in self.executions()]
            started = [arn for arn in found if self._pushed_digest(arn) in digests]
            return started if len(started) >= number else []

        return until(f"{number} executions start", look)

    def _pushed_digest(self, arn: str) -> str | None:
        content = self.input_of(arn)
        detail = content.get("detail") if isinstance(content, dict) else None
        return detail.get("image-digest") if isinstance(detail, dict) else None

    def input_of(self, arn: str) -> Any:
        if arn not in self._inputs:
            found = self.client("stepfunctions").describe_execution(executionArn=arn)
            self._inputs[arn] = json.loads(found["input"])
        return self._inputs[arn]

    def history(self, arn: str) -> list[dict[str, Any]]:
        pages = self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
        return [event for page in pages for event in page["events"]]

    def states(self, arn: str) -> list[str]:
        """Names of the states that were entered, in order."""
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self.history(arn)
            if "stateEnteredEventDetails" in event
        ]

    def newest_state(self, arn: str) -> str | None:
        """Name of the state that was entered last, as far as the newest few events show it."""
        events = self.client("stepfunctions").get_execution_history(
            executionArn=arn, reverseOrder=True, maxResults=5
        )["events"]
        entered = (each["stateEnteredEventDetails"] for each in events if "stateEnteredEventDetails" in each)
        return next((str(each["name"]) for each in entered), None)

    def is_build(self, arn: str) -> bool:
        """Whether an execution has launched a builder."""
        return "Launch Builder" in self.states(arn)

    def dead_letters(self) -> list[str]:
        answer = self.client("sqs").receive_message(
            QueueUrl=self.outputs["DeadLetterQueueUrl"], MaxNumberOfMessages=10, VisibilityTimeout=0
        )
        return [message["Body"] for message in answer.get("Messages", [])]


@dataclass(frozen=True)
class Environment:
    """One environment of the account."""

    service: Service
    name: str

    @property
    def tag(self) -> str:
        return f"{self.name}-latest"

    @property
    def image_name(self) -> str:
        return f"comfyui-multitenant-{self.name}"

    @property
    def prefix(self) -> str:
        return f"/comfyui/ami/{self.name}"

    # What a developer does.

    def push(self, revision: str, *, tag: str | None = None, branch: str = "main") -> str:
        """Push a Docker image under the environment's tag; its digest."""
        return push_image(
            self.service.client("ecr"), REPOSITORY, tag or self.tag, revision=revision, branch=branch
        )

    def push_quietly(self, revision: str) -> str:
        """Push an image under a tag that no environment is built from; its digest."""
        return self.push(revision, tag=f"{self.name}-by-hand")

    def build(self, revision: str) -> Ended:
        """Push an image, and wait until all that it leads to is over; the execution of the push."""
        known = self.executions()
        self.push(revision)
        return self.wait_for_execution(known)

    def wait_for_execution(self, known: Collection[str] = ()) -> Ended:
        """Wait for an execution that is not among the known ones, and for all that it leads to."""
        arn = until("an execution starts", lambda: next(iter(self._new(known)), None))
        assert arn is not None
        ended = self.service.wait(arn)
        self.wait_until_idle()
        return ended

    def must_build(self, revision: str) -> Ended:
        """Like `build`, and it succeeds."""
        ended = self.build(revision)
        assert not failures([ended])
        return ended

    def announce(self, digest: str, **detail: Any) -> None:
        """Send the event of a push again, as ECR may."""
        self.service.put_event(
            "aws.ecr",
            "ECR Image Action",
            {
                "action-type": "PUSH",
                "result": "SUCCESS",
                "repository-name": REPOSITORY,
                "image-digest": digest,
                "image-tag": self.tag,
                **detail,
            },
        )

    # What happens then.

    def executions(self) -> list[str]:
        """ARNs of the environment's executions, oldest first."""
        return [
            execution["executionArn"]
            for execution in self.service.executions()
            if self._is_mine(self.service.input_of(execution["executionArn"]))
        ]

    def _new(self, known: Collection[str]) -> list[str]:
        return [arn for arn in self.executions() if arn not in known]

    def _is_mine(self, content: Any) -> bool:
        if not isinstance(content, dict):
            return False
        detail = content.get("detail")
        tag = detail.get("image-tag") if isinstance(detail, dict) else None
        return tag == self.tag or content.get("environment") == self.name

    def wait_for_executions(self, number: int) -> None:
        """Wait until so many executions have been started, and until all is over."""
        until(f"{number} executions start", lambda: len(self.executions()) >= number)
        self.wait_until_idle()

    def wait_for_state(self, name: str, after: Collection[str] = ()) -> str:
        """Wait until the newest execution enters a state; its ARN.

        Args:
            after: executions that there were before; a push starts the next one an instant later.
        """

        def look() -> str | None:
            arn = next(reversed(self.executions()), None)
            started = arn is not None and arn not in after
            return arn if started and name in self.service.states(arn) else None

        arn = until(f"{self.name} comes to {name}", look)
        assert arn is not None
        return arn

    def wait_until_idle(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until no execution of the environment runs, nobody holds it, nothing is queued, and every
        instance is terminated.
        """
        machine = self.service.client("stepfunctions")

        def is_idle() -> bool:
            item = self.item()
            if "claim" in item or "wanted" in item or self.instances():
                return False
            running = machine.list_executions(
                stateMachineArn=self.service.state_machine_arn, statusFilter="RUNNING"
            )["executions"]
            return not any(self._is_mine(self.service.input_of(each["executionArn"])) for each in running)

        until(f"{self.name} is idle", is_idle, seconds)

    def item(self) -> dict[str, Any]:
        """The environment's item in the stack's table."""
        answer = self.service.client("dynamodb").get_item(
            TableName=self.service.outputs["StateTableName"],
            Key={"pk": {"S": f"environment#{self.name}"}},
            ConsistentRead=True,
        )
        found: dict[str, Any] = answer.get("Item", {})
        return found

    # What consumers and operators see.

    def latest(self) -> str | None:
        found = self.service.client("ssm").get_parameters(Names=[f"{self.prefix}/latest"])["Parameters"]
        return str(found[0]["Value"]) if found else None

    def pin_by_launch_template(self) -> str:
        """Make a launch template that names the live image by its id; the template's id."""
        answer = self.service.client("ec2").create_launch_template(
            LaunchTemplateName=f"fleet-{self.name}",
            LaunchTemplateData={"ImageId": self.latest(), "InstanceType": "g5.xlarge"},
        )
        return str(answer["LaunchTemplate"]["LaunchTemplateId"])

    def metadata(self) -> dict[str, Any]:
        answer = self.service.client("ssm").get_parameter(Name=f"{self.prefix}/metadata")
        found: dict[str, Any] = json.loads(answer["Parameter"]["Value"])
        return found

    def history(self) -> dict[str, dict[str, Any]]:
        """History records by image id."""
        pages = (
            self.service.client("ssm")
            .get_paginator("get_parameters_by_path")
            .paginate(Path=f"{self.prefix}/history")
        )
        return {
            parameter["Name"].rsplit("/", 1)[-1]: json.loads(parameter["Value"])
            for page in pages
            for parameter in page["Parameters"]
        }

    def images(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.service.client("ec2").describe_images(
            Owners=["self"],
            Filters=[{"Name": "name", "Values": [f"{self.image_name}", f"{self.image_name}.*"]}],
        )["Images"]
        return found

    def snapshots(self) -> frozenset[str]:
        """Ids of the snapshots that carry the environment's tag."""
        found = self.service.client("ec2").describe_snapshots(
            OwnerIds=["self"], Filters=[{"Name": ENVIRONMENT_TAG, "Values": [self.name]}]
        )["Snapshots"]
        return frozenset(snapshot["SnapshotId"] for snapshot in found)

    def instances(self) -> frozenset[str]:
        """Ids of the instances that are alive."""
        return frozenset(
            instance["InstanceId"]
            for instance in self._all_instances()
            if instance["State"]["Name"] not in GONE
        )

    def _all_instances(self) -> Iterator[dict[str, Any]]:
        pages = (
            self.service.client("ec2")
            .get_paginator("describe_instances")
            .paginate(Filters=[{"Name": ENVIRONMENT_TAG, "Values": [self.name]}])
        )
        for page in pages:
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]

    def left(self) -> Left:
        """What there is of the environment: images by id with their names, snapshots, instances, a claim."""
        return Left(
            images={image["ImageId"]: image["Name"] for image in self.images()},
            snapshots=self.snapshots(),
            instances=self.instances(),
            claimed="claim" in self.item(),
        )

    def has_one_image(self) -> str:
        """Check that the published image is all there is of the environment; its id."""
        latest = self.latest()
        assert latest is not None
        (image,) = self.images()
        assert (image["ImageId"], image["Name"], image["State"]) == (latest, self.image_name, "available")
        assert self.metadata()["ami_id"] == latest
        own = frozenset(
            device["Ebs"]["SnapshotId"] for device in image["BlockDeviceMappings"] if "Ebs" in device
        )
        assert self.left() == Left({latest: self.image_name}, own, frozenset(), claimed=False)
        return latest
