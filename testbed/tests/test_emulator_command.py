"""`ami-lifecycle emulator start` as a process of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

PROJECT = Path(__file__).parents[2] / "emulator/tests/integration/fixtures/project"
Start = Callable[..., "tuple[subprocess.Popen[str], dict[str, Any]]"]


def command(*options: str) -> list[str]:
    code = "from ami_lifecycle_cli.main import main; main()"
    return [sys.executable, "-c", code, "emulator", "start", *options]


def ready_line(process: subprocess.Popen[str], seconds: float = 180) -> dict[str, Any]:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], seconds)[0], "the emulator did not become ready"
    return json.loads(process.stdout.readline())


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def begin(*options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and the product's own command
            command(*options), cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process, ready_line(process)

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def descendants(pid: int) -> set[int]:
    """Living processes below one, by the kernel's table of processes."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(entry.name)] = int(parent)
    found, todo = set[int](), {pid}
    while todo:
        todo = {child for child, parent in parents.items() if parent in todo}
        found |= todo
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that run; a zombie does not."""
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z":
            running.add(pid)
    return running


def wait_until_dead(pids: set[int]) -> None:
    limit = time.monotonic() + 10
    while alive(pids):
        assert time.monotonic() < limit, f"{alive(pids)} still run"
        time.sleep(0.05)


def invoke(ready: dict[str, Any]) -> Any:
    client = boto3.client(
        "lambda",
        endpoint_url=ready["endpoint_url"],
        region_name=ready["region"],
        aws_access_key_id="tests",
        aws_secret_access_key="tests",
    )
    name = next(
        row["FunctionName"] for row in client.list_functions()["Functions"] if "Worker" in row["FunctionName"]
    )
    response = client.invoke(FunctionName=name, Payload=b'{"mode": "environment"}')
    payload = json.loads(response["Payload"].read())
    assert "FunctionError" not in response, payload
    return payload


def test_one_json_line_says_that_it_is_ready_and_sigterm_ends_everything(start: Start) -> None:
    process, ready = start("--port", "0", "--time-scale", "0.01")
    assert set(ready) == {
        "schema_version",
        "endpoint_url",
        "region",
        "account_id",
        "state_machine_arn",
        "stack_name",
        "environments",
    }
    assert ready["region"] == "us-east-1"
    assert ready["account_id"] == "123456789012"
    assert ready["stack_name"] == "ami-lifecycle"
    assert ready["state_machine_arn"].endswith(":stateMachine:ami-lifecycle-machine")
    assert ready["environments"] == ["dev", "prod"]
    assert invoke(ready)["stage"] == "test"
    children = descendants(process.pid)
    assert len(children) >= 2
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, "")
    assert "Traceback" not in errors
    wait_until_dead(children)


def test_no_process_outlives_an_emulator_that_is_killed(start: Start) -> None:
    process, ready = start("--port", "0")
    invoke(ready)
    children = descendants(process.pid)
    assert len(children) >= 2
    os.kill(process.pid, signal.SIGKILL)
    wait_until_dead(children)


def test_two_emulators_run_at_once_and_take_other_configurations_and_proxies(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "build_config.yml").write_text("environments: {one: {}}\n")
    (tmp_path / "settings.yml").write_text("colour: blue\n")
    durations = tmp_path / "durations.json"
    durations.write_text('{"image": 7}')
    proxy = "http://127.0.0.1:9"
    (first, plain), (second, other) = (
        start("--port", "0"),
        start(
            *["--port", "0", "--seed", "4", "--function-endpoint-url"],
            proxy,
            "--config-dir",
            str(tmp_path),
            "--durations",
            str(durations),
        ),
    )
    assert plain["endpoint_url"] != other["endpoint_url"]
    assert other["environments"] == ["one"]
    seen, seen_by_other = invoke(plain), invoke(other)
    assert (seen["settings"], seen_by_other["settings"]) == ("colour: green\n", "colour: blue\n")
    assert (seen["endpoint"], seen_by_other["endpoint"]) == (plain["endpoint_url"], proxy)
    for process in (first, second):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


def run_to_its_end(*options: str, directory: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this interpreter and the product's own command
        command(*options), cwd=directory, capture_output=True, text=True, timeout=180, check=False
    )


def test_a_port_in_use_is_an_error_that_names_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run_to_its_end("--port", str(port))
    assert (result.returncode, result.stdout) == (1, "")
    assert f"port {port} is in use" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--time-scale", "0"], "time scale"),
        (["--durations", "{directory}/durations.json"], "unknown duration"),
    ],
)
def test_wrong_options_are_explained(tmp_path: Path, options: list[str], message: str) -> None:
    (tmp_path / "durations.json").write_text('{"colour": 1}')
    result = run_to_its_end("--port", "0", *(option.format(directory=tmp_path) for option in options))
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_template_that_cannot_be_deployed_is_explained(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(
        "Transform: AWS::Serverless-2016-10-31\nResources: {Database: {Type: 'AWS::RDS::DBInstance'}}\n"
    )
    result = run_to_its_end("--port", "0", directory=tmp_path)
    assert result.returncode == 1
    assert "Database (AWS::RDS::DBInstance)" in result.stderr
    assert "Traceback" not in result.stderr


def test_functions_output_goes_to_stderr_at_debug_level_and_is_served(
    start: Start, eventually: Callable[..., Any]
) -> None:
    process, ready = start("--port", "0", "--log-level", "debug")
    invoke(ready)
    url = f"{ready['endpoint_url']}/_emulator/logs"

    def lines() -> list[str]:
        return requests.get(url, params={"function": "WorkerFunction"}, timeout=10).json()["lines"]

    assert eventually(lines) == ["hello from the layer environment"]
    unknown = requests.get(url, timeout=10)
    assert (unknown.status_code, "WorkerFunction" in unknown.json()["functions"]) == (404, True)
    process.send_signal(signal.SIGTERM)
    assert "WorkerFunction: hello from the layer environment" in process.communicate(timeout=20)[1]


SEQUENCE = """
import json, os, pathlib, sys, threading
from aws_emulator.server import Emulator

def children():
    stats = [path.read_text().rsplit(")", 1)[1].split() for path in pathlib.Path("/proc").glob("[0-9]*/stat")]
    return sum(int(stat[1]) == os.getpid() for stat in stats)

for turn in range(2):
    with Emulator(sys.argv[1], time_scale=0.01) as emulator:
        function = next(each for each in emulator.functions.functions() if each.logical_id == "WorkerFunction")
        outcome = emulator.runtime.invoke(function, '{"mode": "write", "key": "once"}').result()
        tables = len(emulator.api.call("client", "dynamodb", "ListTables", {})["TableNames"])
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    print(json.dumps([outcome.failed, tables, threads, children()]))
"""


def test_an_emulator_leaves_no_thread_process_or_state_behind() -> None:
    result = subprocess.run(  # noqa: S603 - this interpreter and the script above
        [sys.executable, "-c", SEQUENCE, str(PROJECT)],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    turns = [json.loads(line) for line in result.stdout.splitlines()]
    assert turns == [[False, 1, [], 0]] * 2
