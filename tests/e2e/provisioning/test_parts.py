"""What stands around the machines, without a machine: these tests need no root and no packages."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.e2e.provisioning.bed import BUILD, PROVISION, VERIFY

from ami_lifecycle_testbed.machines.builders import ContainerBuilders
from ami_lifecycle_testbed.provisioner import CommandResult, PendingResult
from aws_emulator.machines.ecr_endpoint import EcrAuthority
from aws_emulator.machines.errors import MissingRequirementsError
from aws_emulator.machines.guest_agent import Command
from aws_emulator.machines.instance_metadata import Identity, MetadataService, RoleCredentials

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


@contextmanager
def metadata(identity: Identity) -> Iterator[http.client.HTTPConnection]:
    """The metadata service of an instance, and a connection to it."""
    service = MetadataService(socket.create_server(("127.0.0.1", 0)), identity)
    connection = http.client.HTTPConnection("127.0.0.1", service.server_address[1], timeout=5)
    try:
        yield connection
    finally:
        connection.close()
        service.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, **headers: str) -> tuple[int, str]:
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_metadata_is_found_by_listing_it() -> None:
    with metadata(Identity("i-1", public_key="ssh-ed25519 AAAA me")) as connection:
        assert "public-keys/" in ask(connection, "GET", "/latest/meta-data/")[1].splitlines()
        assert ask(connection, "GET", "/latest/meta-data/public-keys/") == (200, "0=operator")
        assert ask(connection, "GET", "/latest/meta-data/public-keys/0/openssh-key") == (
            200,
            "ssh-ed25519 AAAA me",
        )
        assert ask(connection, "GET", "/latest/meta-data/nothing")[0] == 404
        assert ask(connection, "GET", "/latest/user-data")[0] == 404


def test_metadata_takes_its_own_tokens_only() -> None:
    with metadata(Identity("i-1")) as connection:
        connection.request("PUT", "/latest/api/token", headers={TTL: "60"})
        token = connection.getresponse().read().decode()
        for value, status in ((token, 200), ("forged", 401)):
            connection.request("GET", "/latest/meta-data/instance-id", headers={TOKEN: value})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status


def test_an_instance_without_a_profile_has_no_credentials() -> None:
    with metadata(Identity("i-1", credentials=None)) as connection:
        assert ask(connection, "GET", "/latest/meta-data/iam/security-credentials/")[0] == 404


def test_ecr_signs_in_whoever_holds_credentials_that_it_knows() -> None:
    authority, holder, stranger = EcrAuthority(), RoleCredentials(), RoleCredentials()
    authority.admit(holder)

    def sign_in(key: RoleCredentials, session_token: str) -> str | None:
        return authority.sign_in(f"AWS4-HMAC-SHA256 Credential={key.access_key_id}/2026", session_token)

    token = sign_in(holder, holder.session_token)
    assert token is not None
    assert authority.is_valid(token)
    assert sign_in(holder, "forged") is None
    assert sign_in(stranger, stranger.session_token) is None
    authority.expire_all()
    assert authority.is_known(token)
    assert not authority.is_valid(token)


def test_parameters_reach_a_script_as_variables_with_their_defaults() -> None:
    environment = PROVISION.environment(BUILD | {"ImageDigest": "sha256:" + "0" * 64, "Mode": "fresh"})
    assert environment["SSM_Mode"] == "fresh"
    assert environment["SSM_GpuEnabled"] == "false"
    with pytest.raises(ValueError, match="Mode is missing"):
        PROVISION.environment(BUILD | {"ImageDigest": "sha256:" + "0" * 64})
    with pytest.raises(ValueError, match="no parameter Extra"):
        VERIFY.environment({"Extra": "1"})


@pytest.fixture
def agent_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("aws_emulator.machines.guest_agent.STATE", tmp_path)
    return tmp_path


def run(script: str, **asked: object) -> dict[str, object]:
    base = {"command_id": "c-1", "step": "s", "script": script, "environment": {}, "timeout_seconds": 10}
    return Command("i-1", base | asked).run()


def test_the_agent_runs_a_script_with_its_variables_and_keeps_it_in_its_directory(agent_state: Path) -> None:
    script = '#!/usr/bin/env bash\necho "$SSM_Name"; echo no >&2; exit 3\n'
    done = run(script, environment={"SSM_Name": "a b"})
    assert done == {"exit_code": 3, "stdout": "a b\n", "stderr": "no\n"}
    assert (agent_state / "i-1/document/orchestration/c-1/s/0.s/_script.sh").read_text() == script


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_the_agent_kills_the_process_group_of_a_step_that_takes_too_long(agent_state: Path) -> None:
    done = run("#!/bin/sh\nsleep 60 & echo $!; wait\n", timeout_seconds=0.5)
    assert done["exit_code"] == 137
    left = int(str(done["stdout"]))
    # The kernel ends a killed process a moment after the call that kills it.
    limit = time.monotonic() + 30
    while is_running(left):
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_a_pending_result_is_given_once_whether_it_comes_before_or_after_the_question() -> None:
    early, late = PendingResult(), PendingResult()
    heard: list[CommandResult] = []
    result = CommandResult(0.0, 0, "", "")
    early.complete(result)
    for pending in (early, late):
        pending.when_complete(heard.append)
    late.complete(result)
    assert heard == [result, result]


def test_a_host_that_cannot_run_machines_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ami_lifecycle_testbed.machines.builders.missing_requirements", lambda: ["root is needed"]
    )
    with ExitStack() as cleanup, pytest.raises(MissingRequirementsError, match="root is needed"):
        ContainerBuilders(cleanup, "123456789012", "us-east-1")
