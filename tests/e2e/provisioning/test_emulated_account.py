"""A whole life in the emulated account, with real builds: what is pushed is what the published image runs."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from tests.e2e.provisioning.bed import Bed
from tests.e2e.provisioning.conftest import LABELS
from tests.e2e.provisioning.oci_images import OciImage, an_image, an_index, push

PROJECT = Path(__file__).resolve().parents[3]
DURATIONS = {
    "instance_running": 0.5,
    "agent_online": 2,
    "canary_online": 2,
    "stop": 1,
    "terminate": 1,
    "image": 2,
    "snapshot": 1,
}
LATEST = "/comfyui/ami/prod/latest"
BUILD_SECONDS = 300.0


@pytest.fixture
def account(bed: Bed, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """`emulator start --builder container`, and what it says when it is ready."""
    config = tmp_path / "config"
    shutil.copytree(PROJECT / "config", config)
    build = yaml.safe_load((config / "build_config.yml").read_text())
    build["defaults"]["builder"] |= {"agent_boot_seconds": 1, "root_volume_gib": 8, "minimum_free_gib": 1}
    build["defaults"]["container"]["ports"] = ["8188:8080"]
    build["defaults"]["verification"]["health_check"] = {"kind": "http", "port": 8188}
    build["defaults"]["publication"]["grace_period_seconds"] = 1
    (config / "build_config.yml").write_text(yaml.safe_dump(build))
    durations = tmp_path / "durations.json"
    durations.write_text(json.dumps(DURATIONS))
    command = [str(Path(sys.executable).with_name("ami-lifecycle")), "emulator", "start", "--port", "0"]
    command += ["--builder", "container", "--durations", str(durations), "--config-dir", str(config)]
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=stderr, cwd=PROJECT, env=os.environ
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (tmp_path / "stderr").read_text()
            yield json.loads(line)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            if process.stdout is not None:
                process.stdout.close()


def client(account: dict[str, Any], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=account["endpoint_url"],
        region_name=account["region"],
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="example",
    )


def docker_push(account: dict[str, Any], image: OciImage) -> None:
    """What `docker login` and `docker push` do."""
    (data,) = client(account, "ecr").get_authorization_token()["authorizationData"]
    password = base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]
    push(f"http://{account['registry']}", "comfyui", image, "prod-latest", password)


def eventually(read: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + BUILD_SECONDS
    while time.monotonic() < deadline:
        if (found := read()) is not None:
            return found
        time.sleep(0.5)
    raise AssertionError(f"not in {BUILD_SECONDS} seconds: {what}")


def published(account: dict[str, Any], digest: str) -> dict[str, Any]:
    """The metadata, when it and `latest` name an available image with a digest and no build goes on."""
    ssm, ec2, workflows = (client(account, each) for each in ("ssm", "ec2", "stepfunctions"))

    def read() -> dict[str, Any] | None:
        executions = workflows.list_executions(stateMachineArn=account["state_machine_arn"])["executions"]
        failed = [each for each in executions if each["status"] not in {"RUNNING", "SUCCEEDED"}]
        assert not failed, workflows.describe_execution(executionArn=failed[0]["executionArn"])
        names = [LATEST, "/comfyui/ami/prod/metadata"]
        found = {each["Name"]: each["Value"] for each in ssm.get_parameters(Names=names)["Parameters"]}
        metadata = json.loads(found.get(names[1], "{}"))
        running = any(each["status"] == "RUNNING" for each in executions)
        if running or metadata.get("image_digest") != digest or found.get(LATEST) != metadata["ami_id"]:
            return None
        (image,) = ec2.describe_images(ImageIds=[found[LATEST]])["Images"]
        assert image["State"] == "available"
        assert image["Name"] == "comfyui-multitenant-prod"
        return dict(metadata)

    return dict(eventually(read, f"{digest} published"))


def test_what_is_pushed_is_published_first_fresh_and_then_as_an_update(
    bed: Bed, account: dict[str, Any]
) -> None:
    def version(page: str) -> OciImage:
        return an_index(an_image(bed.machines.base.busybox, page, labels=LABELS))

    first, second = version("published first"), version("published second")
    docker_push(account, first)
    fresh = published(account, first.digest)
    assert fresh["build_mode"] == "fresh"
    assert (fresh["branch"], fresh["commit_sha"]) == ("main", "0a1b2c3d")
    docker_push(account, second)
    update = published(account, second.digest)
    assert update["build_mode"] == "update"
    assert update["base_ami_id"] != fresh["base_ami_id"]
    assert update["generation"] == fresh["generation"] + 1
    ec2 = client(account, "ec2")
    ours = [{"Name": "tag-key", "Values": ["ami-lifecycle:execution"]}]

    def ended() -> list[str] | None:
        reservations = ec2.describe_instances(Filters=ours)["Reservations"]
        instances = [each for reservation in reservations for each in reservation["Instances"]]
        states = {each["State"]["Name"] for each in instances}
        return [each["InstanceId"] for each in instances] if states == {"terminated"} else None

    assert len(eventually(ended, "builders and canaries terminated")) == 4
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == 1
