"""What went wrong with a pull, by the words of Docker 20.10, 28 and 29 and of containerd 1.7 and 2."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.unit.documents.scratch_machine import DOCUMENTS, IMAGE_URI, NEW_DIGEST

from ami_lifecycle.domain import disk_space

HOST = IMAGE_URI.split("/")[0]
ERRORS = yaml.safe_load(Path(__file__).with_name("pull_errors.yaml").read_text(encoding="utf-8"))
ROWS = [(error, words) for error, rows in ERRORS.items() for words in rows]


def pull_error(words: str, folder: Path, name: str = "comfyui") -> str:
    """What the script's own function says about what Docker prints when it pulls a repository's image."""
    uri = f"{HOST}/{name}"
    names = {
        "REFERENCE": f"{uri}@{NEW_DIGEST}",
        "URI": uri,
        "HOST": HOST,
        "DIGEST": NEW_DIGEST,
        "comfyui": name,
    }
    for placeholder, value in names.items():
        words = words.replace(placeholder, value)
    (folder / "output").write_text(words + "\n")
    script = f'image_uri={uri} image_digest={NEW_DIGEST}; source "$0"; pull_error "$1"'
    command = ["bash", "-c", script, str(DOCUMENTS / "docker_image.sh"), str(folder / "output")]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603


@pytest.mark.parametrize(("error", "words"), ROWS)
def test_an_error_is_what_it_is(error: str, words: str, tmp_path: Path) -> None:
    assert pull_error(words, tmp_path) == error


@pytest.mark.parametrize(
    "name", ["throttle", "access-denied", "timeout", "no-such-host", "starport", "permission"]
)
def test_a_repository_s_name_decides_nothing(name: str, tmp_path: Path) -> None:
    for error in ("missing", "denied", "network"):
        for words in ERRORS[error]:
            assert pull_error(words, tmp_path, name) == error


def test_the_script_s_figures_are_those_of_the_plan() -> None:
    text = (DOCUMENTS / "docker_image.sh").read_text()
    for name in ("EXPECTED_UNPACKED_PERCENT", "BASE_SYSTEM_GIB", "LEFT_FREE_GIB"):
        (value,) = re.findall(rf"{name}=(\d+)", text)
        assert int(value) == getattr(disk_space, name)


@pytest.mark.parametrize("compressed_bytes", [1, 7_000_000_000, 14_000_000_000, 100 * 1024**3])
def test_the_script_and_the_plan_name_the_same_volume(compressed_bytes: int) -> None:
    script = 'source "$0"; volume_gib "$1"'
    command = ["bash", "-c", script, str(DOCUMENTS / "docker_image.sh"), str(compressed_bytes)]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
    assert int(said) == disk_space.root_volume_gib_to_set(compressed_bytes)
