"""The test bed: instances on which the documents run, and what their disks hold afterwards."""

import base64
import dataclasses
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.provisioning.oci_images import OciImage, push

from aws_emulator.machines.agent import DocumentStep, StepResult, run_step
from aws_emulator.machines.base_image import ImageStore
from aws_emulator.machines.disks import MountedDisk
from aws_emulator.machines.ecr_endpoint import EcrEndpoint
from aws_emulator.machines.instance_metadata import Identity
from aws_emulator.machines.machine import Machine
from aws_emulator.machines.machine_host import Archive, MachineHost

DOCUMENTS = Path(__file__).resolve().parents[3] / "documents"
PROVISION = DocumentStep.read(DOCUMENTS / "provision_image.yaml")
VERIFY = DocumentStep.read(DOCUMENTS / "verify_image.yaml")
REPOSITORY = "comfyui"
IMAGE_URI = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{REPOSITORY}"
IDENTITY = {
    "ImageUri": IMAGE_URI,
    "Region": "us-east-1",
    "Application": "comfyui",
    "Environment": "prod",
    "RunId": "run-1",
}
BUILD = IDENTITY | {"ImageTag": "prod-latest", "ContainerPorts": "8188:8080", "MinimumFreeGiB": "0"}
CHECK = IDENTITY | {
    "HealthCheck": "http",
    "HealthPort": "8188",
    "HealthTimeoutSeconds": "30",
    "MinimumFreeGiB": "0",
}
# What a shell would act on, if a value ever reached one as text.
METACHARACTERS = (
    "x; touch /pwned",
    "$(touch /pwned)",
    "`touch /pwned`",
    "a\ntouch /pwned",
    "-\n",
    "' || touch /pwned '",
)
DISK_MIB = 3072
# Waiting between attempts is not what these tests are about.
IMPATIENT = {
    "sleep": 'exec /bin/sleep "$(awk -v s="$1" "BEGIN { print s / 20 }")"',
    "apt-get": 'exec /usr/bin/apt-get "${@/DPkg::Lock::Timeout=600/DPkg::Lock::Timeout=3}"',
}


@dataclass
class Ending:
    """How a document ended."""

    code: int
    stdout: str
    stderr: str

    @classmethod
    def of(cls, result: StepResult) -> "Ending":
        """Take over a result of the agent."""
        return cls(result.exit_code, result.stdout, result.stderr)

    @property
    def facts(self) -> dict[str, Any]:
        """The JSON object in the last line of a document that succeeded."""
        assert self.code == 0, f"exit code {self.code}\n{self.stdout}\n{self.stderr}"
        found = json.loads(self.stdout.splitlines()[-1])
        assert isinstance(found, dict)
        return found

    def failed(self, code: int) -> str:
        """Assert a failure of a class that is told in one sentence, and return the sentence."""
        assert self.code == code, f"exit code {self.code}, not {code}\n{self.stdout}\n{self.stderr}"
        sentences = [line for line in self.stderr.splitlines() if line.startswith("ami-lifecycle: ")]
        assert sentences == self.stderr.splitlines()[:1]
        return sentences[0]


@dataclass
class Instance:
    """A machine with the identity of an instance."""

    machines: MachineHost
    machine: Machine
    identity: Identity
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, step: DocumentStep, parameters: dict[str, str], timeout_seconds: float = 300) -> Ending:
        """Run a document as the agent does."""
        environment = step.environment(parameters) | self.environment
        return Ending.of(run_step(self.machine, step, environment, timeout_seconds=timeout_seconds))

    def provision(
        self, digest: str, mode: str = "update", timeout_seconds: float = 300, **changes: str
    ) -> Ending:
        """Run ProvisionImage."""
        return self.run(PROVISION, BUILD | {"ImageDigest": digest, "Mode": mode} | changes, timeout_seconds)

    def verify(self, digest: str, **changes: str) -> Ending:
        """Run VerifyImage."""
        return self.run(VERIFY, CHECK | {"ImageDigest": digest} | changes)

    def provision_and_cut_power(self, digest: str, after_seconds: float) -> Ending:
        """Run ProvisionImage as an update, and cut the power in the middle."""
        timer = threading.Timer(after_seconds, self.machine.cut_power)
        timer.start()
        try:
            return self.provision(digest)
        finally:
            timer.join()

    @property
    def archive(self) -> Archive:
        """The archive of packages that this machine reaches."""
        return self.machines.archives[self.machine.name]

    def be_impatient(self) -> None:
        """Let the scripts on this instance wait a twentieth of the time."""
        folder = self.machine.root / "run/impatient"
        folder.mkdir(exist_ok=True)
        for name, body in IMPATIENT.items():
            if not any((self.machine.root / place / name).exists() for place in ("bin", "usr/bin")):
                continue
            (folder / name).write_text(f"#!/bin/bash\n{body}\n")
            (folder / name).chmod(0o755)
        self.environment["PATH"] = (
            "/run/impatient:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        )

    def shell(self, script: str) -> str:
        """Run a shell script on the machine, and return what it prints."""
        return self.machine.execute("bash", "-ec", script)

    def stop(self) -> Path:
        """Shut down, and return the disk."""
        self.machine.power_off()
        self.machines.end(self.machine.name)
        return self.machine.disk

    def state(self) -> dict[str, Any]:
        """What an image of this machine would hold, as far as it must not differ between runs."""
        images = self.shell(
            "docker image ls --all --digests --no-trunc --format '{{.ID}} {{.Repository}} {{.Tag}} {{.Digest}}'"
        )
        record = json.loads((self.machine.root / "etc/ami-lifecycle/build.json").read_text())
        record.pop("provisioned_at")
        return {
            "images": sorted(images.split("\n")),
            "containers": self.shell("docker ps --all --quiet"),
            "volumes": self.shell("docker volume ls --quiet"),
            "unit": self.shell("cat /etc/systemd/system/comfyui.service"),
            "enabled": self.shell("systemctl is-enabled comfyui docker"),
            "daemon": self.shell("cat /etc/docker/daemon.json"),
            "packages": self.shell("dpkg --list | grep -v ^ii || true"),
            "identity": self.shell("cat /etc/machine-id; ls /etc/ssh/ssh_host* 2>/dev/null || true"),
            "record": record,
        }


@dataclass
class Bed:
    """Launches instances, and pushes images."""

    machines: MachineHost
    pushes: EcrEndpoint
    store: ImageStore

    def push(self, image: OciImage, tag: str | None = None) -> str:
        """Push an image, and return its digest."""
        host, port = self.pushes.server_address[:2]
        push(
            f"http://{host!s}:{port}", REPOSITORY, image, tag or image.digest, self.machines.authority.issue()
        )
        return image.digest

    @contextmanager
    def instance(
        self, disk: Path, *, user_data: str = "", public_key: str = "", tags: dict[str, str] | None = None
    ) -> Iterator[Instance]:
        """An instance on a copy of a disk; ended when the block ends."""
        who = Identity(f"i-{secrets.token_hex(8)}0", user_data=user_data, public_key=public_key, tags=tags)
        own = self.machines.new_disk(disk, DISK_MIB)
        try:
            machine = self.machines.launch(who, own)
            try:
                yield Instance(self.machines, machine, who)
            finally:
                self.machines.end(machine.name)
        finally:
            own.unlink(missing_ok=True)

    def keep(self, disk: Path) -> Path:
        """A copy of the disk of a machine that is off."""
        return self.machines.new_disk(disk)

    @contextmanager
    def files(self, disk: Path) -> Iterator[Path]:
        """The files of a disk that no machine uses."""
        with MountedDisk(disk, self.machines.directory / f"look-{secrets.token_hex(4)}") as root:
            yield root


@dataclass
class Secrets:
    """Credentials that were on a builder, and where traces of them were planted."""

    planted: dict[str, str] = field(default_factory=dict)

    def plant(self, instance: Instance) -> None:
        """Leave credentials where people, tools and the base image leave them."""
        for path in (
            "root/.docker/config.json",
            "root/.aws/credentials",
            "root/.bash_history",
            "root/.ssh/authorized_keys",
            "root/.netrc",
            "root/.ecr/cache.json",
            "home/ubuntu/.bash_history",
            "home/ubuntu/.git-credentials",
            "home/ubuntu/.aws/credentials",
            "home/ubuntu/.cache/pip/http/1",
            "tmp/install.sh",
            "var/tmp/token",
            "var/crash/core.1",
            "var/log/app/app.log",
            "var/log/app/app.log.1",
            "var/log/app/app.log.2.gz",
            "var/log/syslog",
            "var/lib/systemd/coredump/core.app.1",
            "var/mail/root",
            "var/lib/dhcp/dhclient.leases",
            "etc/ssh/ssh_host_rsa_key",
            "etc/netplan/50-cloud-init.yaml",
            "var/lib/ubuntu-advantage/private/machine-token.json",
            "var/lib/amazon/ssm/ipc/channel",
        ):
            secret = self.planted[path] = f"planted-{secrets.token_hex(12)}"
            target = instance.machine.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("a") as stream:
                stream.write(f"secret={secret}\n")
        self.planted["the journal"] = f"planted-{secrets.token_hex(12)}"
        instance.shell(f"logger 'a program says {self.planted['the journal']}'")


def files_with(root: Path, needles: dict[str, str]) -> list[str]:
    """Which of the texts are in which files below a directory; names of files count too."""
    wanted = {name: needle.encode() for name, needle in needles.items()}
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file():
                continue
            content = path.read_bytes()
            found += [
                f"{what} in {path.relative_to(root)}" for what, needle in wanted.items() if needle in content
            ]
    return found


def raw_with(disk: Path, needles: dict[str, str]) -> list[str]:
    """Which of the texts are anywhere on a disk, in blocks of deleted files too."""
    wanted = {name: needle.encode() for name, needle in needles.items()}
    longest = max(map(len, wanted.values()))
    found: set[str] = set()
    with disk.open("rb") as stream:
        tail = b""
        while block := stream.read(16 * 1024 * 1024):
            found |= {name for name, needle in wanted.items() if needle in tail + block}
            tail = block[-longest:]
    return sorted(found)


def encoded(value: object) -> str:
    """Base64 of a string, or of the JSON of anything else."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def as_seen(identity: Identity) -> dict[str, str]:
    """The secrets of an instance's role."""
    assert identity.credentials is not None
    return {f"the role's {name}": value for name, value in dataclasses.asdict(identity.credentials).items()}
