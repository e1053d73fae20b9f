#!/usr/bin/env python3
"""The agent on a machine: runs the step of a command as the SSM agent does. Copied onto the machine as it is.

Like the agent it registers under its instance's id, keeps scripts, parameters and outputs of commands in
its directory, passes parameters as `SSM_*`, kills the process group of a step that takes too long, and
writes to its state and its log until its last moment. Unlike the agent it takes commands from a socket.
Source of the layout: Systems Manager User Guide, "SSM Agent technical reference", and the agent's code.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

SOCKET: Final = Path("/run/amazon-ssm-agent.sock")
STATE: Final = Path("/var/lib/amazon/ssm")
LOG: Final = Path("/var/log/amazon/ssm/amazon-ssm-agent.log")
METADATA: Final = "169.254.169.254"
KILLED: Final = 137
CANNOT_RUN: Final = 127


def log(line: str) -> None:
    """Add a line to the agent's log."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("a", encoding="utf-8") as stream:
        stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} INFO {line}\n")


def instance_id() -> str:
    """The id of this instance, from the metadata service (EC2 User Guide, "Use IMDSv2")."""
    token = metadata("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    return metadata("GET", "/latest/meta-data/instance-id", {"X-aws-ec2-metadata-token": token})


def metadata(method: str, path: str, headers: dict[str, str]) -> str:
    """Ask the metadata service."""
    connection = http.client.HTTPConnection(METADATA, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def register(instance: str) -> None:
    """Write what the agent keeps about itself."""
    for path, text in {
        "Vault/Store/RegistrationKey": f"private key of {instance}\n",
        "Vault/Manifest": json.dumps({"RegistrationKey": str(STATE / "Vault/Store/RegistrationKey")}),
        "registration": json.dumps({"ManagedInstanceID": instance, "Region": "us-east-1"}),
        "runtimeconfig/identity_config.json": json.dumps({"ShortInstanceId": instance}),
        f"{instance}/inventory/instance": instance,
    }.items():
        target = STATE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(0o600)


class Command:
    """One command: its directory, its process, and its end."""

    def __init__(self, instance: str, asked: dict[str, Any]) -> None:
        self.asked = asked
        step = asked["step"]
        document = STATE / instance / "document"
        self.directory = document / "orchestration" / asked["command_id"] / step / f"0.{step}"
        self.directory.mkdir(parents=True, exist_ok=True)
        state = document / "state" / "completed" / asked["command_id"]
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text(json.dumps(asked["environment"]), encoding="utf-8")
        self.script = self.directory / "_script.sh"
        self.script.write_text(asked["script"], encoding="utf-8")
        self.script.chmod(0o700)

    def run(self) -> dict[str, Any]:
        """Run the script to its end; return its exit code and outputs."""
        environment = {**os.environ, **self.asked["environment"]}
        outputs = [self.directory / "stdout", self.directory / "stderr"]
        with outputs[0].open("wb") as stdout, outputs[1].open("wb") as stderr:
            try:
                process = subprocess.Popen(  # noqa: S603 - running what it is told is what an agent is for
                    ["/bin/sh", "-c", str(self.script)],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=environment,
                    process_group=0,
                )
            except OSError as error:
                return {"exit_code": CANNOT_RUN, "stdout": "", "stderr": str(error)}
            code = self._wait(process)
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in outputs]
        return {"exit_code": code, "stdout": texts[0], "stderr": texts[1]}

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        try:
            code = process.wait(self.asked["timeout_seconds"])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return KILLED
        return code if code >= 0 else 128 - code


def answer(connection: socket.socket, instance: str) -> None:
    """Answer the one question of a connection."""
    with connection, connection.makefile("rwb") as stream:
        asked = json.loads(stream.readline())
        if "ping" in asked:
            reply: dict[str, Any] = {"pong": instance}
        else:
            log(f"{instance} runs command {asked['command_id']}")
            reply = Command(instance, asked).run()
            log(f"{instance} ended command {asked['command_id']} with {reply['exit_code']}")
        try:
            stream.write(json.dumps(reply).encode() + b"\n")
            stream.flush()
        except OSError:
            log("whoever asked has hung up")


def main() -> None:
    """Register, then answer until told to stop."""
    while True:
        try:
            instance = instance_id()
            break
        except OSError:
            time.sleep(0.5)
    # The agent starts a new registration on an instance that its state does not name.
    registration = STATE / "registration"
    if not registration.exists() or instance not in registration.read_text(encoding="utf-8"):
        shutil.rmtree(STATE / "Vault", ignore_errors=True)
    register(instance)

    def stop(_number: int, _frame: FrameType | None) -> None:
        time.sleep(1)
        register(instance)
        log(f"{instance} stops")
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    SOCKET.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(SOCKET))
    SOCKET.chmod(0o600)
    listener.listen(16)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, instance), daemon=True).start()


if __name__ == "__main__":
    main()
