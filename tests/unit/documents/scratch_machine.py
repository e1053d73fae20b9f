"""A scratch directory that looks like an Ubuntu instance to the documents' scripts.

Commands of the system are stubs that note each call; Docker is `fake_docker.py`. What runs is the script of
the generated document, with the parameters as the agent passes them.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
DOCUMENTS = REPOSITORY / "documents"
BUILDER_ID = "i-0123456789abcdef0"
CANARY_ID = "i-0fedcba9876543210"
IMAGE_URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/comfyui"
NEW_DIGEST = "sha256:" + "a" * 64
OLD_DIGEST = "sha256:" + "b" * 64
TOKEN = "token-that-must-not-stay"
# What `systemctl show` says about Ubuntu's two services for upgrades.
NO_UPGRADE = "ActiveState=inactive\n\nActiveState=failed\n"
UPGRADE = "ActiveState=inactive\n\nActiveState=activating\n"

TOOLS = """
    awk base64 bash basename cat chmod cp cut date dirname env find flock grep head install ln ls mkdir mv ps rm sed
    sha256sum sort tail timeout touch tr true truncate
"""

# Every stub notes its call. KILL_AT makes the script die at that call, as a lost instance or a timeout would.
NOTE = """#!/usr/bin/env bash
call="${0##*/} $*"
printf '%s\\n' "$call" >>"$FAKE_CALLS"
if [[ -n ${KILL_AT:-} && $call == *"$KILL_AT"* ]]; then
  kill -KILL "$(ps -o sid= -p $$ | tr -d ' ')"
  exit 137
fi
"""
STUBS = {
    "docker": 'exec "$FAKE_PYTHON" -I -S "$FAKE_DOCKER" "$@"',
    "apt-get": """
[[ ! -e $FAKE_DIR/no-network ]] || exit 100
[[ " $* " != *" install "* ]] || for command in dockerd docker-credential-ecr-login nvidia-ctk; do
  cp "$FAKE_DIR/installable/$command" "$FAKE_BIN/"
done
[[ $* != *" docker-cli" ]] || mv "$FAKE_BIN/docker-of-cli" "$FAKE_BIN/docker"
""",
    "systemctl": """
case $1 in
  is-enabled) cat "$FAKE_DIR/unit-state" ;;
  show) case $2 in
    --property=NRestarts) cat "$FAKE_DIR/restarts" ;;
    --property=ActiveState) cat "$FAKE_DIR/application-state" ;;
    --property=ActiveState*)
      cat "$FAKE_DIR/upgrades"
      [[ ! -e $FAKE_DIR/upgrades-next ]] || mv "$FAKE_DIR/upgrades-next" "$FAKE_DIR/upgrades"
      ;;
    *) cat "$FAKE_DIR/exec-start" ;;
  esac ;;
esac""",
    "cloud-init": """
[[ $1 != status ]] || exit "$(cat "$FAKE_DIR/cloud-init-status")"
rm -rf "$FAKE_ROOT/var/lib/cloud/"*""",
    "curl": """
while (($# > 0)); do
  if [[ $1 == --output && $2 != /dev/null ]]; then echo key >"$2"; fi
  shift
done
if [[ -s $FAKE_DIR/curl-error ]]; then cat "$FAKE_DIR/curl-error" >&2; exit 22; fi""",
    "gpg": 'cat "$FAKE_DIR/gpg-output"',
    "df": """
printf 'Avail\\n%s\\n' "$(cat "$FAKE_DIR/free-bytes")"
[[ ! -e $FAKE_DIR/free-bytes-next ]] || mv "$FAKE_DIR/free-bytes-next" "$FAKE_DIR/free-bytes"
""",
    "dpkg": """
[[ $1 != --print-architecture ]] || echo amd64
[[ $1 != --audit ]] || cat "$FAKE_DIR/dpkg-audit"
""",
    "dpkg-query": "exit 1",
    "containerd": 'cat "$FAKE_DIR/containerd-settings" 2>/dev/null',
    "journalctl": "echo a line of the journal",
    "uname": "echo x86_64",
    "sleep": "",
    "sync": "",
}
INSTALLABLE = {
    "dockerd": "",
    "docker-credential-ecr-login": f"""
# The helper tells why only in a file of its own.
error=$(cat "$FAKE_DIR/no-sign-in" 2>/dev/null)
[[ ! -e $FAKE_DIR/no-sign-in-next ]] || mv "$FAKE_DIR/no-sign-in-next" "$FAKE_DIR/no-sign-in"
if [[ -n $error ]]; then
  mkdir -p "$HOME/.ecr/log"
  printf 'level=error msg="Error retrieving credentials" error="%s"\\n' "$error" >>"$HOME/.ecr/log/ecr-login.log"
  echo 'credentials not found in native keychain'
  exit 1
fi
printf '{{"Username":"AWS","Secret":"{TOKEN}"}}'""",
    "nvidia-ctk": "",
}


# dnf with Amazon Linux's packages: its own Docker, whose client comes with it.
DNF = """
[[ ! -e $FAKE_DIR/no-network ]] || exit 1
if [[ " $* " == *" check "* ]]; then
  echo "Unable to detect release version" >&2
  cat "$FAKE_DIR/dnf-check"
  [[ ! -s $FAKE_DIR/dnf-check ]]
  exit
fi
[[ " $* " != *" install "* ]] || for command in dockerd docker-credential-ecr-login nvidia-ctk; do
  cp "$FAKE_DIR/installable/$command" "$FAKE_BIN/"
done
"""


def encoded(value: object) -> str:
    """Return base64 of a string, or of the JSON of anything else."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def an_image(digest: str = NEW_DIGEST, **fields: Any) -> dict[str, Any]:
    """Return what `docker image inspect` says about an image."""
    return {
        "Id": "sha256:" + digest[-1] * 63 + "0",
        "RepoDigests": [f"{IMAGE_URI}@{digest}"],
        "RepoTags": [],
        "Architecture": "amd64",
        "Os": "linux",
        "Size": 8_123_456_789,
        "Config": {"Labels": {"org.opencontainers.image.revision": "0a1b2c3", "maintainer": "nobody"}},
    } | fields


def script_of(name: str) -> str:
    """Return the script that the agent runs for a document."""
    document = yaml.safe_load((DOCUMENTS / f"{name}.yaml").read_text())
    return str(document["mainSteps"][0]["inputs"]["runCommand"][0])


@dataclass
class Result:
    """How a script ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def facts(self) -> dict[str, Any]:
        """The JSON object in the last line."""
        found = json.loads(self.stdout.splitlines()[-1])
        assert isinstance(found, dict)
        return found

    @property
    def sentence(self) -> str:
        """The first line of standard error."""
        return self.stderr.splitlines()[0]


@dataclass
class Machine:
    """One instance: a root directory, stubs, and the state of its Docker."""

    directory: Path
    parameters: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.directory / "root"
        self.bin = self.directory / "bin"
        self.control = self.directory / "control"
        for path in (self.root, self.bin, self.control / "installable"):
            path.mkdir(parents=True)
        for tool in TOOLS.split():
            found = shutil.which(tool)
            assert found, f"{tool} is needed to run the scripts"
            (self.bin / tool).symlink_to(found)
        (self.bin / "python3").symlink_to(Path(sys.executable).resolve())
        for name, body in STUBS.items():
            self.install(name, body)
        for name, body in INSTALLABLE.items():
            self._stub(self.control / "installable" / name, body)
        for file, text in {
            "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
            "etc/os-release": 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="22.04"\n',
            "etc/ssh/ssh_host_ed25519_key": "private\n",
            "etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 BUILDER root@builder\n",
            "var/lib/cloud/data/instance-id": f"{BUILDER_ID}\n",
            "proc/uptime": "100.00 50.00\n",
            "root/.profile": "",
            "home/ubuntu/.profile": "",
        }.items():
            self.write(file, text)
        for name, text in {
            "cloud-init-status": "0",
            "free-bytes": str(40 * 1024**3),
            "unit-state": "enabled",
            "restarts": "0",
            "application-state": "active",
            "exec-start": "",
            "upgrades": NO_UPGRADE,
            "dpkg-audit": "",
            "gpg-output": "fpr:::::::::C95B321B61E88C1809C4F759DDCAE044F796ECB0:\n",
        }.items():
            self.set(name, text)
        self.docker(
            images={},
            containers={},
            registry={f"{IMAGE_URI}@{NEW_DIGEST}": an_image()},
            pull_errors=[],
            stuck_images=[],
            store="containerd",
            containerd_address="/run/containerd/containerd.sock",
            volumes=[],
            daemon_up=True,
            container_log="",
        )

    def write(self, path: str, text: str) -> Path:
        """Create a file below the root."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.exists():
            target.unlink()
        target.write_text(text)
        return target

    def become_amazon_linux(self) -> None:
        """Have dnf, and nothing of Debian's."""
        for name in ("apt-get", "dpkg", "dpkg-query", "snap"):
            (self.bin / name).unlink(missing_ok=True)
        self.install("dnf", DNF)
        self.set("dnf-check", "")
        self.write("etc/os-release", 'NAME="Amazon Linux"\nID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n')

    def read(self, path: str) -> str:
        """Return a file's text below the root."""
        return (self.root / path).read_text()

    def set(self, name: str, text: str) -> None:
        """Say how a stub answers from now on."""
        (self.control / name).write_text(text)

    def install(self, name: str, body: str | None = None) -> None:
        """Put a command into the PATH."""
        self._stub(self.bin / name, INSTALLABLE[name] if body is None else body)

    def _stub(self, path: Path, body: str) -> None:
        path.unlink(missing_ok=True)
        path.write_text(NOTE + body + "\n")
        path.chmod(0o755)

    @property
    def docker_state(self) -> dict[str, Any]:
        """The state of the fake Docker."""
        state = json.loads((self.control / "docker.json").read_text())
        assert isinstance(state, dict)
        return state

    def docker(self, **fields: Any) -> None:
        """Change the state of the fake Docker."""
        path = self.control / "docker.json"
        state = self.docker_state if path.exists() else {}
        path.write_text(json.dumps(state | fields))

    @property
    def calls(self) -> list[str]:
        """All commands called so far, one string each."""
        path = self.control / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def called(self, start: str) -> list[str]:
        """The calls that begin like this."""
        return [call for call in self.calls if call.startswith(start)]

    def start(self, document: str, *, kill_at: str = "", **changes: str | None) -> subprocess.Popen[str]:
        """Start a document's script as the agent does; a parameter that is None does not arrive."""
        script = self.directory / f"{document}.sh"
        script.write_text(script_of(document))
        values = {name: value for name, value in (self.parameters | changes).items() if value is not None}
        environment = {
            "PATH": str(self.bin),
            # As the agent has it for every command (amazon-ssm-agent, agent/executers).
            "AWS_SSM_INSTANCE_ID": "i-0123456789abcdef0",
            "AMI_LIFECYCLE_ROOT": str(self.root),
            "FAKE_ROOT": str(self.root),
            "FAKE_BIN": str(self.bin),
            "FAKE_DIR": str(self.control),
            "FAKE_CALLS": str(self.control / "calls"),
            "FAKE_STATE": str(self.control / "docker.json"),
            "FAKE_DOCKER": str(Path(__file__).with_name("fake_docker.py")),
            "FAKE_PYTHON": str(Path(sys.executable).resolve()),
            "KILL_AT": kill_at,
            **{f"SSM_{name}": value for name, value in values.items()},
        }
        return subprocess.Popen(  # noqa: S603 - the script is the subject under test
            ["/usr/bin/env", "bash", str(script)],
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, document: str, *, kill_at: str = "", **changes: str | None) -> Result:
        """Run a document's script to its end."""
        with self.start(document, kill_at=kill_at, **changes) as process:
            stdout, stderr = process.communicate(timeout=60)
        return Result(process.returncode, stdout, stderr)

    def provision(self, *, kill_at: str = "", **changes: str | None) -> Result:
        """Run ProvisionImage."""
        return self.run("provision_image", kill_at=kill_at, **changes)

    def verify(self, *, kill_at: str = "", **changes: str | None) -> Result:
        """Run VerifyImage."""
        return self.run("verify_image", kill_at=kill_at, **changes)

    def run_finish(self) -> int:
        """Run what the shutdown unit runs when everything else has stopped; return its status."""
        finish = self.root / "run/ami-lifecycle/finish.sh"
        command = ["/usr/bin/env", "bash", str(finish)]
        return subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - the script is ours

    def boot_as_canary(self, reference: str) -> None:
        """Do what a first boot of the image does: a new identity, an empty /run, the application up."""
        shutil.rmtree(self.root / "run", ignore_errors=True)
        self.write("etc/machine-id", "fedcba9876543210fedcba9876543210\n")
        self.write("etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 CANARY root@canary\n")
        self.write("var/lib/cloud/data/instance-id", f"{CANARY_ID}\n")
        self.write("var/log/syslog", f"{CANARY_ID} has booted\n")
        started = (datetime.now(UTC) - timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
        (image_id,) = self.docker_state["images"]
        state = {"Running": True, "StartedAt": started}
        self.docker(
            containers={"comfyui": {"Image": image_id, "Config": {"Image": reference}, "State": state}}
        )
        self.set(
            "exec-start", f"ExecStart={{ argv[]=/usr/bin/docker run --rm --name comfyui {reference} ; }}"
        )

    def end_state(self) -> dict[str, Any]:
        """What an image of this machine would hold, as far as it must not differ between runs."""
        record = json.loads(self.read("etc/ami-lifecycle/build.json"))
        record.pop("provisioned_at")
        return {
            "images": self.docker_state["images"],
            "containers": self.docker_state["containers"],
            "unit": self.read("etc/systemd/system/comfyui.service"),
            "settings": self.read("etc/docker/daemon.json"),
            "record": record,
            "machine id": self.read("etc/machine-id"),
            "host keys": sorted(path.name for path in self.root.glob("etc/ssh/ssh_host_*")),
        }

    def files_with(self, text: str) -> list[str]:
        """The files below the root that contain a text."""
        found = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                if path.is_file() and text.encode() in path.read_bytes():
                    found.append(str(path.relative_to(self.root)))
        return found
