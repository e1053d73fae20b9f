"""The report is one page that needs nothing but itself, in a browser too."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.cli.samples import NOW, a_build, a_record, a_report, an_observation

from ami_lifecycle.domain.planning import Live
from ami_lifecycle_cli.stack.reporting.gathering import EnvironmentReport
from ami_lifecycle_cli.stack.reporting.page import render

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
VOID = {"meta", "circle", "rect", "line", "path"}


class Balance(HTMLParser):
    """Finds tags that are not closed in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(*reports: EnvironmentReport) -> str:
    return render(reports or (a_report(),), "comfyui", "Account 123456789012, us-east-1", NOW)


def test_the_page_fetches_nothing() -> None:
    text = page()
    assert "default-src 'none'" in text
    assert re.findall(r"(?:src|href|action)=|url\(|@import|<script|<link|<img|<iframe", text) == []


def test_every_tag_is_closed() -> None:
    balance = Balance()
    balance.feed(page(a_report(), a_report()))
    assert balance.open == []


def test_the_page_shows_images_builds_and_why_they_failed() -> None:
    text = page()
    assert a_record(3).ami_id in text
    assert "E: because" in text
    assert text.count('class="column-') == 3
    assert text.count("<circle") == 3


def test_what_others_wrote_cannot_become_markup() -> None:
    hostile = "<script>alert(1)</script>"
    record = a_record(3, branch=hostile, reason=hostile, commit_sha="<b>")
    seen = an_observation(history=record, drift=(hostile,))
    text = page(a_report(seen=seen, records=(record,), builds=(a_build(1, status="FAILED", cause=hostile),)))
    assert "<script" not in text
    assert "<b>" not in text


def test_an_environment_without_anything_has_a_section() -> None:
    nothing = an_observation(live=Live(value=None), metadata=None, history=None)
    text = page(a_report(seen=nothing, records=(), builds=()))
    assert "No image was published yet." in text


def test_an_image_that_is_built_from_a_passing_name_is_joined_to_its_canonical_copy() -> None:
    canonical, candidate = a_record(2), a_record(5, superseded_by=a_record(2).ami_id)
    newest = a_record(3, base_ami_id=candidate.ami_id)
    text = page(a_report(records=(newest, canonical), passing=(candidate,)))
    assert text.count('class="edge"') == 1


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_the_page_in_light_and_dark_and_on_paper(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page())
    pictures = {}
    for scheme, number in (("light", 1), ("dark", 0)):
        target = tmp_path / f"{scheme}.png"
        browse(tmp_path, file, f"--screenshot={target}", f"--blink-settings=preferredColorScheme={number}")
        pictures[scheme] = target.read_bytes()
    assert min(map(len, pictures.values())) > 30_000
    assert pictures["light"] != pictures["dark"]
    paper = tmp_path / "report.pdf"
    browse(tmp_path, file, f"--print-to-pdf={paper}")
    assert paper.read_bytes().startswith(b"%PDF")


def browse(directory: Path, file: Path, *options: str) -> None:
    """Open the page in a browser without a window; whatever the page complains of fails the test."""
    common = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--window-size=1120,1500",
    ]
    profile = f"--user-data-dir={directory / 'profile'}"
    done = subprocess.run(  # noqa: S603 - our own page
        [str(CHROMIUM), *common, profile, *options, file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
