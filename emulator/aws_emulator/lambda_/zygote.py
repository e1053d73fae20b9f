"""The process that all function processes are forked from.

It has loaded what every function loads (boto3 with its service models, pydantic, Powertools), so that
a cold start costs milliseconds of CPU time rather than a second. It runs as a script of its own and
imports nothing of this project: a function must find the project's code in its layers, as in Lambda.

Protocol, over the Unix socket whose number is the first argument: requests are datagrams of JSON,
`{"start": id, "environment": {...}, "path": [...], "directory": ..., "handler": ...}` with the file
descriptor for the output attached, or `{"kill": id, "signal": number}`
(SIGKILL if none is given). Answers are `{"exited": id, "status": "..."}`.
When the other end closes, all function processes and the zygote end.
"""

import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import sysconfig
import time
import traceback
from typing import Any

MODULES = (
    "aws_lambda_powertools",
    "aws_lambda_powertools.logging",
    "aws_lambda_powertools.metrics",
    "boto3",
    "boto3.session",
    "botocore.auth",
    "concurrent.futures",
    "http.client",
    "pydantic",
    "simplejson",
    "typing_extensions",
    "yaml",
)
SERVICES = ("ec2", "ssm", "dynamodb", "stepfunctions", "ecr", "sns", "sqs", "autoscaling", "cloudwatch")
MESSAGE_BYTES = 1 << 20
PR_SET_PDEATHSIG = 1


def preload() -> None:
    """Import third-party modules and keep botocore's parsed models for the processes to come."""
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import boto3  # noqa: PLC0415 - only the zygote's process shall load it
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.loaders import JSONFileLoader  # noqa: PLC0415

    JSONFileLoader.load_file = functools.cache(JSONFileLoader.load_file)
    # Two caches answer for every loader: the loader is part of the key.
    shared = JSONFileLoader()
    load = JSONFileLoader.load_file
    JSONFileLoader.load_file = lambda _self, path: load(shared, path)
    session = boto3.session.Session(region_name="us-east-1")
    for service in SERVICES:
        session.client(service, config=Config(signature_version=UNSIGNED))
    gc.collect()
    gc.freeze()


def serve(channel: socket.socket) -> None:
    """Start and end function processes until the other end closes."""
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, str] = {}
    while True:
        ends: list[socket.socket | int] = [channel, wake_reader]
        readable, _, _ = select.select(ends, [], [])
        if wake_reader in readable:
            os.read(wake_reader, 4096)
            report_ended(channel, children)
        if channel in readable and not handle(channel, children):
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            return


def handle(channel: socket.socket, children: dict[int, str]) -> bool:
    """Serve one request; False when the other end has closed."""
    data, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 1)
    if not data:
        return False
    request = json.loads(data)
    if "kill" in request:
        for pid, worker in children.items():
            if worker == request["kill"]:
                os.kill(pid, request.get("signal", signal.SIGKILL))
        return True
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        run(request, descriptors[0], channel, parent)
    os.close(descriptors[0])
    children[pid] = request["start"]
    return True


def report_ended(channel: socket.socket, children: dict[int, str]) -> None:
    """Reap ended processes and say how they ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        text = f"exit status {code}" if code >= 0 else f"signal: {signal.Signals(-code).name}"
        with contextlib.suppress(OSError):
            channel.send(json.dumps({"exited": children.pop(pid), "status": text}).encode())


def run(request: dict[str, Any], output: int, channel: socket.socket, parent: int) -> None:
    """Become a function process; never returns."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        channel.close()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        prepare(request)
        from awslambdaric.__main__ import main  # noqa: PLC0415 - it reads the environment when imported

        main(["awslambdaric", request["handler"]])
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:  # noqa: BLE001 - a forked process must not return into the zygote's loop
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def prepare(request: dict[str, Any]) -> None:
    """Give the process the environment, directory and import path of its function."""
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["directory"])
    # What an editable installation adds is neither the interpreter's nor a layer's.
    installed = set(sysconfig.get_paths().values()) | {sysconfig.get_config_var("DESTSHARED")}
    sys.path[:] = request["path"] + [entry for entry in sys.path if entry in installed]
    sys.meta_path[:] = [
        finder for finder in sys.meta_path if not getattr(finder, "__module__", "").startswith("__editable__")
    ]
    sys.path_importer_cache.clear()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as end:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        preload()
        serve(end)
