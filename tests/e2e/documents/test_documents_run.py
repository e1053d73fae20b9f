"""Every code block of README and docs/ works as it is typed, or is listed with the reason why it cannot be run here."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from tests.e2e.documents.blocks import SHELL, Block, blocks_of
from tests.e2e.documents.readers import (
    BEFORE,
    ENDS,
    NOT_RUN,
    PAGES,
    PICTURES,
    PROJECTS,
    STANDS_FOR,
    WITH_A_STACK,
)
from tests.e2e.documents.shell_session import Done, Room, exported

from ami_lifecycle.domain.outcomes import OUTCOMES
from ami_lifecycle.domain.package_list import dump_packages, load_packages
from ami_lifecycle.domain.request import BuildRequest
from ami_lifecycle.steps.decide_approval import DecideInput
from ami_lifecycle_cli.json_documents import ListedPackages
from aws_emulator.faults.rules import FAULTS
from parameter_config import load_config

ROOT = Path(__file__).resolve().parents[3]
NAMES = sorted({*PAGES, *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))})
BLOCKS = [block for page in NAMES for block in blocks_of(ROOT, page)]
TYPED = [block for block in BLOCKS if block.language in SHELL]
DURATIONS = {
    "instance_running": 1, "agent_online": 4, "canary_online": 4, "provision": 20, "verify": 4, "stop": 3, "image": 8,
}  # fmt: skip


def name_of(block: Block) -> str:
    return f"{block.page}:{block.line}"


def of_language(*languages: str) -> list[Any]:
    return [pytest.param(block, id=name_of(block)) for block in BLOCKS if block.language in languages]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """An emulated account; what its start says to export."""
    room = Room(tmp_path_factory.mktemp("emulator"))
    room.checkout.mkdir()
    durations = room.directory / "durations.json"
    durations.write_text(json.dumps(DURATIONS))
    options = f"--port 0 --time-scale 0.02 --durations {durations}"
    try:
        started = room.serve(f"cd {ROOT}\nami-lifecycle emulator start {options}")
        assert started.exit_code == 0, started.notes
        yield exported(started.notes)
    finally:
        room.close()


@pytest.fixture(scope="module")
def published(stack: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The same, with an image in `prod`."""
    room = Room(tmp_path_factory.mktemp("first"), dict(stack))
    room.checkout.mkdir()
    done = room.type(f"cd {ROOT}\nami-lifecycle emulator push prod\nami-lifecycle wait prod --timeout 600")
    assert done.exit_code == 0, done.notes
    return stack


@pytest.fixture(scope="module")
def typed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """How each block of a page ended; a page is typed once, from its top."""
    pages: dict[str, dict[int, Done]] = {}

    def type_page(page: str) -> dict[int, Done]:
        if page not in pages:
            variables = request.getfixturevalue("published") if page in WITH_A_STACK else {}
            room = Room(tmp_path_factory.mktemp("reader"), dict(variables))
            room.furnish(ROOT)
            try:
                pages[page] = dict(type_all(room, page))
            finally:
                room.close()
        return pages[page]

    return type_page


def type_all(room: Room, page: str) -> Iterator[tuple[int, Done]]:
    port = free_port()
    if page in PROJECTS:
        assert room.type(PROJECTS[page]).exit_code == 0
    for block in blocks_of(ROOT, page):
        if block.language not in SHELL or block.key in NOT_RUN:
            continue
        if block.key in BEFORE:
            before = room.type(BEFORE[block.key])
            if before.exit_code:
                yield block.line, before
                continue
        # Another emulator may have the port.
        text = block.text.replace("4566", port)
        for word, meaning in STANDS_FOR.items():
            text = re.sub(rf"\b{word}\b", meaning, text)
        serves = "emulator start" in text.splitlines()[-1]
        yield block.line, room.serve(text) if serves else room.type(text)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize("block", TYPED, ids=name_of)
def test_a_block_of_commands_works_as_typed(block: Block, typed: Any) -> None:
    if block.key in NOT_RUN:
        return
    done = typed(block.page)[block.line]
    said = done.output + done.notes
    code, words = ENDS.get(block.key, (0, ""))
    assert (done.exit_code, words in said) == (code, True), f"{block.text}\n{said[-3000:]}"
    assert "Traceback" not in done.notes


def test_what_is_listed_is_there() -> None:
    keys = {block.key for block in BLOCKS}
    assert {*NOT_RUN, *BEFORE, *ENDS} - keys == set()
    assert set(PAGES) | WITH_A_STACK | set(PROJECTS) <= set(NAMES)


def test_every_block_has_a_language_that_is_looked_at() -> None:
    known = {*SHELL, *PICTURES, "python", "yaml", "json"}
    assert [name_of(block) for block in BLOCKS if block.language not in known] == []
    assert len(TYPED) > 40


@pytest.mark.parametrize("block", of_language("yaml"))
def test_a_block_of_settings_is_valid(block: Block, tmp_path: Path) -> None:
    directory = tmp_path / "config"
    if "ssm_param" in block.text:
        directory.mkdir()
        (directory / "aws_config.yml").write_text(block.text)
        assert load_config(config_dir=directory, ssm_client=None).declarations
        return
    shutil.copytree(ROOT / "config", directory, ignore=shutil.ignore_patterns("examples"))
    shipped = yaml.safe_load((directory / "build_config.yml").read_text())
    written = merged(shipped, yaml.safe_load(block.text))
    (directory / "build_config.yml").write_text(yaml.safe_dump(written))
    command = [sys.executable, "-m", "ami_lifecycle_cli.main", "config", "validate", "--offline"]
    done = subprocess.run(  # noqa: S603 - the product's own command
        [*command, "--config-dir", str(directory)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def merged(below: Any, above: Any) -> Any:
    """The settings with those of the block on top."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}


@pytest.mark.parametrize("block", of_language("json"))
def test_a_block_of_json_is_what_its_page_says(block: Block) -> None:
    if block.page == "docs/dev/reliability.md":
        for line in block.text.splitlines():
            FAULTS.validate_python(json.loads(line))
        return
    if block.page == "docs/promotion.md":
        assert BuildRequest.model_validate_json(block.text).promote_from == "staging"
        return
    if block.page == "docs/packages.md":
        listed = load_packages(block.text)
        assert dump_packages(listed).strip() == block.text.strip()
        ListedPackages.model_validate_json(block.text)
        return
    if block.page == "docs/gates.md":
        assert DecideInput.model_validate_json(block.text).decision == "approve"
        return
    assert block.page == "docs/events.md", f"say here what holds of the JSON of {name_of(block)}"
    event = json.loads(block.text)
    if isinstance(event["source"], str):
        (outcome,) = [each for each in OUTCOMES if each.detail_type == event["detail-type"]]
        assert set(outcome.model_validate(event["detail"]).model_dump()) == set(event["detail"])
    else:
        fleet = (ROOT / "examples/cloudformation/fleet.yaml").read_text()
        assert all(text in fleet for text in (*event["source"], *event["detail-type"], "environment"))


@pytest.mark.parametrize("block", of_language("python"))
def test_a_block_of_python_runs(
    block: Block, published: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in published.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(ROOT / "config/examples/fine-tune-slm", tmp_path / "config")
    shutil.copytree(ROOT / "emulator/tests/integration/fixtures/project", tmp_path / "path/to/project")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {
        f"{service}_client": boto3.client(name)
        for service, name in (("ssm", "ssm"), ("secrets", "secretsmanager"))
    }
    if "load_config" in block.text:
        names["load_config"] = load_config
    code = compile(block.text, name_of(block), "exec", dont_inherit=True)
    exec(code, names)  # noqa: S102 - the product's own documentation
    if config := names.get("config"):
        assert config.get("training.lora.r") == 16
    if "ami_id" in names:
        assert names["metadata"]["ami_id"] == names["ami_id"]
