"""An emulated account, served on this machine for the adapters."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import boto3
from botocore.config import Config
from tests.contract.adapters.held_clock import HeldClock
from werkzeug.serving import make_server

from ami_lifecycle_testbed.durations import BuildDurations
from ami_lifecycle_testbed.project import LifecycleProject
from ami_lifecycle_testbed.provisioner import SimulatedProvisioner
from aws_emulator.api.operations import handlers_of
from aws_emulator.auto_scaling import AutoScaling
from aws_emulator.ec2 import Ec2Store, ec2_operations
from aws_emulator.ecr import Registry
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.faults import Faults
from aws_emulator.gateway.calls import CallLog
from aws_emulator.gateway.gateway import Gateway
from aws_emulator.gateway.moto_backend import MotoAccount
from aws_emulator.s3 import S3, Buckets
from aws_emulator.ssm import ParameterStore, ResourceTags, RunCommand
from aws_emulator.step_functions.service import StepFunctions
from aws_emulator.step_functions.tasks import Invocation

ACCOUNT = "123456789012"
REGION = "us-east-1"
DURATIONS = BuildDurations()
SAYING_DOCUMENT = {
    "schemaVersion": "2.2",
    "parameters": {"Message": {"type": "String", "allowedPattern": "^[a-z]*$"}},
    "mainSteps": [
        {
            "name": "say",
            "action": "aws:runShellScript",
            "inputs": {"runCommand": ["echo '{{ Message }}'"]},
        }
    ],
}
WAITING_MACHINE = {
    "StartAt": "Await Resource",
    "States": {
        "Await Resource": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {
                "FunctionName": "await_resource",
                "Payload": {"token.$": "$$.Task.Token", "execution.$": "$$.Execution.Id"},
            },
            "End": True,
        }
    },
}


class EmulatedAccount:
    """The gateway with its strict services; clients with one attempt per call, so that faults show."""

    def __init__(self) -> None:
        self.clock = HeldClock()
        self.moto = MotoAccount(ACCOUNT, REGION)
        self.faults = Faults(self.clock)
        self.bus = EventBus(self.clock, ACCOUNT, REGION)
        self.ec2 = Ec2Store(
            self.clock,
            self.bus,
            DURATIONS,
            account_id=ACCOUNT,
            region=REGION,
            moto=self.moto,
            faults=self.faults,
            role_tag=LifecycleProject.role_tag,
        )
        self.tokens: dict[str, str] = {}
        self.buckets = Buckets()
        self.calls = CallLog()
        self.step_functions = StepFunctions(
            self.clock, self.bus, ACCOUNT, REGION, invoke=self._invoke, caller_of=lambda _role: "tests"
        )
        self.gateway = Gateway(
            handlers_of(self.step_functions, *self._other_services()),
            self.moto,
            self.clock,
            self.calls,
            ACCOUNT,
            REGION,
            lambda _key: "tests",
            middlewares=[self.faults.around_call],
            routes=self.faults.routes(),
        )
        self._server = make_server("127.0.0.1", 0, self.gateway, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._clients: dict[str, Any] = {}
        self._prepare()

    def client(self, service: str) -> Any:
        """A boto3 client of the account."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=f"http://127.0.0.1:{self._server.server_port}",
                region_name=REGION,
                aws_access_key_id="AKIATEST",
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until the account has come so far."""
        step = 1.0
        for _ in range(500):
            if condition():
                return
            self.clock.advance(step)
            step = min(2 * step, 60.0)
            # Executions run on threads of their own, which need real time.
            time.sleep(0.001)
        raise TimeoutError("the emulated account did not come so far")

    def push(self, tag: str, content: str) -> str:
        """Push a Docker image whose manifest holds the content; returns its digest."""
        pushed = self.client("ecr").put_image(
            repositoryName=self.repository_name,
            imageManifest=_manifest(content),
            imageTag=tag,
        )
        return str(pushed["image"]["imageId"]["imageDigest"])

    def close(self) -> None:
        """Stop serving."""
        self.step_functions.close()
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()
        self.clock.close()
        for client in self._clients.values():
            client.close()
        self.moto.close()

    def _prepare(self) -> None:
        unique = uuid.uuid4().hex[:8]
        self.table = f"environments-{unique}"
        self.client("dynamodb").create_table(
            TableName=self.table,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        profile = self.client("iam").create_instance_profile(InstanceProfileName=f"builder-{unique}")
        self.instance_profile_arn = profile["InstanceProfile"]["Arn"]
        self.subnet_id = self.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
        self.base_image_id = self.ec2.seed_image("ubuntu-22.04", owner_id="099720109477")
        machine = self.client("stepfunctions").create_state_machine(
            name=f"build-{unique}",
            definition=json.dumps(WAITING_MACHINE),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/build",
        )
        self.state_machine_arn = machine["stateMachineArn"]
        self.repository_name = "comfyui"
        self.client("ecr").create_repository(repositoryName=self.repository_name)
        self.document = "say-something"
        self.client("ssm").create_document(
            Name=self.document, Content=json.dumps(SAYING_DOCUMENT), DocumentType="Command"
        )
        self.topic_arn = self.client("sns").create_topic(Name=f"outcomes-{unique}")["TopicArn"]
        self.bucket = f"lists-{unique}"
        self.client("s3").create_bucket(Bucket=self.bucket)
        self.queue_url = self.client("sqs").create_queue(QueueName=f"outcomes-{unique}")["QueueUrl"]
        queue_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:outcomes-{unique}"
        self.client("sns").subscribe(TopicArn=self.topic_arn, Protocol="sqs", Endpoint=queue_arn)

    def _other_services(self) -> list[object]:
        where: Any = {"account_id": ACCOUNT, "region": REGION}
        registry = Registry(self.clock, self.bus, **where)
        provisioner = SimulatedProvisioner(DURATIONS, self.ec2, registry, self.faults)
        commands = RunCommand(self.clock, self.bus, DURATIONS, self.ec2, provisioner, **where)
        store = ParameterStore(self.clock, self.bus, DURATIONS, self.ec2, **where)
        return [
            *ec2_operations(self.ec2, store),
            AutoScaling(self.ec2, store),
            registry,
            commands,
            store,
            ResourceTags(store, commands),
            S3(self.clock, self.buckets),
        ]

    def _invoke(self, function: str, payload: str, *, caller: str, asynchronous: bool) -> Future[Invocation]:
        request = json.loads(payload)
        self.tokens[request["execution"]] = request["token"]
        answer: Future[Invocation] = Future()
        answer.set_result(Invocation("null", None, str(uuid.uuid4())))
        return answer


def _manifest(content: str) -> str:
    """The least that ECR takes as an image: a manifest names a configuration and its layers."""
    image_type = "application/vnd.oci.image"
    digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{image_type}.manifest.v1+json",
            "config": {"mediaType": f"{image_type}.config.v1+json", "digest": digest, "size": 2},
            "layers": [],
        }
    )
