import json
from pathlib import Path

import pytest
from tests.unit.documents.scratch_machine import (
    BUILDER_ID,
    IMAGE_URI,
    NEW_DIGEST,
    OLD_DIGEST,
    Machine,
    an_image,
    encoded,
)

NEW = f"{IMAGE_URI}@{NEW_DIGEST}"


def test_a_good_canary_passes(canary: Machine) -> None:
    result = canary.verify()
    assert result.code == 0, result.stderr
    facts = result.facts
    assert isinstance(facts.pop("kernel"), str)
    assert set(facts.pop("duration_seconds")) == {
        "cloud_init",
        "image",
        "health",
        "read",
        "cleanliness",
        "total",
    }
    assert 38 <= facts.pop("boot_to_container_seconds") <= 41
    assert facts.pop("first_read_seconds") >= 0
    assert facts == {
        "schema": 1,
        "kind": "verify",
        "image_digest": NEW_DIGEST,
        "image_size_bytes": 8_123_456_789,
        "os": {"name": "Ubuntu", "version": "22.04"},
        "docker_version": "27.5.1",
        "image_store": "graph-driver",
        "free_bytes": 40 * 1024**3,
        "health_check": "none",
        "boot_to_healthy_seconds": 100.0,
        "first_read_bytes": 5000,
    }


def test_what_a_builder_made_passes_on_the_next_boot(builder: Machine) -> None:
    assert builder.provision().code == 0
    finish = builder.run_finish()
    assert finish == 0
    builder.boot_as_canary(NEW)
    result = builder.verify()
    assert result.code == 0, result.stderr


# The image and its unit


def test_a_missing_image_is_named(canary: Machine) -> None:
    canary.docker(images={})
    result = canary.verify()
    assert result.code == 17
    assert NEW in result.sentence


def test_a_second_image_is_named(canary: Machine) -> None:
    old = an_image(OLD_DIGEST)
    canary.docker(images=canary.docker_state["images"] | {old["Id"]: old})
    result = canary.verify()
    assert result.code == 17
    assert old["Id"] in result.sentence


def test_a_unit_that_is_not_enabled_is_named(canary: Machine) -> None:
    canary.set("unit-state", "disabled")
    result = canary.verify()
    assert result.code == 19
    assert "is disabled, not enabled" in result.sentence


@pytest.mark.parametrize(
    "command", [f"docker run {IMAGE_URI}:prod-latest ;", f"docker run {IMAGE_URI}@{OLD_DIGEST} ;", ""]
)
def test_a_unit_that_is_not_pinned_is_named(canary: Machine, command: str) -> None:
    canary.set("exec-start", f"ExecStart={{ argv[]={command} }}")
    result = canary.verify()
    assert result.code == 19
    assert "does not start" in result.sentence


def test_a_unit_with_arguments_after_the_image_is_pinned(canary: Machine) -> None:
    canary.set("exec-start", f"ExecStart={{ argv[]=docker run {NEW} --listen ; ignore_errors=no }}")
    assert canary.verify().code == 0


# Health


def test_the_http_check_asks_port_and_path(canary: Machine) -> None:
    result = canary.verify(HealthCheck="http", HealthPort="8188", HealthPath="/system_stats?a=1&b=%20")
    assert result.code == 0, result.stderr
    (request,) = canary.called("curl")
    assert request.endswith(" http://127.0.0.1:8188/system_stats?a=1&b=%20")
    assert result.facts["health_check"] == "http"


def test_an_application_that_answers_badly_is_refused_with_the_reason(canary: Machine) -> None:
    canary.set("curl-error", "curl: (22) The requested URL returned error: 503")
    canary.docker(container_log="ValueError: no model\n")
    result = canary.verify(HealthCheck="http", HealthTimeoutSeconds="0")
    assert result.code == 21
    assert "returned error: 503" in result.sentence
    assert "ValueError: no model" in result.stderr


def test_the_health_command_runs_in_the_container(canary: Machine, tmp_path: Path) -> None:
    command = f"echo 'a b' > {tmp_path}/ran"
    assert canary.verify(HealthCheck="command", HealthCommand=encoded(command)).code == 0
    assert (tmp_path / "ran").read_text() == "a b\n"
    assert canary.called("docker exec comfyui /bin/sh -c")


def test_a_health_command_that_fails_is_refused_with_its_output(canary: Machine) -> None:
    command = encoded("echo queue is stuck; exit 3")
    result = canary.verify(HealthCheck="command", HealthCommand=command, HealthTimeoutSeconds="0")
    assert result.code == 21
    assert "ended with status 3" in result.sentence
    assert "queue is stuck" in result.stderr


def test_a_container_that_keeps_dying_is_refused_before_the_time_is_over(canary: Machine) -> None:
    canary.docker(containers={})
    canary.set("restarts", "5")
    result = canary.verify(HealthTimeoutSeconds="1800")
    assert result.code == 21
    assert "after 5 restarts" in result.sentence
    assert "its container is absent" in result.sentence
    assert "a line of the journal" in result.stderr


def test_a_crash_is_told_with_its_exit_code_and_last_lines(canary: Machine) -> None:
    container = canary.docker_state["containers"]["comfyui"]
    container["State"] = {"Running": False, "ExitCode": 137, "OOMKilled": True}
    canary.docker(containers={"comfyui": container}, container_log="RuntimeError: Found no NVIDIA driver")
    canary.set("restarts", "5")
    result = canary.verify()
    assert result.code == 21
    assert "not running, exit code 137, out of memory" in result.sentence
    assert "RuntimeError: Found no NVIDIA driver" in result.stderr


@pytest.mark.parametrize(("state", "exit_code"), [("failed", 1), ("inactive", 0)])
def test_a_container_that_is_not_started_again_is_refused_before_the_time_is_over(
    canary: Machine, state: str, exit_code: int
) -> None:
    container = canary.docker_state["containers"]["comfyui"]
    canary.docker(containers={"comfyui": container | {"State": {"Running": False, "ExitCode": exit_code}}})
    canary.set("application-state", state)
    result = canary.verify(HealthTimeoutSeconds="1800")
    assert result.code == 21
    assert f"not running, exit code {exit_code}" in result.sentence


def test_an_application_that_runs_again_when_it_is_looked_at_is_told_with_its_exit_code(
    canary: Machine,
) -> None:
    container = canary.docker_state["containers"]["comfyui"]
    ended = canary.docker_state | {
        "containers": {"comfyui": container | {"State": {"Running": False, "ExitCode": 3}}}
    }
    (canary.control / "docker-next.json").write_text(json.dumps(ended))
    canary.install("sleep", 'mv "$FAKE_DIR/docker-next.json" "$FAKE_DIR/docker.json"')
    canary.set("curl-error", "curl: (7) Failed to connect")
    canary.set("restarts", "5")
    result = canary.verify(HealthCheck="http", HealthPort="8188", HealthTimeoutSeconds="1800")
    assert result.code == 21
    assert "after 5 restarts" in result.sentence
    assert "not running, exit code 3" in result.sentence


def test_an_application_that_runs_when_the_time_is_over_is_told_with_how_it_ended_before(
    canary: Machine,
) -> None:
    container = canary.docker_state["containers"]["comfyui"]
    (canary.control / "docker-next.json").write_text(json.dumps(canary.docker_state))
    canary.docker(containers={"comfyui": container | {"State": {"Running": False, "ExitCode": 3}}})
    canary.install("sleep", '/bin/sleep 1; mv "$FAKE_DIR/docker-next.json" "$FAKE_DIR/docker.json" || true')
    canary.set("curl-error", "curl: (7) Failed to connect")
    canary.set("restarts", "1")
    result = canary.verify(HealthCheck="http", HealthPort="8188", HealthTimeoutSeconds="10")
    assert result.code == 21
    assert "Failed to connect; before that it was not running, exit code 3" in result.sentence


def test_what_docker_said_about_a_container_it_could_not_start_is_told(canary: Machine) -> None:
    error = 'could not select device driver "" with capabilities: [[gpu]]'
    canary.docker(containers={})
    canary.install("journalctl", f"[[ $* != *'--identifier docker'* ]] || echo '{error}'")
    canary.set("restarts", "5")
    assert error in canary.verify().stderr


def test_what_cannot_be_read_has_no_time(canary: Machine) -> None:
    canary.docker(store="containerd")
    facts = canary.verify().facts
    assert (facts["first_read_bytes"], facts["first_read_seconds"]) == (None, None)


def test_layers_of_containerd_s_store_are_read(canary: Machine) -> None:
    canary.docker(store="containerd")
    snapshots = "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"
    canary.write(f"{snapshots}/2/fs/model", "m" * 3000)
    canary.write(f"{snapshots}/10/fs/model", "m" * 4000)
    assert canary.verify().facts["first_read_bytes"] == 7000


def test_a_container_of_another_image_is_not_healthy(canary: Machine) -> None:
    container = canary.docker_state["containers"]["comfyui"]
    container |= {"Image": "sha256:other", "Config": {"Image": f"{IMAGE_URI}:prod-latest"}}
    canary.docker(containers={"comfyui": container})
    result = canary.verify(HealthTimeoutSeconds="0")
    assert result.code == 21
    assert "of-another-image" in result.sentence


def test_container_logs_are_cut_and_redacted(canary: Machine) -> None:
    secrets = ["AKIA" + "A" * 16, "hunter2", "Zm9v" * 12, "sesame", "abc.def"]
    dead = canary.docker_state["containers"]["comfyui"] | {"State": {"Running": False, "ExitCode": 1}}
    canary.docker(
        containers={"comfyui": dead},
        container_log=(
            f"key {secrets[0]}\nDB_PASSWORD={secrets[1]} next\nhf {secrets[2]}\n"
            f"postgres://user:{secrets[3]}@db\nAuthorization: Bearer {secrets[4]}\n\x1b[31mr\u00f6d\n"
            'File "/opt/application/venv/lib/python3.12/site-packages/torch/cuda/__init__.py"\n'
            + "long "
            * 4000
        ),
    )
    result = canary.verify(HealthTimeoutSeconds="0")
    assert result.code == 21
    assert "[redacted]" in result.stderr
    assert not [secret for secret in secrets if secret in result.stderr]
    assert "/opt/application/venv/lib/python3.12/site-packages/torch/cuda/__init__.py" in result.stderr
    assert "\x1b" not in result.stderr
    assert result.stderr.isascii()
    assert len(result.stderr) < 4000


def test_why_a_value_could_not_be_fetched_is_told_whole_and_after_a_long_log(canary: Machine) -> None:
    secret = (
        "the secret arn:aws:secretsmanager:us-east-1:123456789012:secret:app/a-long-name-of-a-database-AbCdEf"
    )
    ends = [
        "in us-east-1 does not exist; create it, or correct the name",
        "in us-east-1; grant it secretsmanager:GetSecretValue, and kms:Decrypt of its key",
    ]
    reasons = [f"no PASSWORD for the container, because {secret} {end}" for end in ends]
    text = "\n".join(reasons)
    canary.install("journalctl", f"""[[ $* != *container-values* ]] || cat <<'LINES'\n{text}\nLINES""")
    dead = canary.docker_state["containers"]["comfyui"] | {"State": {"Running": False, "ExitCode": 1}}
    canary.docker(
        containers={"comfyui": dead}, container_log="PASSWORD=hunter2\n" + "a line of a log\n" * 500
    )
    result = canary.verify(HealthTimeoutSeconds="0")
    assert result.code == 21
    for reason in reasons:
        assert reason in result.stderr
    assert "a line of a log" in result.stderr
    assert "hunter2" not in result.stderr


def test_a_check_without_a_command_is_refused(canary: Machine) -> None:
    assert canary.verify(HealthCheck="command").code == 10
    assert canary.verify(HealthTimeoutSeconds="1801").code == 10


# What must not be in an image


@pytest.mark.parametrize(
    ("path", "text", "named"),
    [
        ("root/.docker/config.json", "{}", "root/.docker/config.json"),
        ("home/ubuntu/.docker/config.json", "{}", "home/ubuntu/.docker/config.json"),
        ("root/.aws/credentials", "x", ".aws/credentials"),
        ("root/.ssh/authorized_keys", "ssh-ed25519 STRANGER you\n", "authorized_keys"),
        (
            "home/ubuntu/.ssh/authorized_keys",
            "ssh-ed25519 OPERATOR me\nssh-ed25519 X you\n",
            "authorized_keys",
        ),
        ("home/ubuntu/.ssh/id_ed25519", "private", "id_ed25519"),
        ("root/.bash_history", "ls\n", ".bash_history"),
        ("home/ubuntu/.netrc", "machine x\n", ".netrc"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n", "the machine id is the builder's"),
        ("etc/machine-id", "", "the machine id was not set"),
        ("etc/ssh/ssh_host_rsa_key.pub", "ssh-ed25519 BUILDER root@builder\n", "ssh_host_rsa_key.pub"),
        ("var/log/journal/0123456789abcdef0123456789abcdef/system.journal", "", "another machine's journal"),
        (f"var/lib/amazon/ssm/{BUILDER_ID}/document/state", "", f"ssm/{BUILDER_ID} is the builder's"),
        ("var/log/amazon/ssm/amazon-ssm-agent.log", "x" * (1 << 20) + BUILDER_ID, "amazon-ssm-agent.log"),
        (f"var/lib/cloud/instances/{BUILDER_ID}/datasource", BUILDER_ID, "names the builder"),
        ("etc/ami-lifecycle/build.json", "{", "is missing or not JSON"),
        ("etc/ami-lifecycle/build.json", '{"image_digest": "sha256:other"}', "names the digest sha256:other"),
    ],
)
def test_something_left_behind_is_named(canary: Machine, path: str, text: str, named: str) -> None:
    canary.write(path, text)
    result = canary.verify()
    assert result.code == 20
    assert named in result.sentence


def test_a_promoted_image_says_for_which_environment_it_was_built(canary: Machine) -> None:
    assert canary.verify(Environment="live", BuiltFor="prod").code == 0
    assert canary.verify(Environment="prod", BuiltFor="-").code == 0
    for wrong in ({"Environment": "live"}, {"Environment": "prod", "BuiltFor": "staging"}):
        refused = canary.verify(**wrong)
        assert refused.code == 20
        assert "build.json names the environment prod" in refused.stderr


def test_a_key_that_this_launch_injected_is_no_leftover(canary: Machine) -> None:
    options = 'no-port-forwarding,command="echo no" '
    canary.write("root/.ssh/authorized_keys", f"# made by cloud-init\n{options}ssh-ed25519 OPERATOR me\n")
    assert canary.verify().code == 0


def test_all_findings_are_listed(canary: Machine) -> None:
    canary.write("root/.bash_history", "ls\n")
    canary.write("root/.netrc", "machine x\n")
    result = canary.verify()
    assert ".netrc" in result.stderr
    assert ".bash_history" in result.stderr


def test_a_full_disk_is_named(canary: Machine) -> None:
    canary.set("free-bytes", "1000")
    result = canary.verify()
    assert result.code == 14
    assert "0 MiB are free, 1 GiB are needed" in result.sentence


def test_an_old_agent_is_named(canary: Machine) -> None:
    result = canary.verify(ImageDigest=None)
    assert (result.code, "update the SSM Agent" in result.sentence) == (10, True)
