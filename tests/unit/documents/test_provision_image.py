import json

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
OLD_ID = an_image(OLD_DIGEST)["Id"]
UNIT = "etc/systemd/system/comfyui.service"


def exec_start(machine: Machine) -> str:
    (line,) = [line for line in machine.read(UNIT).splitlines() if line.startswith("ExecStart=")]
    return line


# What a build makes


def test_plain_ubuntu_gets_docker_and_the_image_by_digest(plain: Machine) -> None:
    result = plain.provision()
    assert result.code == 0, result.stderr
    (install,) = [call for call in plain.called("apt-get") if " install " in call]
    assert " DPkg::Lock::Timeout=600 " in install
    assert install.endswith("docker.io pigz amazon-ecr-credential-helper")
    assert plain.called("docker pull") == [f"docker pull --quiet {NEW}"]
    assert list(plain.docker_state["images"]) == [an_image()["Id"]]
    assert exec_start(plain).endswith(f" {NEW}")
    assert "systemctl enable comfyui.service" in plain.calls
    assert result.stderr == ""


def test_an_archive_that_has_the_client_in_a_package_of_its_own(plain: Machine) -> None:
    (plain.bin / "docker").rename(plain.bin / "docker-of-cli")
    assert plain.provision().code == 0
    assert [call.split()[-1] for call in plain.calls if " install " in call][1:] == ["docker-cli"]


def test_the_last_line_is_the_facts(plain: Machine) -> None:
    result = plain.provision()
    facts = result.facts
    durations = facts.pop("duration_seconds")
    assert set(durations) == {"cloud_init", "packages", "pull", "configure", "cleanup", "total"}
    assert isinstance(facts.pop("kernel"), str)
    assert facts == {
        "schema": 1,
        "kind": "provision",
        "image_digest": NEW_DIGEST,
        "image_size_bytes": 8_123_456_789,
        "image_labels": {"org.opencontainers.image.revision": "0a1b2c3"},
        "os": {"name": "Ubuntu", "version": "22.04"},
        "docker_version": "27.5.1",
        "image_store": "containerd",
        "free_bytes": 40 * 1024**3,
        "mode": "fresh",
    }


def test_large_labels_do_not_make_the_facts_large(plain: Machine) -> None:
    prefix = "org.opencontainers.image."
    labels = {f"{prefix}extra{number}": "x" * 4000 for number in range(50)}
    labels |= {
        f"{prefix}revision": "0a1b2c3",
        "ami-lifecycle.commit": "0a1b2c3d",
        "ami-lifecycle.branch": "main",
        "ami-lifecycle.other": "not of ours",
        f"{prefix}description": "\u65e5\u672c" * 500,
        f"{prefix}" + "n" * 900: "v",
    }
    plain.docker(registry={NEW: an_image(Config={"Labels": labels})})
    result = plain.provision()
    assert len(result.stdout.splitlines()[-1]) < 2000
    assert result.stdout.isascii()
    found = result.facts["image_labels"]
    assert [*found][:3] == ["ami-lifecycle.commit", "ami-lifecycle.branch", f"{prefix}revision"]
    assert (found["ami-lifecycle.commit"], found["ami-lifecycle.branch"]) == ("0a1b2c3d", "main")
    assert "ami-lifecycle.other" not in found
    assert all(len(value) <= 200 for value in result.facts["image_labels"].values())


def test_standard_output_stays_short(plain: Machine) -> None:
    plain.docker(pull_errors=["x" * 100_000, ""])
    assert len(plain.provision().stdout) < 4096


def test_an_update_replaces_the_image_and_installs_nothing(builder: Machine) -> None:
    result = builder.provision()
    assert result.code == 0, result.stderr
    assert not builder.called("apt-get --quiet")
    state = builder.docker_state
    assert list(state["images"]) == [an_image()["Id"]]
    assert state["containers"] == {}
    assert exec_start(builder).endswith(f" {NEW}")
    assert builder.calls.index("systemctl stop comfyui.service") > builder.calls.index(
        f"docker pull --quiet {NEW}"
    )


@pytest.mark.parametrize("store", ["containerd", "graph-driver"])
def test_the_image_is_kept_under_its_digest_and_one_tag_in_both_stores(builder: Machine, store: str) -> None:
    builder.docker(store=store)
    for tag in ("prod-latest", "other", "-"):
        assert builder.provision(ImageTag=tag).code == 0
        (image,) = builder.docker_state["images"].values()
        assert image["RepoDigests"] == [NEW]
        assert image["RepoTags"] == [f"{IMAGE_URI}:{'ami-lifecycle' if tag == '-' else tag}"]


def test_a_build_that_leaves_no_image_does_not_succeed(plain: Machine) -> None:
    # What removes the image is outside of the script's own removals: the last of its clean-ups.
    script = "import json, os, pathlib; p = pathlib.Path(os.environ['FAKE_STATE']); "
    script += "p.write_text(json.dumps(json.loads(p.read_text()) | {'images': {}}))"
    plain.install("journalctl", f'[[ $1 != --relinquish-var ]] || "$FAKE_PYTHON" -I -S -c "{script}"')
    result = plain.provision()
    assert result.code == 17
    assert "is not on the builder any more" in result.sentence


def test_the_image_keeps_a_tag_so_that_a_prune_spares_it(builder: Machine) -> None:
    builder.provision()
    assert builder.docker_state["images"][an_image()["Id"]]["RepoTags"] == [f"{IMAGE_URI}:prod-latest"]


def test_a_tag_that_moved_leaves_no_second_name(builder: Machine) -> None:
    builder.provision(ImageTag="one")
    builder.provision(ImageTag="two")
    assert builder.docker_state["images"][an_image()["Id"]]["RepoTags"] == [f"{IMAGE_URI}:two"]


def test_the_same_digest_twice_changes_nothing_and_pulls_once(builder: Machine) -> None:
    builder.provision()
    first = builder.end_state()
    assert builder.provision().code == 0
    assert builder.end_state() == first
    assert len(builder.called("docker pull")) == 1


def test_the_record_names_the_builder_even_after_a_second_run(plain: Machine) -> None:
    plain.provision()
    plain.provision()
    record = json.loads(plain.read("etc/ami-lifecycle/build.json"))
    assert record["builder_instance_id"] == BUILDER_ID
    assert len(record["machine_id_sha256"]) == 64
    assert len(record["ssh_host_keys_sha256"]) == 1
    assert (record["image_digest"], record["environment"], record["run_id"]) == (NEW_DIGEST, "prod", "run-1")


def test_daemon_settings_of_the_base_image_are_kept(builder: Machine) -> None:
    builder.write("etc/docker/daemon.json", '{"data-root": "/mnt/docker", "live-restore": false}')
    builder.provision()
    settings = json.loads(builder.read("etc/docker/daemon.json"))
    assert settings["data-root"] == "/mnt/docker"
    assert settings["live-restore"] is True
    assert settings["log-opts"] == {"max-file": "5", "max-size": "10m"}


def test_docker_is_restarted_only_when_its_settings_changed(builder: Machine) -> None:
    builder.provision()
    builder.provision()
    assert builder.called("systemctl restart") == ["systemctl restart docker.service"]


def test_container_settings_reach_the_unit(plain: Machine) -> None:
    plain.provision(
        ContainerPorts="8188,80:8080",
        ContainerVolumes="/data:/models:ro",
        ContainerShmMiB="0512",
        GpuEnabled="true",
        ContainerEnvironment=encoded({"B": "x y=$z", "A": "1"}),
        ContainerCommand=encoded(["--listen", '100% "$HOME" \\']),
    )
    assert exec_start(plain) == (
        "ExecStart=/usr/bin/docker run --attach stdout --pull=never --name comfyui --gpus all --shm-size 512m"
        " --publish 8188:8188 --publish 80:8080 --volume /data:/models:ro"
        f" --env-file /etc/ami-lifecycle/comfyui.env {NEW} --listen" + r' "100%% \"$$HOME\" \\"'
    )
    assert plain.read("etc/ami-lifecycle/comfyui.env") == "A=1\nB=x y=$z\n"
    assert (plain.root / "etc/ami-lifecycle/comfyui.env").stat().st_mode & 0o777 == 0o600


def test_what_docker_run_names_reaches_the_unit_under_its_names(plain: Machine) -> None:
    plain.provision(
        ContainerPorts="-",
        ContainerIpc="host",
        ContainerNetwork="host",
        ContainerUlimits="memlock=-1,nofile=1024:65536",
        ContainerDevices="/dev/fuse,/dev/sda:/dev/disk:r",
    )
    assert (
        "--name comfyui --ipc host --network host --ulimit memlock=-1 --ulimit nofile=1024:65536"
        " --device /dev/fuse --device /dev/sda:/dev/disk:r --env-file" in exec_start(plain)
    )


@pytest.mark.parametrize(
    ("policy", "restart"),
    [("no", "no"), ("always", "always"), ("unless-stopped", "always"), ("on-failure", "on-failure")],
)
def test_systemd_restarts_the_container_and_not_docker(plain: Machine, policy: str, restart: str) -> None:
    plain.provision(ContainerRestart=policy)
    lines = plain.read(UNIT).splitlines()
    assert f"Restart={restart}" in lines
    assert "--restart" not in exec_start(plain)


def test_a_unit_without_run_time_settings_is_as_docker_has_it(plain: Machine) -> None:
    plain.provision()
    assert not {"--ipc", "--network", "--ulimit", "--device"} & set(exec_start(plain).split())
    assert "Restart=always" in plain.read(UNIT)


def test_the_nvidia_parts_are_installed_on_request(plain: Machine) -> None:
    assert plain.provision(NvidiaToolkit="true", NvidiaDriver="550-server-open").code == 0
    (install,) = [call for call in plain.calls if " install " in call]
    assert install.endswith(
        "linux-modules-nvidia-550-server-open-aws nvidia-headless-no-dkms-550-server-open"
        " nvidia-utils-550-server nvidia-container-toolkit"
    )
    assert plain.called("nvidia-ctk runtime configure --runtime=docker")


def test_an_unknown_key_of_the_nvidia_archive_is_refused(plain: Machine) -> None:
    plain.set("gpg-output", "fpr:::::::::0000000000000000000000000000000000000000:\n")
    result = plain.provision(NvidiaToolkit="true")
    assert result.code == 13
    assert "signing key" in result.sentence
    assert not list(plain.root.glob("etc/apt/sources.list.d/*"))


# What a build refuses


def test_a_failed_pull_is_tried_again(plain: Machine) -> None:
    plain.docker(pull_errors=["net/http: TLS handshake timeout", "unexpected EOF", ""])
    assert plain.provision().code == 0
    assert len(plain.called("docker pull")) == 3
    assert plain.called("sleep") == ["sleep 5", "sleep 10"]


def test_a_layer_that_its_storage_refused_is_asked_for_again(plain: Machine) -> None:
    address = "https://prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com/x?X-Amz-Signature=0a1b"
    plain.docker(
        pull_errors=[f"failed open: unexpected status from GET request to {address}: 403 Forbidden", ""]
    )
    assert plain.provision().code == 0
    assert len(plain.called("docker pull")) == 2


def test_an_address_that_is_signed_is_not_shown(plain: Machine) -> None:
    address = "https://x-starport-layer-bucket.s3.us-east-1.amazonaws.com/x?A=1&X-Amz-Signature=0a1b&B=2"
    plain.docker(pull_errors=[f"unexpected status from GET request to {address}: 403 Forbidden"])
    result = plain.provision()
    assert result.code == 22
    assert "S3 endpoint" in result.sentence
    assert "0a1b" not in result.stderr
    assert len(plain.called("docker pull")) == 5


def test_a_registry_that_throttles_is_given_more_time(plain: Machine) -> None:
    plain.docker(pull_errors=["toomanyrequests: Rate exceeded", "429 Too Many Requests", ""])
    assert plain.provision().code == 0
    assert plain.called("sleep") == ["sleep 15", "sleep 30"]


def test_an_error_of_the_builder_itself_is_told_in_its_own_words(plain: Machine) -> None:
    error = "failed to register layer: open /var/lib/docker/overlay2/x/diff/m: permission denied"
    plain.docker(pull_errors=[f"Error response from daemon: {error}"])
    assert error in plain.provision().sentence


def test_a_token_that_expired_during_the_pull_is_replaced(plain: Machine) -> None:
    expired = (
        "error parsing HTTP 403 response body: denied: Your authorization token has expired. Reauthenticate"
    )
    plain.docker(pull_errors=[expired, ""])
    assert plain.provision().code == 0
    assert len(plain.called("docker pull")) == 2


@pytest.mark.parametrize(
    ("error", "code", "attempts"),
    [
        ("net/http: TLS handshake timeout", 16, 5),
        ("no basic auth credentials", 15, 1),
        (
            "pull access denied for comfyui, repository does not exist or may require 'docker login': denied",
            15,
            1,
        ),
        ("manifest unknown: Requested image not found", 16, 1),
        ("no matching manifest for linux/amd64 in the manifest list entries", 17, 1),
        ("write /var/lib/docker/tmp/x: no space left on device", 14, 1),
        ("unsupported media type application/vnd.cncf.helm.config.v1+json", 17, 1),
        ("toomanyrequests: Rate exceeded", 23, 5),
        ("failed to register layer: open /var/lib/docker/overlay2/x/diff/m: permission denied", 24, 1),
        ("missing signature key", 25, 1),
    ],
)
def test_a_pull_that_cannot_succeed_ends_with_its_class(
    plain: Machine, error: str, code: int, attempts: int
) -> None:
    plain.docker(pull_errors=[error])
    result = plain.provision()
    assert result.code == code
    assert result.sentence.startswith("ami-lifecycle: ")
    assert "; " in result.sentence
    assert error in result.stderr
    assert len(plain.called("docker pull")) == attempts
    assert not (plain.root / UNIT).exists()


def test_an_update_that_cannot_pull_leaves_the_old_image(builder: Machine) -> None:
    builder.docker(pull_errors=["unexpected EOF"])
    assert builder.provision().code == 16
    assert list(builder.docker_state["images"]) == [OLD_ID]


def test_another_digest_than_asked_for_is_refused(plain: Machine) -> None:
    plain.docker(registry={NEW: an_image(OLD_DIGEST)})
    result = plain.provision()
    assert (result.code, "another image" in result.sentence) == (17, True)


def test_an_image_for_another_architecture_is_refused(plain: Machine) -> None:
    plain.docker(registry={NEW: an_image(Architecture="arm64")})
    result = plain.provision()
    assert result.code == 17
    assert "is for arm64, this instance needs amd64" in result.sentence


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"Os": "windows"}, "is for windows, this instance needs linux"),
        ({"Os": "", "Architecture": ""}, "another artifact"),
    ],
)
def test_what_docker_pulled_but_cannot_run_is_refused(
    plain: Machine, fields: dict[str, str], told: str
) -> None:
    plain.docker(registry={NEW: an_image(**fields)})
    result = plain.provision()
    assert result.code == 17
    assert told in result.sentence
    assert not (plain.root / UNIT).exists()


def test_too_little_space_is_noticed_before_the_pull(plain: Machine) -> None:
    plain.set("free-bytes", str(9 * 1024**3))
    result = plain.provision(MinimumFreeGiB="010")
    assert result.code == 14
    assert "9216 MiB are free, 10 GiB are needed" in result.sentence
    assert not plain.called("docker pull")


def test_an_update_that_lacks_space_removes_the_old_image_first(builder: Machine) -> None:
    builder.set("free-bytes", str(5 * 1024**3))
    builder.set("free-bytes-next", str(25 * 1024**3))
    assert builder.provision().code == 0
    removed = builder.calls.index(f"docker image rm --force {OLD_ID}")
    assert removed < builder.calls.index(f"docker pull --quiet {NEW}")


@pytest.mark.parametrize(
    ("free_gib", "compressed_bytes", "removed_first"),
    [(20, 7_000_000_000, True), (25, 7_000_000_000, False), (12, 0, False), (12, 100_000_000, False)],
)
def test_an_update_whose_two_images_do_not_fit_removes_the_old_one_first(
    builder: Machine, free_gib: int, compressed_bytes: int, removed_first: bool
) -> None:
    builder.set("free-bytes", str(free_gib * 1024**3))
    builder.set("free-bytes-next", str((free_gib + 15) * 1024**3))
    assert builder.provision(ImageSizeBytes=str(compressed_bytes)).code == 0
    removed = builder.calls.index(f"docker image rm --force {OLD_ID}")
    assert (removed < builder.calls.index(f"docker pull --quiet {NEW}")) is removed_first


@pytest.mark.parametrize(("store", "code"), [("graph-driver", 0), ("containerd", 14)])
def test_an_image_that_cannot_fit_its_store_is_refused_with_the_number_to_set(
    plain: Machine, store: str, code: int
) -> None:
    plain.docker(store=store)
    plain.set("free-bytes", str(30 * 1024**3))
    result = plain.provision(ImageSizeBytes=str(20 * 1024**3))
    assert result.code == code
    if code:
        assert "30720 MiB are free in /var/lib/containerd, the image needs at least 40960" in result.sentence
        assert "set builder.root_volume_gib to 71 or more" in result.sentence
        assert not plain.called("docker pull")


def test_a_disk_that_fills_in_an_update_gets_the_old_image_s_room_once(builder: Machine) -> None:
    full = "failed to extract layer: write /x: no space left on device"
    builder.docker(pull_errors=[full, ""])
    assert builder.provision().code == 0
    removed = builder.calls.index(f"docker image rm --force {OLD_ID}")
    pulls = [number for number, call in enumerate(builder.calls) if call.startswith("docker pull")]
    assert pulls[0] < removed < pulls[1]
    assert list(builder.docker_state["images"]) == [an_image()["Id"]]


def test_a_disk_that_fills_even_without_the_old_image_is_too_small(builder: Machine) -> None:
    builder.docker(pull_errors=["write /x: no space left on device"])
    result = builder.provision(ImageSizeBytes="7000000000")
    assert result.code == 14
    assert "set builder.root_volume_gib to 28 or more" in result.sentence
    assert len(builder.called("docker pull")) == 2


def asked_of(machine: Machine) -> set[str]:
    """The directories of whose disk the free space was asked."""
    return {call.split()[-1].removeprefix(str(machine.root)) for call in machine.called("df")}


@pytest.mark.parametrize(
    ("store", "settings", "own", "directory"),
    [
        ("graph-driver", "", "", "/mnt/docker"),
        ("containerd", "", "", "/var/lib/containerd"),
        (
            "containerd",
            "version = 3\nroot = '/mnt/containerd'\n[grpc]\nroot = '/no'\n",
            "",
            "/mnt/containerd",
        ),
        ("containerd", 'version = 2\nroot = "/mnt/containerd"\n', "", "/mnt/containerd"),
        ("containerd", "", "/var/run/docker/containerd/containerd.sock", "/mnt/docker/containerd/daemon"),
    ],
)
def test_free_space_is_that_of_the_disk_which_holds_the_images(
    builder: Machine, store: str, settings: str, own: str, directory: str
) -> None:
    builder.write("etc/docker/daemon.json", '{"data-root": "/mnt/docker"}')
    builder.docker(store=store)
    builder.set("containerd-settings", settings)
    if own:
        builder.docker(containerd_address=own)
        builder.write(f"{directory[1:]}/io.containerd.content.v1.content/ingest", "")
    result = builder.provision()
    assert (result.code, result.facts["image_store"]) == (0, store)
    assert asked_of(builder) == {directory}


def test_volumes_of_the_old_application_go_with_or_without_a_name(builder: Machine) -> None:
    builder.docker(volumes=["models", "f" * 64])
    builder.provision()
    assert builder.docker_state["volumes"] == []


def test_a_crash_leaves_its_reason_in_the_journal(plain: Machine) -> None:
    plain.provision()
    unit = plain.read(UNIT)
    assert " --rm " not in unit
    assert "ExecStartPre=-/usr/bin/docker rm --force --volumes comfyui\n" in unit
    assert "docker logs --tail 20 comfyui 2>&1 | systemd-cat --identifier=comfyui" in unit
    assert "\nStandardError=journal\n" in unit


def test_an_old_image_that_cannot_be_removed_is_a_failure(builder: Machine) -> None:
    builder.docker(stuck_images=[OLD_ID])
    result = builder.provision()
    assert result.code == 17
    assert OLD_ID in result.sentence


def test_a_builder_without_permission_is_told_what_is_missing(plain: Machine) -> None:
    plain.set("no-sign-in", "api error AccessDeniedException: is not authorized")
    result = plain.provision()
    assert result.code == 15
    assert "ecr:GetAuthorizationToken" in result.sentence
    assert "AccessDeniedException" in result.stderr
    assert len(plain.called("docker-credential-ecr-login")) == 1


@pytest.mark.parametrize(
    "error",
    [
        "https response error StatusCode: 0, RequestID: , request send failed, Post: EOF",
        "RequestError: send request failed caused by: dial tcp: i/o timeout",
        "https response error StatusCode: 503, RequestID: x, api error ServiceUnavailable",
        "api error ThrottlingException: Rate exceeded",
    ],
)
def test_a_registry_that_cannot_be_reached_to_sign_in_is_tried_again(plain: Machine, error: str) -> None:
    plain.set("no-sign-in", error)
    plain.set("no-sign-in-next", "")
    assert plain.provision().code == 0
    assert plain.called("sleep")[:1] == ["sleep 5"]


def test_a_registry_that_stays_out_of_reach_is_another_failure_than_a_refusal(plain: Machine) -> None:
    plain.set("no-sign-in", "request send failed, Post: EOF")
    result = plain.provision()
    assert result.code == 16
    assert "could not be reached to sign in" in result.sentence
    assert "request send failed" in result.stderr
    assert len(plain.called("docker-credential-ecr-login")) == 5


def test_another_registry_needs_no_sign_in(plain: Machine) -> None:
    plain.docker(
        registry={
            f"localhost:5000/comfyui@{NEW_DIGEST}": an_image(
                RepoDigests=[f"localhost:5000/comfyui@{NEW_DIGEST}"]
            )
        }
    )
    assert plain.provision(ImageUri="localhost:5000/comfyui").code == 0
    assert not plain.called("docker-credential-ecr-login")


@pytest.mark.parametrize(("status", "code"), [("0", 0), ("2", 0), ("1", 12), ("124", 12)])
def test_cloud_init_must_have_ended_well(plain: Machine, status: str, code: int) -> None:
    plain.set("cloud-init-status", status)
    assert plain.provision().code == code


def test_an_image_without_cloud_init_is_refused(plain: Machine) -> None:
    (plain.bin / "cloud-init").unlink()
    result = plain.provision()
    assert result.code == 12
    assert "no cloud-init" in result.sentence


def test_packages_that_cannot_be_fetched_are_a_failure_of_their_own(plain: Machine) -> None:
    plain.set("no-network", "")
    result = plain.provision()
    assert result.code == 13
    assert len([call for call in plain.calls if call.endswith(" update")]) == 5


def test_a_daemon_that_does_not_answer_is_named(builder: Machine) -> None:
    builder.docker(daemon_up=False)
    result = builder.provision()
    assert result.code == 18
    assert "Docker daemon" in result.sentence


def test_daemon_settings_that_are_not_json_are_named(builder: Machine) -> None:
    builder.write("etc/docker/daemon.json", "not json")
    result = builder.provision()
    assert result.code == 19
    assert "daemon.json" in result.sentence


@pytest.mark.parametrize(
    "settings",
    [
        {"ContainerEnvironment": encoded({"A": "two\nlines"})},
        {"ContainerEnvironment": encoded({"A B": "1"})},
        {"ContainerEnvironment": encoded(["A"])},
        {"ContainerCommand": encoded({"a": "b"})},
        {"ContainerCommand": encoded([1])},
        {"ContainerCommand": encoded(["a\nExecStartPost=/bin/evil"])},
        {"ContainerCommand": "AAA"},
        {"ContainerPorts": "70000:80"},
        {"ContainerPorts": "80:8080,80:8081"},
        {"ContainerCommand": encoded(["a\tb"])},
        {"ContainerCommand": encoded(["\ud800"])},
        {"ContainerEnvironment": encoded({"A": "x" * 65_536})},
        {"ContainerVolumes": "/data:/"},
        {"ContainerVolumes": "/data:/models,/other:/models/"},
    ],
)
def test_container_settings_that_cannot_work_are_refused_before_anything_is_installed(
    plain: Machine, settings: dict[str, str | None]
) -> None:
    result = plain.provision(**settings)
    assert result.code == 10
    assert not (plain.root / UNIT).exists()
    assert not plain.called("apt-get")
    assert not plain.called("docker")


def test_an_agent_that_passes_no_variables_is_named_as_too_old(plain: Machine) -> None:
    result = plain.provision(ImageUri=None)
    assert result.code == 10
    assert "update the SSM Agent" in result.sentence
    assert "3.3.2746.0" in result.sentence
