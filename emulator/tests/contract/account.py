"""An emulated account for tests: served over HTTP, with time that moves only when a test says so."""

from __future__ import annotations

import heapq
import itertools
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from werkzeug.serving import WSGIRequestHandler, make_server

from aws_emulator.alarms import AlarmStates
from aws_emulator.api.operations import handlers_of
from aws_emulator.auto_scaling import AutoScaling
from aws_emulator.clock import Clock, Timer
from aws_emulator.durations import Durations
from aws_emulator.ec2 import Ec2Store, ec2_operations
from aws_emulator.ec2.model import Content, Instance
from aws_emulator.ecr import Registry
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.faults import Faults
from aws_emulator.gateway.calls import CallLog
from aws_emulator.gateway.gateway import Gateway
from aws_emulator.gateway.json_answers import JsonAnswers
from aws_emulator.gateway.moto_backend import MotoAccount
from aws_emulator.gateway.xml_answers import as_recorded
from aws_emulator.iam.sessions import Sessions
from aws_emulator.s3 import S3, Buckets
from aws_emulator.ssm import ParameterStore, Provisioner, ResourceTags, RunCommand, ShellProvisioner
from aws_emulator.ssm.provisioner import CommandResult, PendingResult

ACCOUNT = "123456789012"
REGION = "us-east-1"
CANONICAL = "099720109477"
DURATIONS = Durations()
ROLE_TAG = "role"
COMMAND_DOCUMENT = {
    "schemaVersion": "2.2",
    "description": "A document for tests.",
    "parameters": {
        "Word": {"type": "String", "default": "word", "allowedPattern": "^[a-z]+$"},
        "ImageUri": {"type": "String", "default": "123456789012.dkr.ecr.us-east-1.amazonaws.com/comfyui"},
        "ImageDigest": {"type": "String"},
        "Mode": {"type": "String", "default": "fresh"},
        "Environment": {"type": "String", "default": "prod"},
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "theStep",
            "inputs": {"timeoutSeconds": "600", "runCommand": ["true"]},
        }
    ],
}


class ManualClock(Clock):
    """A clock that a test advances; due calls are made in order on the test's thread."""

    def __init__(self) -> None:
        self._start = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
        self._elapsed = 0.0
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Timer]] = []
        self._mutex = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def elapsed(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        with self._mutex:
            heapq.heappush(self._due, (self._elapsed + max(0.0, seconds), next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self._elapsed + seconds
        while True:
            with self._mutex:
                if not self._due or self._due[0][0] > end:
                    break
                due, _, timer = heapq.heappop(self._due)
            self._elapsed = max(self._elapsed, due)
            if not timer.cancelled:
                timer.callback()
        self._elapsed = end

    def close(self) -> None:
        """Nothing runs in the background."""


class QuietHandler(WSGIRequestHandler):
    """Keeps connections open and logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing."""


class Server:
    """One HTTP server and one set of clients, over whichever account is current."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None
        self.moto = MotoAccount(ACCOUNT, REGION)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=QuietHandler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._clients: dict[tuple[str, str], Any] = {}

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        assert self.gateway is not None
        return self.gateway(environ, start_response)

    def client(self, service: str, region: str = REGION) -> Any:
        """A boto3 client that tries once and leaves the checks to the service."""
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id="tester",
                aws_secret_access_key="secret",
                config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
            )
        return self._clients[service, region]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()
        self.moto.close()


class Script(ShellProvisioner):
    """What every command does: for how long, how it ends, what it writes."""

    def __init__(self) -> None:
        self.seconds = 120.0
        self.exit_code = 0
        self.stdout = "done\n"
        self.stderr = ""
        self.content: Content = {"written": True}

    def run(
        self, document_name: str, parameters: Mapping[str, Any], instance: Instance
    ) -> CommandResult | PendingResult:
        return CommandResult(self.seconds, self.exit_code, self.stdout, self.stderr, self.content)


class Account:
    """A fresh account behind the server, with the builders that tests need."""

    def __init__(self, server: Server, durations: Durations = DURATIONS) -> None:
        self.clock = ManualClock()
        self.events: list[dict[str, Any]] = []
        place: dict[str, Any] = {"account_id": ACCOUNT, "region": REGION}
        self.durations = durations
        self.faults = Faults(self.clock)
        bus = EventBus(self.clock, ACCOUNT, REGION, deliveries=self.faults.deliveries)
        bus.subscribe(self.events.append)
        self.state = Ec2Store(
            self.clock, bus, durations, moto=server.moto, faults=self.faults, role_tag=ROLE_TAG, **place
        )
        self.registry = Registry(self.clock, bus, **place)
        self.script = Script()
        provisioner = self.make_provisioner()
        self.run_command = RunCommand(self.clock, bus, durations, self.state, provisioner, **place)
        self.store = ParameterStore(self.clock, bus, durations, self.state, **place)
        self.auto_scaling = AutoScaling(self.state, self.store)
        self.buckets = Buckets()
        bus.taps.append(self.auto_scaling.notice_event)
        self.unusable_keys: dict[str, str] = {}
        self.undeletable_snapshots: set[str] = set()
        services = (
            *ec2_operations(
                self.state,
                self.store,
                refused_key=lambda _caller, key: self.unusable_keys.get(key),
                may_delete_snapshot=lambda _caller, asked: asked not in self.undeletable_snapshots,
            ),
            self.auto_scaling,
            self.registry,
            self.run_command,
            self.store,
            ResourceTags(self.store, self.run_command),
            S3(self.clock, self.buckets),
        )
        self.gateway = Gateway(
            handlers_of(*services),
            server.moto,
            self.clock,
            CallLog(),
            ACCOUNT,
            REGION,
            lambda access_key: access_key or "nobody",
            middlewares=[
                self.faults.around_call,
                Sessions(server.moto),
                as_recorded,
                JsonAnswers(),
                AlarmStates(self.clock, bus, server.moto).around_call,
            ],
            routes={**self.faults.routes(), **self.registry.routes()},
        )
        server.gateway = self.gateway
        self.url = server.url
        self.client = server.client
        self.ec2 = server.client("ec2")
        self.ssm = server.client("ssm")
        self.autoscaling = server.client("autoscaling")
        self.ecr = server.client("ecr")
        self.ubuntu = self.state.seed_image("ubuntu-jammy-22.04-amd64", owner_id=CANONICAL)

    def make_provisioner(self) -> Provisioner:
        return self.script

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def subnet(self, index: int = 0) -> str:
        """A default subnet's id; each index is another zone."""
        subnets = self.ec2.describe_subnets()["Subnets"]
        return str(sorted(subnets, key=lambda each: each["AvailabilityZone"])[index]["SubnetId"])

    def profile(self) -> str:
        """The name of an instance profile that exists."""
        iam = self.client("iam")
        names = [each["InstanceProfileName"] for each in iam.list_instance_profiles()["InstanceProfiles"]]
        if "builder" not in names:
            iam.create_instance_profile(InstanceProfileName="builder")
        return "builder"

    def launch(self, **changes: Any) -> str:
        """Launch one instance and return its id."""
        parameters = {
            "ImageId": self.ubuntu,
            "InstanceType": "t3.large",
            "MinCount": 1,
            "MaxCount": 1,
            "IamInstanceProfile": {"Name": self.profile()},
        } | changes
        return str(self.ec2.run_instances(**parameters)["Instances"][0]["InstanceId"])

    def running(self, **changes: Any) -> str:
        """Launch an instance and wait until its agent is online."""
        instance_id = self.launch(**changes)
        self.advance(self.durations.agent_online)
        return instance_id

    def stopped(self, **changes: Any) -> str:
        instance_id = self.running(**changes)
        self.ec2.stop_instances(InstanceIds=[instance_id])
        self.advance(self.durations.stop)
        return instance_id

    def pending_image(self, name: str = "comfyui", **changes: Any) -> str:
        instance_id = changes.pop("InstanceId", None) or self.stopped()
        return str(self.ec2.create_image(InstanceId=instance_id, Name=name, **changes)["ImageId"])

    def image(self, name: str = "comfyui", **changes: Any) -> str:
        """An available image of a stopped instance."""
        image_id = self.pending_image(name, **changes)
        self.advance(self.durations.image)
        return image_id

    def described(self, image_id: str, **changes: Any) -> dict[str, Any]:
        (image,) = self.ec2.describe_images(ImageIds=[image_id], **changes)["Images"]
        return dict(image)

    def snapshot_of(self, image_id: str) -> str:
        return str(self.described(image_id)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])

    def register(self, snapshot_id: str, name: str = "registered", /, **changes: Any) -> str:
        """Register an image with all attributes that a Nitro instance needs."""
        parameters = {
            "Name": name,
            "Architecture": "x86_64",
            "VirtualizationType": "hvm",
            "EnaSupport": True,
            "RootDeviceName": "/dev/sda1",
            "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id}}],
        } | changes
        given = {key: value for key, value in parameters.items() if value is not None}
        image_id = str(self.ec2.register_image(**given)["ImageId"])
        self.advance(self.durations.register)
        return image_id

    def instance(self, instance_id: str) -> dict[str, Any]:
        (reservation,) = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        return dict(reservation["Instances"][0])

    def document(self, name: str = "Test", **changes: Any) -> str:
        """An active Command document."""
        self.ssm.create_document(
            Name=name,
            DocumentType="Command",
            Content=json.dumps(COMMAND_DOCUMENT | changes),
            DocumentFormat="JSON",
        )
        self.advance(self.durations.document_active)
        return name

    def send(self, instance_id: str, document: str, **parameters: str) -> str:
        values = {"ImageDigest": "sha256:" + "0" * 64} | parameters
        answer = self.ssm.send_command(
            InstanceIds=[instance_id],
            DocumentName=document,
            Parameters={name: [value] for name, value in values.items()},
        )
        return str(answer["Command"]["CommandId"])

    def invocation(self, command_id: str, instance_id: str) -> dict[str, Any]:
        return dict(self.ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id))

    def repository(self, name: str = "comfyui", **changes: Any) -> str:
        self.ecr.create_repository(repositoryName=name, **changes)
        return name

    def push(self, text: str = "one", tag: str | None = "latest", repository: str = "comfyui") -> str:
        """Put an image whose manifest holds `text` and return its digest."""
        tags = {} if tag is None else {"imageTag": tag}
        answer = self.ecr.put_image(repositoryName=repository, imageManifest=manifest(text), **tags)
        return str(answer["image"]["imageId"]["imageDigest"])

    def events_of(self, detail_type: str) -> list[dict[str, Any]]:
        """The details of the events delivered so far."""
        self.advance(1)
        return [event["detail"] for event in self.events if event["detail-type"] == detail_type]


def manifest(text: str = "one", **changes: Any) -> str:
    """A manifest of Docker's schema 2 that differs by `text`."""
    content = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": 7023,
            "digest": f"sha256:{text.encode().hex():0<64.64}",
        },
        "layers": [],
    }
    return json.dumps(content | changes)
