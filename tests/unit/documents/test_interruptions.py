import pytest
from tests.unit.documents.scratch_machine import BUILDER_ID, NEW_DIGEST, Machine, an_image


def test_two_runs_at_once_end_like_one(builder: Machine) -> None:
    both = [builder.start("provision_image") for _ in range(2)]
    ends = []
    for process in both:
        with process:
            process.communicate(timeout=60)
        ends.append(process.returncode)
    assert ends == [0, 0]
    assert len(builder.called("docker pull")) == 1
    assert list(builder.docker_state["images"]) == [an_image()["Id"]]


KILL_POINTS = (
    "cloud-init status",
    "systemctl stop apt-daily.timer",
    "systemctl show",
    "install --no-install-recommends",
    "systemctl restart docker",
    "docker-credential-ecr-login get",
    "docker pull",
    "systemctl stop comfyui",
    "systemctl enable comfyui",
    "docker tag",
    "docker rm",
    "docker image rm",
    "dpkg --audit",
    "cloud-init clean",
    "systemctl start ami-lifecycle-finish",
    "docker --version",
)


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_run_that_was_killed_can_be_run_again(builder: Machine, point: str) -> None:
    if point == "install --no-install-recommends":
        (builder.bin / "dockerd").unlink()
    killed = builder.provision(kill_at=point)
    assert killed.code == -9
    result = builder.provision()
    assert result.code == 0, result.stderr
    state = builder.end_state()
    assert list(state["images"]) == [an_image()["Id"]]
    assert state["machine id"] == ""
    assert state["host keys"] == []
    assert state["record"]["builder_instance_id"] == BUILDER_ID
    assert state["record"]["image_digest"] == NEW_DIGEST
