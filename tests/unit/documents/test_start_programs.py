"""What an instance runs when it starts the container: values are fetched into memory, and go past Docker's files."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.unit.documents.scratch_machine import DOCUMENTS, Machine, encoded

from ami_lifecycle.domain.packing import packed
from ami_lifecycle.domain.start_programs import START_PROGRAMS

PROGRAMS = DOCUMENTS / "start_programs"
KEYS = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "example/key", "Token": "session=="}
METADATA = {
    "meta-data/placement/region": "eu-central-1",
    "meta-data/iam/security-credentials/": "the-role",
    "meta-data/iam/security-credentials/the-role": json.dumps(KEYS),
    "meta-data/instance-id": "i-1",
    "meta-data/tags/instance/Shard": "7",
    "user-data": "#!/bin/sh\n# ami-lifecycle canary\nset -e\n",
}
BUILDER = {"user-data": "#!/bin/sh\n# ami-lifecycle builder\nset -e\n"}


@dataclass
class Cloud:
    """Instance metadata and the services behind one address, and what was asked of them."""

    metadata: dict[str, str | bytes] = field(default_factory=lambda: dict(METADATA))
    session_status: int = 200
    # How many of the next answers end before their end.
    cut: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    failures: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    address: str = ""

    def answer(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """Status and content of an answer to an API call."""
        self.asked.append((headers, body))
        if self.failures:
            return self.failures.pop(0)
        content = json.loads(body)
        if headers["x-amz-target"] == "AmazonSSM.GetParameter":
            assert content.pop("WithDecryption") is True
            name = content.pop("Name")
            assert content == {}
            if name not in self.values:
                return 400, {"__type": "ParameterNotFound"}
            return 200, {"Parameter": {"Name": name, "Value": self.values[name]}}
        assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
        name = content["SecretId"]
        if name not in self.values:
            return 400, {"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find it."}
        value = self.values[name]
        return 200, {"SecretBinary": "AA=="} if value is None else {"SecretString": value}


@contextmanager
def served(cloud: Cloud) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing."""

        def reply(self, status: int, text: str | bytes) -> None:
            content = text if isinstance(text, bytes) else text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) + (cloud.cut > 0)))
            cloud.cut -= 1
            self.end_headers()
            self.wfile.write(content)

        def do_PUT(self) -> None:
            assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "60"
            self.reply(cloud.session_status, "a-session")

        def do_GET(self) -> None:
            known = cloud.metadata.get(self.path.removeprefix("/latest/"))
            assert self.headers["X-aws-ec2-metadata-token"] == "a-session"
            self.reply(404 if known is None else 200, b"" if known is None else known)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = cloud.answer({k.lower(): v for k, v in self.headers.items()}, body)
            self.reply(status, content if isinstance(content, str) else json.dumps(content))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    cloud.address = f"127.0.0.1:{server.server_address[1]}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    with served(made):
        yield made


def fetch(root: Path, cloud: Cloud, *arguments: str, **asked: Any) -> subprocess.CompletedProcess[str]:
    (root / "etc/ami-lifecycle").mkdir(parents=True, exist_ok=True)
    (root / "etc/ami-lifecycle/container-values.json").write_text(json.dumps(asked))
    environment = {
        "AMI_LIFECYCLE_ROOT": str(root),
        "AMI_LIFECYCLE_METADATA": f"http://{cloud.address}",
        "AMI_LIFECYCLE_ENDPOINT": f"http://{cloud.address}",
        # The way to the metadata is none for a proxy.
        "no_proxy": "127.0.0.1",
    }
    return subprocess.run(  # noqa: S603 - the program is the subject under test
        [sys.executable, str(PROGRAMS / "container_values.py"), *arguments],
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )


def fetched(root: Path) -> dict[str, str]:
    path = root / "run/ami-lifecycle/container-values.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def test_secrets_and_variables_are_fetched_into_one_file_in_memory(tmp_path: Path, cloud: Cloud) -> None:
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/key-a1b2c3"
    cloud.values = {"/app/token": 'it\'s "$x"\nü', "app/db": '{"password": "p", "port": 5432}', arn: "s"}
    done = fetch(
        tmp_path,
        cloud,
        secrets={
            "TOKEN": "ssm:/app/token",
            "PASSWORD": "secretsmanager:app/db#password",
            "PORT": "secretsmanager:app/db#port",
            "KEY": f"secretsmanager:{arn}",
        },
        instance_variables={
            "SHARD": "tag:Shard",
            "ID": "imds:instance-id",
            "COLOR": "tag:Color|blue|green",
            "SPOT": "imds:spot/instance-action|",
        },
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert fetched(tmp_path) == {
        "TOKEN": 'it\'s "$x"\nü',
        "PASSWORD": "p",
        "PORT": "5432",
        "KEY": "s",
        "SHARD": "7",
        "ID": "i-1",
        "COLOR": "blue|green",
        "SPOT": "",
    }


@pytest.mark.parametrize(
    ("source", "service", "region"),
    [
        ("ssm:/a", "ssm", "eu-central-1"),
        ("ssm:arn:aws:ssm:us-west-2:123456789012:parameter/a", "ssm", "us-west-2"),
        ("secretsmanager:a", "secretsmanager", "eu-central-1"),
    ],
)
def test_a_call_is_signed_as_the_sdk_signs_it(
    tmp_path: Path, cloud: Cloud, source: str, service: str, region: str
) -> None:
    cloud.values = {source.partition(":")[2]: "v"}
    assert fetch(tmp_path, cloud, secrets={"A": source}).returncode == 0
    ((headers, body),) = cloud.asked
    signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    request = AWSRequest(
        "POST",
        f"http://{headers['host']}/",
        data=body,
        headers={name: headers[name] for name in signed if name not in {"host", "x-amz-date"}},
    )
    credentials = Credentials(KEYS["AccessKeyId"], KEYS["SecretAccessKey"], KEYS["Token"])
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(credentials, service, region)
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    scope = f"{headers['x-amz-date'][:8]}/{region}/{service}/aws4_request"
    assert headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={KEYS['AccessKeyId']}/{scope}, SignedHeaders={';'.join(signed)}, "
        f"Signature={signature}"
    )
    sent = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - sent).total_seconds()) < 60


@pytest.mark.parametrize(
    ("source", "changes", "words"),
    [
        ("ssm:/a", {}, "the parameter /a in eu-central-1 does not exist; create it"),
        ("secretsmanager:a", {}, "the secret a in eu-central-1 does not exist"),
        (
            "ssm:/a",
            {"failures": [(400, {"__type": "AccessDeniedException", "Message": "no"})]},
            "the instance's role may not read the parameter /a in eu-central-1; grant it ssm:GetParameter",
        ),
        (
            "secretsmanager:a",
            {"failures": [(400, {"__type": "com.amazonaws#DecryptionFailure", "Message": "the key is off"})]},
            "cannot be read, DecryptionFailure the key is off",
        ),
        ("ssm:/a", {"failures": [(403, "<html>a proxy</html>")]}, "cannot be read, 403"),
        ("secretsmanager:a", {"values": {"a": None}}, "has no text"),
        ("secretsmanager:a#b", {"values": {"a": "text"}}, "is no JSON object with b"),
        ("secretsmanager:a#b", {"values": {"a": "{}"}}, "is no JSON object with b"),
        ("ssm:/a", {"values": {"/a": "x\0"}}, "has a zero byte"),
        (
            "ssm:/a",
            {"metadata": {**METADATA, "meta-data/iam/security-credentials/": ""}},
            "the instance has no role",
        ),
        # IAM user guide, "Troubleshoot IAM and Amazon EC2": the document of a role that EC2 cannot assume.
        (
            "ssm:/a",
            {
                "metadata": {
                    **METADATA,
                    "meta-data/iam/security-credentials/the-role": '{"Code": "AssumeRoleUnauthorizedAccess"}',
                }
            },
            "no keys of its role the-role (AssumeRoleUnauthorizedAccess); let ec2.amazonaws.com assume it",
        ),
        (
            "ssm:/a",
            {"session_status": 403},
            "meta-data/placement/region with status 403; launch the instance with HttpEndpoint=enabled",
        ),
    ],
)
def test_a_secret_that_cannot_be_had_is_named_with_the_remedy(
    tmp_path: Path, cloud: Cloud, source: str, changes: dict[str, Any], words: str
) -> None:
    for name, value in changes.items():
        setattr(cloud, name, value)
    done = fetch(tmp_path, cloud, secrets={"A": source})
    assert done.returncode == 1
    assert done.stderr.startswith("no A for the container, because ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_every_value_that_is_missing_is_named(tmp_path: Path, cloud: Cloud) -> None:
    done = fetch(
        tmp_path, cloud, instance_variables={"A": "tag:Color", "B": "imds:public-ipv4", "C": "tag:Shard"}
    )
    assert done.returncode == 1
    assert "no tag Color; set the tag, and InstanceMetadataTags to enabled" in done.stderr
    assert "nothing at meta-data/public-ipv4" in done.stderr
    assert done.stderr.count("for the container, because") == 2


def test_throttling_and_outages_are_waited_for(tmp_path: Path, cloud: Cloud) -> None:
    cloud.values = {"/a": "v"}
    cloud.failures = [(400, {"__type": "ThrottlingException"}), (503, "")]
    assert fetch(tmp_path, cloud, secrets={"A": "ssm:/a"}).returncode == 0
    assert fetched(tmp_path) == {"A": "v"}


def test_an_answer_that_is_cut_off_is_asked_for_again(tmp_path: Path, cloud: Cloud) -> None:
    cloud.cut = 1
    assert fetch(tmp_path, cloud, instance_variables={"A": "tag:Shard"}).returncode == 0
    assert fetched(tmp_path) == {"A": "7"}


# What Terraform's `cloudinit_config` makes of user data by default, and a file that has everything in it.
@pytest.mark.parametrize("given", [gzip.compress(b"#!/bin/sh\n", mtime=0), bytes(range(256))])
def test_user_data_that_are_no_text_are_no_builders(tmp_path: Path, cloud: Cloud, given: bytes) -> None:
    cloud.metadata["user-data"] = given
    done = fetch(tmp_path, cloud, "condition")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("status", [403, 400])
def test_an_instance_that_cannot_tell_what_it_is_tries_again(
    tmp_path: Path, cloud: Cloud, status: int
) -> None:
    # systemd.service(5), "ExecCondition=": with 1 to 254 the unit is skipped, and `Restart=` does not start it again.
    cloud.session_status = status
    done = fetch(tmp_path, cloud, "condition")
    assert done.returncode == 255
    assert done.stderr == (
        f"the instance metadata answer user-data with status {status}; launch the instance with HttpEndpoint=enabled\n"
    )


def test_a_builder_starts_no_container_that_fetches_values(tmp_path: Path, cloud: Cloud) -> None:
    assert fetch(tmp_path, cloud, "condition").returncode == 0
    cloud.metadata |= BUILDER
    assert fetch(tmp_path, cloud, "condition").returncode == 1
    del cloud.metadata["user-data"]
    assert fetch(tmp_path, cloud, "condition").returncode == 0


# The runtime.


def start(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the runtime as containerd does, with a runc that says what it got."""
    runc = tmp_path / "bin/runc"
    runc.parent.mkdir(exist_ok=True)
    runc.write_text('#!/bin/sh\necho "runc $*"\n')
    runc.chmod(0o755)
    environment = {"PATH": f"{runc.parent}:{os.environ['PATH']}", "AMI_LIFECYCLE_ROOT": str(tmp_path)}
    command = [sys.executable, str(PROGRAMS / "container_runtime.py"), *arguments]
    return subprocess.run(command, env=environment, text=True, capture_output=True, check=False)  # noqa: S603


@pytest.mark.parametrize("bundle", [["--bundle", "{}"], ["--bundle={}"]])
def test_the_runtime_adds_the_values_to_the_bundle(tmp_path: Path, bundle: list[str]) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    before = {"ociVersion": "1.2", "process": {"args": ["x"], "env": ["PATH=/bin", "TOKEN=of the image"]}}
    (folder / "config.json").write_text(json.dumps(before))
    (tmp_path / "run/ami-lifecycle").mkdir(parents=True)
    (tmp_path / "run/ami-lifecycle/container-values.json").write_text('{"TOKEN": "a=b\\n"}')
    given = ["--root", "/run/docker", "create", *(word.format(folder) for word in bundle), "id"]
    done = start(tmp_path, *given)
    assert (done.returncode, done.stdout) == (0, f"runc {' '.join(given)}\n")
    after = json.loads((folder / "config.json").read_text())
    assert after["process"].pop("env") == ["PATH=/bin", "TOKEN=a=b\n"]
    assert after["process"] == {"args": ["x"]}
    assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o600


def test_the_runtime_starts_no_container_without_its_values(tmp_path: Path) -> None:
    done = start(tmp_path, "create", "--bundle", str(tmp_path), "id")
    assert done.returncode == 1
    assert "start it with systemctl" in done.stderr


@pytest.mark.parametrize(
    "call", ["--version", "delete --force id", "state id", "exec --process /x id create"]
)
def test_what_else_is_asked_of_the_runtime_is_runcs(tmp_path: Path, call: str) -> None:
    assert start(tmp_path, *call.split()).stdout == f"runc {call}\n"


# The image.

VALUES = {"secrets": {"TOKEN": "ssm:/app/token"}, "instance_variables": {"SHARD": "tag:Shard"}}
GIVEN = {"ContainerValues": encoded(VALUES), "ContainerPrograms": packed(START_PROGRAMS)}
FOLDER = "usr/local/lib/ami-lifecycle"


def test_an_image_has_programs_and_names_and_no_value(builder: Machine) -> None:
    assert builder.provision(**GIVEN).code == 0
    unit = builder.read("etc/systemd/system/comfyui.service")
    lines = [line for line in unit.splitlines() if "container-values" in line]
    assert lines == [
        f"ExecCondition=/{FOLDER}/container-values condition",
        f"ExecStartPre=/{FOLDER}/container-values",
        "ExecStopPost=-/bin/rm -f /run/ami-lifecycle/container-values.json",
    ]
    assert " --runtime ami-lifecycle " in unit
    assert json.loads(builder.read("etc/ami-lifecycle/container-values.json")) == VALUES
    daemon = json.loads(builder.read("etc/docker/daemon.json"))
    assert daemon["runtimes"] == {"ami-lifecycle": {"path": f"/{FOLDER}/container-runtime"}}
    for name, text in START_PROGRAMS.items():
        assert builder.read(f"{FOLDER}/{name}") == f"#!/usr/bin/python3\n{text}"
        assert stat.S_IMODE((builder.root / FOLDER / name).stat().st_mode) == 0o755


def test_an_update_without_values_leaves_nothing_of_them(builder: Machine) -> None:
    before = builder.provision()
    settings, unit = (
        builder.read(name) for name in ("etc/docker/daemon.json", "etc/systemd/system/comfyui.service")
    )
    assert before.code == 0
    assert [builder.provision(**given).code for given in (GIVEN, {})] == [0, 0]
    assert not (builder.root / FOLDER).exists()
    assert not (builder.root / "etc/ami-lifecycle/container-values.json").exists()
    assert builder.read("etc/docker/daemon.json") == settings
    assert builder.read("etc/systemd/system/comfyui.service") == unit


@pytest.mark.parametrize("value", ["[]", '{"secrets": []}', "{"])
def test_malformed_values_are_refused_before_anything_is_done(plain: Machine, value: str) -> None:
    result = plain.provision(ContainerValues=encoded(value))
    assert result.code == 10
    assert plain.called("docker") == []
