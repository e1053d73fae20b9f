"""Secrets and instance variables on machines: in the container's process, and nowhere else."""

import json
import secrets
from collections.abc import Iterator

import pytest
from tests.e2e.provisioning.bed import Bed, Instance, encoded, raw_with
from tests.e2e.provisioning.conftest import Built, Images

from ami_lifecycle.domain.packing import packed
from ami_lifecycle.domain.start_programs import START_PROGRAMS

VALUES = {
    "secrets": {"TOKEN": "ssm:/app/token", "PASSWORD": "secretsmanager:app/db#password"},
    "instance_variables": {"SHARD": "tag:Shard|none", "ZONE": "imds:placement/availability-zone"},
}
GIVEN = {"ContainerValues": encoded(VALUES), "ContainerPrograms": packed(START_PROGRAMS)}
BUILDER = "#!/bin/sh\n# ami-lifecycle builder\n"


class Account:
    """What is stored, and what was asked for."""

    def __init__(self) -> None:
        self.token = f"planted-{secrets.token_hex(12)}"
        self.password = f"planted-{secrets.token_hex(12)}"
        self.asked: list[str] = []
        self.has_token = True

    @property
    def planted(self) -> dict[str, str]:
        return {"the token": self.token, "the password": self.password}

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self.asked.append(headers["X-Amz-Target"] if "X-Amz-Target" in headers else headers["X-amz-target"])
        if self.asked[-1].startswith("secretsmanager"):
            return 200, json.dumps({"SecretString": json.dumps({"password": self.password})}).encode()
        if not self.has_token:
            return 400, b'{"__type": "ParameterNotFound"}'
        return 200, json.dumps({"Parameter": {"Value": self.token}}).encode()


@pytest.fixture
def account(bed: Bed) -> Iterator[Account]:
    made = Account()
    bed.machines.api = made.answer
    yield made
    bed.machines.api = None


def variables(instance: Instance) -> dict[str, str]:
    """The variables of the container's first process."""
    text = instance.shell("""
pid=$(docker inspect --format "{""{.State.Pid}""}" comfyui)
tr '\\0' '\\n' </proc/$pid/environ
""")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def wait_until(instance: Instance, command: str) -> None:
    """Look again and again, for a minute at most."""
    instance.shell(f"timeout 60 bash -c 'until {command}; do sleep 1; done' >/dev/null")


def state(instance: Instance) -> set[str]:
    """What systemd says of the unit."""
    return set(instance.shell("systemctl show --property=Result,ActiveState comfyui").split())


def test_values_are_in_the_container_and_neither_in_docker_nor_on_a_disk(
    bed: Bed, fresh: Built, images: Images, account: Account
) -> None:
    digest = images.second.digest
    with bed.instance(fresh.disk, user_data=BUILDER) as builder:
        assert builder.provision(digest, **GIVEN).code == 0
        disk = bed.keep(builder.stop())
    # Nothing is fetched while an image is made.
    assert account.asked == []
    with bed.instance(disk, tags={"Shard": "7"}) as canary:
        assert canary.verify(digest).code == 0
        for _ in range(2):
            found = variables(canary)
            assert (found["TOKEN"], found["PASSWORD"]) == (account.token, account.password)
            assert (found["SHARD"], found["ZONE"]) == ("7", "us-east-1a")
            assert account.token not in canary.shell("docker inspect comfyui")
            # As an operator restarts it, and as systemd does.
            canary.shell("docker restart --time 1 comfyui; sleep 2; systemctl restart comfyui; sleep 2")
        # Instance metadata that come late: systemd starts the unit again until they are there.
        canary.shell("systemctl set-environment AMI_LIFECYCLE_METADATA=http://127.0.0.1:9")
        canary.shell("systemctl stop comfyui; systemctl start --no-block comfyui")
        wait_until(canary, "test $(systemctl show --property=NRestarts --value comfyui) -gt 0")
        canary.shell("systemctl unset-environment AMI_LIFECYCLE_METADATA")
        wait_until(canary, "systemctl is-active comfyui")
        used = bed.keep(canary.stop())
    assert raw_with(used, account.planted) == []
    # The next build starts from it, and starts no application that would fetch them.
    account.asked.clear()
    with bed.instance(disk, user_data=BUILDER) as builder:
        builder.shell("cloud-init status --wait")
        assert state(builder) == {"Result=exec-condition", "ActiveState=inactive"}
        assert builder.shell("docker ps --all --quiet") == ""
        assert builder.provision(images.first.digest, **GIVEN).code == 0
    assert account.asked == []


def test_a_secret_that_is_not_there_keeps_the_image_from_being_verified_and_is_named(
    bed: Bed, fresh: Built, images: Images, account: Account
) -> None:
    account.has_token = False
    with bed.instance(fresh.disk, user_data=BUILDER) as builder:
        assert builder.provision(images.second.digest, **GIVEN).code == 0
        disk = bed.keep(builder.stop())
    with bed.instance(disk) as canary:
        refused = canary.verify(images.second.digest)
        refused.failed(21)
        assert "no TOKEN for the container, because the parameter /app/token in us-east-1 does not exist" in (
            refused.stderr
        )
        # Somebody stores it: the unit starts by itself.
        account.has_token = True
        assert canary.verify(images.second.digest, HealthTimeoutSeconds="60").code == 0
