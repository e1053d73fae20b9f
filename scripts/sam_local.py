"""Run the functions as built, in containers of `sam local`: `make sam-local`.

1. Every function is invoked from its file in `events/`, by the emulator in a process and by `sam local` in a
   container, each in a fresh emulated account, and the results must be equal.
2. One build goes from a push to a published image, with every function in a container behind the emulator's
   state machine.

Needs the built layers (`sam build`) and a Docker-compatible engine at DOCKER_HOST or at Docker's usual place.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import boto3
import yaml

from ami_lifecycle_cli.demo.docker_push import push_image
from ami_lifecycle_testbed.emulator import Emulator
from aws_emulator.lambda_.containers import Containers
from aws_emulator.lambda_.functions import Function

PROJECT: Final = Path(__file__).resolve().parents[1]
BUILT: Final = PROJECT / ".aws-sam" / "local"
TEMPLATE: Final = "with-endpoint.yaml"
VARIABLES: Final = "variables.json"
# Made for each process, so equal only in kind: ids, digests, dates, names of resources.
_VARYING: Final = (
    (re.compile(r"\b(ami|i|snap|subnet|sg|vpc|vol|r)-[0-9a-f]{8,17}\b"), r"\1-"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)"), "<date>"),
    (re.compile(r"-[0-9A-F]{12}\b"), "-<suffix>"),
)
# An emulated second takes this long: containers answer in real time, so the account must not run ahead.
_TIME_SCALE: Final = 0.1
_BUILD_SECONDS: Final = 600
_BY_HAND: Final = "sam local invoke"


class LocalError(RuntimeError):
    """Something is missing, or a result is not as it must be; the message says what."""


class Bridge:
    """Lets containers reach the emulator, which listens on 127.0.0.1 only.

    It listens on the address that this machine has in the containers' network, and on no other, so nothing
    outside this machine can reach it.
    """

    def __init__(self, address: str, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The network exists only from the first container on.
        self._listener.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
        self._listener.bind((address, 0))
        self._listener.listen(64)
        self.url = f"http://{address}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                onward = socket.create_connection(self._target)
                for source, sink in ((connection, onward), (onward, connection)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def gateway_address() -> str:
    """The address of this machine in the containers' default network.

    Raises:
        LocalError: no engine answers.
    """
    command = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    for network in ("bridge", "podman"):
        command[3] = network
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.strip()
    raise LocalError(
        f"no Docker-compatible engine answers ({found.stderr.strip()}); start one, or on Debian with root: "
        "scripts/container_engine.sh start, and export DOCKER_HOST as it says"
    )


class Sam:
    """`sam local` on the built template, with variables that lead to one emulated account."""

    def __init__(self, executable: str, emulator: Emulator, endpoint_url: str, architecture: str) -> None:
        self._executable = executable
        network = emulator.stack.parameters
        self._options = [
            *("--template", str(BUILT / TEMPLATE), "--env-vars", str(BUILT / VARIABLES)),
            *("--skip-pull-image", "--region", emulator.region, "--parameter-overrides"),
            f"Architecture={architecture}",
            f"VpcId={network['VpcId']}",
            f"SubnetIds={','.join(network['SubnetIds'])}",
        ]
        variables = {
            each.logical_id: variables_of(each, endpoint_url) for each in emulator.functions.functions()
        }
        (BUILT / VARIABLES).write_text(json.dumps(variables))
        write_template(variables)

    def invoke(self, logical_id: str, event: Path) -> Any:
        """`sam local invoke`: the function's answer, or its error."""
        command = [self._executable, "local", "invoke", logical_id, "--event", str(event), *self._options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())  # noqa: S603
        lines = done.stdout.strip().splitlines()
        if not lines:
            raise LocalError(f"sam local invoke {logical_id} said nothing:\n{done.stderr[-3000:]}")
        return json.loads(lines[-1])

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """`sam local start-lambda`, as long as the context lasts; its address."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [self._executable, "local", "start-lambda", "--port", str(port)]
        command += ["--warm-containers", "LAZY", *self._options]
        with (BUILT / "start-lambda.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment())  # noqa: S603
            try:
                _wait_for_port(port, process)
                yield f"http://127.0.0.1:{port}"
            finally:
                # It removes its containers when it is interrupted.
                process.send_signal(signal.SIGINT)
                process.wait(timeout=60)


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise LocalError(f"sam local start-lambda ended; look at {BUILT / 'start-lambda.log'}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise LocalError("sam local start-lambda does not listen")


def variables_of(function: Function, endpoint_url: str) -> dict[str, str]:
    """What the function's environment holds in the emulator, as far as `sam local` does not set it itself."""
    return {
        **function.environment,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": function.access_key_id,
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_SESSION_TOKEN": "emulated",
    }


def write_template(variables: dict[str, dict[str, str]]) -> None:
    """Write a copy of the built template that declares every variable: `sam` sets none that is not declared."""
    template = yaml.safe_load(_plain_tags((BUILT / "template.yaml").read_text()))
    for logical_id, values in variables.items():
        declared = template["Resources"][logical_id]["Properties"].setdefault("Environment", {})
        declared["Variables"] = dict.fromkeys([*declared.get("Variables", {}), *values], "declared")
    (BUILT / TEMPLATE).write_text(yaml.safe_dump(template, sort_keys=False))


def _plain_tags(text: str) -> str:
    """`sam build` writes intrinsic functions in their long form, apart from none; tags would be refused."""
    if re.search(r":\s!\w", text):
        raise LocalError("the built template holds short tags; `sam build` writes long ones")
    return text


def normal(value: Any) -> Any:
    """A result without what differs from one account to the next."""
    text = json.dumps(value, sort_keys=True)
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return _without_traces(json.loads(text))


def _without_traces(value: Any) -> Any:
    """Tracebacks name paths, and the runtimes give errors different sets of further members."""
    if isinstance(value, dict) and "errorType" in value:
        return {"errorType": value["errorType"], "errorMessage": value["errorMessage"]}
    return value


def events() -> dict[str, Path]:
    """The event file of each function, by its directory's name."""
    names = [each.parent.name for each in PROJECT.glob("functions/*/app.py")]
    return {name: PROJECT / "events" / f"{name}.json" for name in names}


def compare(sam_executable: str, address: str, architecture: str) -> None:
    """Invoke every function both ways; raises LocalError when results differ."""
    expected: dict[str, Any] = {}
    with Emulator(PROJECT, time_scale=_TIME_SCALE, seed=1) as emulator:
        for function in emulator.functions.functions():
            payload = events()[function.task_root.name].read_text()
            expected[function.logical_id] = json.loads(
                emulator.runtime.invoke(function, payload).result().payload
            )
    found: dict[str, Any] = {}
    with (
        Emulator(PROJECT, time_scale=_TIME_SCALE, seed=1) as emulator,
        bridge(address, emulator) as endpoint_url,
    ):
        sam = Sam(sam_executable, emulator, endpoint_url, architecture)
        with sam.serve() as lambda_url, contextlib.closing(Containers(lambda_url)) as containers:
            for function in emulator.functions.functions():
                payload = events()[function.task_root.name].read_text()
                answer = json.loads(containers.invoke(function, payload).result().payload)
                found[function.logical_id] = answer
                print(f"  {function.logical_id:28} {_kind_of(answer)}", flush=True)
        # Once more as a person does it, with a function that changes nothing.
        found[_BY_HAND] = sam.invoke("PlanBuildFunction", events()["plan_build"])
    _require_equal({**expected, _BY_HAND: expected["PlanBuildFunction"]}, found)


def _kind_of(result: Any) -> str:
    return str(result["errorType"]) if isinstance(result, dict) and "errorType" in result else "a result"


def _require_equal(expected: dict[str, Any], found: dict[str, Any]) -> None:
    different = [
        f"{name}:\n  process    {expected[name]}\n  container  {found[name]}"
        for name in expected
        if normal(found[name]) != normal(expected[name])
    ]
    if different:
        raise LocalError("results differ between process and container:\n" + "\n".join(different))


@contextlib.contextmanager
def bridge(address: str, emulator: Emulator) -> Iterator[str]:
    """The emulator's address for containers."""
    opened = Bridge(address, int(emulator.endpoint_url.rpartition(":")[2]))
    try:
        yield opened.url
    finally:
        opened.close()


def build_once(sam_executable: str, address: str, architecture: str) -> None:
    """One build with all functions in containers; raises LocalError unless it publishes an image."""
    with (
        Emulator(PROJECT, time_scale=_TIME_SCALE, seed=1) as emulator,
        bridge(address, emulator) as endpoint_url,
        Sam(sam_executable, emulator, endpoint_url, architecture).serve() as lambda_url,
        contextlib.closing(Containers(lambda_url)) as containers,
    ):
        emulator.functions.run_in(containers)
        client = _clients(emulator)
        began = time.monotonic()
        push_image(client("ecr"), "comfyui", "prod-latest", revision="local", branch="main")
        execution = _wait_for_end(client("stepfunctions"), emulator.state_machine_arn)
        if execution["status"] != "SUCCEEDED":
            raise LocalError(
                f"the build is {execution['status']}: {execution.get('error')}: {execution.get('cause')}"
            )
        latest = client("ssm").get_parameter(Name="/comfyui/ami/prod/latest")["Parameter"]["Value"]
        images = client("ec2").describe_images(Owners=["self"])["Images"]
        if [(image["ImageId"], image["Name"]) for image in images] != [(latest, "comfyui-multitenant-prod")]:
            raise LocalError(f"latest is {latest}, and the account holds {images}")
        denied = [answer for answer in emulator.enforcement.answers() if not answer.allowed]
        if denied:
            raise LocalError(f"calls were denied: {denied}")
        print(f"  published {latest} in {time.monotonic() - began:.0f} s, all functions in containers")


def _clients(emulator: Emulator) -> Any:
    session = boto3.Session(
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - the emulator takes any
        region_name=emulator.region,
    )
    return lambda service: session.client(service, endpoint_url=emulator.endpoint_url)


def _wait_for_end(stepfunctions: Any, state_machine_arn: str) -> dict[str, Any]:
    end = time.monotonic() + _BUILD_SECONDS
    while time.monotonic() < end:
        for execution in stepfunctions.list_executions(stateMachineArn=state_machine_arn)["executions"]:
            if execution["status"] != "RUNNING":
                found: dict[str, Any] = stepfunctions.describe_execution(
                    executionArn=execution["executionArn"]
                )
                return found
        time.sleep(0.5)
    raise LocalError(f"the build does not end within {_BUILD_SECONDS} s")


def main() -> int:
    """Do both parts; the exit code tells whether all was as it must be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sam", default="sam", help="the SAM CLI")
    parser.add_argument("--architecture", default="x86_64", choices=["arm64", "x86_64"])
    parser.add_argument("--only", choices=["events", "build"], help="do one part")
    arguments = parser.parse_args()
    # A shell that starts this in the background has it ignored, and `sam` would inherit that and never stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        address = gateway_address()
        if arguments.only != "build":
            print("Every function from its event, in a process and in a container:")
            compare(arguments.sam, address, arguments.architecture)
        if arguments.only != "events":
            print("One build:")
            build_once(arguments.sam, address, arguments.architecture)
    except LocalError as error:
        print(f"sam-local: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
