"""The report is one page that needs nothing but itself, in a browser too."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.cli.samples import NOW, a_build, a_record, a_report, an_asking_stack, an_observation, digest

from ami_lifecycle.domain.approval import Subject
from ami_lifecycle.domain.environment import EnvironmentRecord, Pin
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.record import RecordStatus
from ami_lifecycle_cli.stack.approvals import open_request
from ami_lifecycle_cli.stack.observation import NextRebuild
from ami_lifecycle_cli.stack.reporting.page import render
from ami_lifecycle_cli.stack.reporting.report_data import GROUPS, EnvironmentReport

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
VOID = {"meta", "circle", "path", "br"}


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
    assert re.findall(r"(?:src|action)=|url\(|@import|<script|<link|<img|<iframe", text) == []
    # It leads to the console and to itself, and fetches neither.
    addresses = re.findall(r'href="([^"]*)"', text)
    assert [each for each in addresses if not each.startswith(("#", "https://console.aws.amazon.com/"))] == []


def test_image_execution_and_log_group_are_one_click_away() -> None:
    text = page(a_report(log_console="https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#logs"))
    assert f"#ImageDetails:imageId={a_record(3).ami_id}" in text
    assert f"executions/details/{a_build(3).run.arn}" in text
    assert "cloudwatch/home" in text


def lights(text: str) -> dict[str, str]:
    """What the first row says of each environment."""
    row = text[text.index('<ul class="lights">') : text.index("</ul>")]
    found = re.findall(r'<li class="light (\w+)"><h2><a href="#([^"]+)">.*?</li>', row, re.DOTALL)
    cards = re.findall(r"<li class=\"light.*?</li>", row, re.DOTALL)
    return {name: f"{colour} {card}" for (colour, name), card in zip(found, cards, strict=True)}


def test_the_first_row_has_a_light_for_each_environment() -> None:
    failing = a_report(
        observation=an_observation(environment="staging"),
        builds=(a_build(3, status="FAILED", output={}, error="E", cause="no GPU"), a_build(1)),
    )
    empty = a_report(
        observation=an_observation(environment="dev", live=Live(value=None), metadata=None, history=None),
        records=(),
        builds=(),
    )
    found = lights(page(a_report(), failing, empty))
    assert list(found) == ["prod", "staging", "dev"]
    assert found["prod"].startswith("good")
    assert a_record(3).ami_id in found["prod"]
    assert re.search(r"<dt>Since</dt><dd>20\d\d-\d\d-\d\d \d\d:\d\d, .* ago", found["prod"])
    assert "published since: E: because" in found["prod"]
    assert found["staging"].startswith("bad")
    assert "E: no GPU" in found["staging"]
    assert found["dev"].startswith("none")


def test_a_pinned_environment_is_to_be_looked_at_and_says_how_to_go_on() -> None:
    pinned = EnvironmentRecord(environment="prod", pin=Pin(image_id=a_record(3).ami_id, at=NOW))
    (found,) = lights(page(a_report(observation=an_observation(record=pinned)))).values()
    assert found.startswith("look")
    assert "ami-lifecycle unpin prod" in found


def test_a_rebuild_by_schedule_is_what_comes_next() -> None:
    following = NextRebuild(NOW + timedelta(days=3), "it is 30 days old", None)
    (found,) = lights(page(a_report(observation=an_observation(next_rebuild=following)))).values()
    assert "a rebuild from 2026-01-05 12:00 UTC on: it is 30 days old" in found
    assert "nothing until" not in found
    waiting = NextRebuild(NOW, "its base is old", "the environment is pinned")
    drifting = an_observation(next_rebuild=waiting, drift=("the tag has moved on",))
    text = page(a_report(observation=drifting))
    assert (
        "<dt>Next rebuild</dt><dd>from 2026-01-02 12:00 UTC on: its base is old; the environment is" in text
    )


def test_an_approval_that_is_open_is_what_comes_next() -> None:
    asking = an_asking_stack(digest(3), asked=Subject(environment="prod", release="arn:release"))
    observed = an_observation(publishes="promotions", approval=open_request(asking, "prod"))
    text = page(a_report(observation=observed))
    (found,) = lights(text).values()
    assert re.search(r"waits until 2026-01-02 13:00 UTC: ami-lifecycle approve prod-\w+", found)
    assert "nothing until the next promotion" not in found
    assert "<dt>Approval</dt>" in text


@pytest.mark.parametrize("hours", [0.01, 0.5, 1, 5, 24, 100, 1000])
def test_no_date_stands_over_the_end_of_its_axis(hours: float) -> None:
    began = NOW - timedelta(hours=hours)
    text = page(a_report(builds=(a_build(1, started=began, stopped=NOW),)))
    axis = text[text.index('class="track dates"') :]
    places = [float(left) for left in re.findall(r'<span style="left:([\d.]+)%">', axis)]
    assert places
    assert max(places) <= 92


def test_builds_are_placed_at_their_times_under_dates() -> None:
    text = page()
    places = [float(left) for left in re.findall(r'class="column \w+" style="left:([\d.]+)%', text)]
    # Builds of the hours 3, 2 and 1: the distances are those of the times.
    assert places[0] - places[1] == pytest.approx(places[1] - places[2], abs=0.02)
    assert places[0] > places[1] > places[2] > 0
    dates = re.findall(r'<span style="left:[\d.]+%">(\w{3} \d\d)</span>', text)
    assert len(dates) >= 2


def test_a_day_stands_below_the_first_time_of_it() -> None:
    """Beside it, it would cover the next date on a phone."""
    text = page(a_report(builds=(a_build(1, started=NOW - timedelta(hours=4), stopped=NOW),)))
    first, *others = re.findall(r'<span style="left:[\d.]+%">(.*?)</span>', text)
    assert re.fullmatch(r"\d\d:\d\d<br>\w{3} \d\d", first)
    assert others
    assert [date for date in others if not re.fullmatch(r"\d\d:\d\d", date)] == []


def test_what_an_image_is_of_is_told_whole_at_any_width() -> None:
    text = page()
    about = re.findall(r"\.lineage li \{.*?\}|\.about \{.*?\}", text)
    assert len(about) == 2
    assert [rule for rule in about if "nowrap" in rule or "ellipsis" in rule] == []


def test_phases_can_be_read_without_a_pointer() -> None:
    text = page()
    for group in GROUPS:
        assert f"{group} 1 min" in re.sub(r"<[^>]+>", "", text)


def test_a_rollback_to_what_exists_is_no_build() -> None:
    quick = a_build(4, output={"action": "publish", "image_id": a_record(1).ami_id}, started=NOW, stopped=NOW)
    report = a_report(builds=(quick, a_build(3), a_build(1)))
    assert report.usual_seconds == 360
    assert quick.kind == "other"


def test_an_image_that_was_published_again_stays_joined_to_what_was_built_from_it() -> None:
    first = a_record(1, workflow_run_number="3", status=RecordStatus.LIVE, build_mode="fresh")
    second = a_record(2, base_ami_id=first.ami_id, rolled_back=True)
    text = page(a_report(records=(first, second)))
    assert text.count('class="edge"') == 1
    assert "from #3" in text
    assert "rolled back from" in text


def test_every_tag_is_closed() -> None:
    balance = Balance()
    balance.feed(page(a_report(), a_report()))
    assert balance.open == []


def test_the_page_shows_images_builds_and_why_they_failed() -> None:
    text = page()
    assert a_record(3).ami_id in text
    assert "E: because" in text
    assert text.count('<i class="column ') == 3
    assert text.count("<circle") == 3


def test_what_others_wrote_cannot_become_markup() -> None:
    hostile = "<script>alert(1)</script>"
    record = a_record(3, branch=hostile, reason=hostile, commit_sha="<b>", status_reason=hostile)
    observation = an_observation(history=record, drift=(hostile,))
    text = page(
        a_report(
            observation=observation, records=(record,), builds=(a_build(1, status="FAILED", cause=hostile),)
        )
    )
    assert "<script" not in text
    assert "&lt;b&gt;" in text


def test_an_environment_without_anything_has_a_section() -> None:
    nothing = an_observation(live=Live(value=None), metadata=None, history=None)
    text = page(a_report(observation=nothing, records=(), builds=()))
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
