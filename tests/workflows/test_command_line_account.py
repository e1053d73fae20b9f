"""The account of `ami-lifecycle emulator start`, used as a stranger uses it: a port, boto3, no imports of ours."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from tests.json_contract import METADATA_KEYS, check_document
from tests.workflows.configuration import DURATIONS, PROJECT, write_configuration
from tests.workflows.service import Service, failures
from tests.workflows.test_publication import values_of_latest

COMMAND = Path(sys.executable).with_name("ami-lifecycle")
PATIENCE_SECONDS = 60
# What the fleet's applications have today.
CONSUMER = '''
import boto3
import json

def get_latest_ami_id(environment='prod', region='us-east-1'):
    """Get the latest ComfyUI AMI ID for an environment."""
    ssm = boto3.client('ssm', region_name=region)

    try:
        response = ssm.get_parameter(Name=f'/comfyui/ami/{environment}/latest')
        return response['Parameter']['Value']
    except ssm.exceptions.ParameterNotFound:
        raise ValueError(f"No AMI found for environment: {environment}")

def get_latest_ami_metadata(environment='prod', region='us-east-1'):
    """Get the latest ComfyUI AMI metadata for an environment."""
    ssm = boto3.client('ssm', region_name=region)

    try:
        response = ssm.get_parameter(Name=f'/comfyui/ami/{environment}/metadata')
        return json.loads(response['Parameter']['Value'])
    except ssm.exceptions.ParameterNotFound:
        raise ValueError(f"No AMI metadata found for environment: {environment}")

# Usage
ami_id = get_latest_ami_id('prod')
metadata = get_latest_ami_metadata('prod')

print(f"Latest AMI: {ami_id}")
print(f"Docker Image: {metadata['docker_image']}")
print(f"Created: {metadata['creation_date']}")
'''


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Started:
    """`ami-lifecycle emulator start` in a process of its own."""

    def __init__(self, *options: str) -> None:
        command = [str(COMMAND), "emulator", "start", *options]
        self.process = subprocess.Popen(  # noqa: S603 - the product's own command
            command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        readable = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)[0]
        line = self.process.stdout.readline() if readable else ""
        if not line:
            self.process.kill()
            raise AssertionError(f"the emulator is not ready: {self.process.communicate()[1]}")
        self.ready: dict[str, Any] = json.loads(line)
        self.service = Service(self.ready["endpoint_url"], self.ready["state_machine_arn"])
        self.service.stop_schedule()

    def stop(self) -> None:
        self.service.close()
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_SECONDS)


class Proxy(ThreadingHTTPServer):
    """Passes requests on, and counts them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.target = ""
        self.requests = 0
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy

    def do_POST(self) -> None:
        self.server.requests += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {key: value for key, value in self.headers.items() if key.lower() != "host"}
        request = Request(f"{self.server.target}{self.path}", body, headers, method="POST")  # noqa: S310 - on this machine
        try:
            with urlopen(request, timeout=30) as answer:  # noqa: S310
                status, content, kept = answer.status, answer.read(), dict(answer.headers)
        except OSError as error:
            status, content, kept = getattr(error, "code", 502), getattr(error, "fp", None), {}
            kept = dict(getattr(error, "headers", None) or {})
            content = content.read() if content is not None else b""
        self.send_response(status)
        for name in ("Content-Type", "x-amzn-ErrorType", "x-amzn-RequestId"):
            if name in kept:
                self.send_header(name, kept[name])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output quiet."""


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def account(port: int) -> Iterator[Started]:
    """The shipped configuration and the usual durations, two hundred times as fast."""
    started = Started("--port", str(port), "--time-scale", "0.005", "--seed", "7")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def published(account: Started) -> Started:
    """The account after a push to prod has been built."""
    account.service.environment("prod").must_build("first")
    return account


def test_the_ready_line_says_what_a_client_needs(account: Started, port: int) -> None:
    check_document("emulator start", account.ready)
    assert account.ready["endpoint_url"] == f"http://127.0.0.1:{port}"
    assert account.ready["region"] == "us-east-1"
    assert account.ready["environments"] == ["dev", "staging", "prod"]
    assert f":{account.ready['account_id']}:" in account.ready["state_machine_arn"]


@pytest.mark.slow
def test_a_push_is_published(published: Started) -> None:
    prod = published.service.environment("prod")
    prod.has_one_image()
    images = published.service.client("ec2").describe_images(Owners=["self"])["Images"]
    assert [image["Name"] for image in images] == ["comfyui-multitenant-prod"]


@pytest.mark.slow
def test_a_push_event_alone_starts_a_build(published: Started) -> None:
    service = published.service
    dev = service.environment("dev")
    service.set_rules("ImagePushedRule", enabled=False)
    digest = dev.push("by event")
    # The event is on its way for a moment, and must meet the disabled rule.
    threading.Event().wait(0.2)
    service.set_rules("ImagePushedRule", enabled=True)
    assert dev.executions() == []
    dev.announce(digest)
    assert not failures([dev.wait_for_execution()])
    dev.has_one_image()


@pytest.mark.slow
def test_consumers_read_the_new_image_without_a_change(published: Started) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": published.ready["endpoint_url"],
        "AWS_ACCESS_KEY_ID": "consumer",
        "AWS_SECRET_ACCESS_KEY": "consumer",
    }
    done = subprocess.run(  # noqa: S603 - this interpreter and the text above
        [sys.executable, "-c", CONSUMER], env=environment, capture_output=True, text=True, check=True
    )
    prod = published.service.environment("prod")
    latest, metadata = prod.latest(), prod.metadata()
    assert done.stdout.splitlines() == [
        f"Latest AMI: {latest}",
        f"Docker Image: {metadata['docker_image']}",
        f"Created: {metadata['creation_date']}",
    ]
    assert metadata.keys() >= METADATA_KEYS
    assert set(prod.history()) == set(values_of_latest(prod))


@pytest.mark.slow
def test_another_configuration_other_durations_and_a_proxy_for_the_functions(tmp_path: Path) -> None:
    durations = tmp_path / "durations.json"
    durations.write_text(json.dumps({"provision": DURATIONS.provision, "image": 8, "agent_online": 4}))
    directory = write_configuration(tmp_path / "config", ["blue", "green"])
    proxy = Proxy()
    port = free_port()
    proxy.target = f"http://127.0.0.1:{port}"
    started = Started(
        "--port",
        str(port),
        "--time-scale",
        "0.01",
        "--config-dir",
        str(directory),
        "--durations",
        str(durations),
        "--function-endpoint-url",
        proxy.url,
    )
    try:
        assert started.ready["environments"] == ["blue", "green"]
        green = started.service.environment("green")
        green.must_build("one")
        green.has_one_image()
        assert proxy.requests > 50, "the functions have called through the proxy"
    finally:
        started.stop()
        proxy.close()
