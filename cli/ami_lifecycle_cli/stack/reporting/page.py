"""The page of the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Final

from ami_lifecycle_cli.stack.observation import describe_request
from ami_lifecycle_cli.stack.records import published_since
from ami_lifecycle_cli.stack.reporting.charts import group_class, lineage, outcomes, phases
from ami_lifecycle_cli.stack.reporting.gathering import GROUPS, EnvironmentReport
from ami_lifecycle_cli.stack.reporting.style import STYLE
from ami_lifecycle_cli.stack.showing import age, duration, short_digest, short_name, utc_date

# The page fetches nothing, and a browser holds it to that.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def render(reports: Sequence[EnvironmentReport], application: str, place: str, now: datetime) -> str:
    """The whole page.

    Args:
        place: account and Region, in words.
    """
    sections = "".join(_section(report, now, is_first=number == 0) for number, report in enumerate(reports))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(application)}: images and builds</title>
<style>{STYLE}</style>
</head>
<body><main>
<h1>{escape(application)}: images and builds</h1>
<p class="soft">{escape(place)}, as of {utc_date(now)} UTC</p>
{sections}
</main></body>
</html>
"""


def _section(report: EnvironmentReport, now: datetime, *, is_first: bool) -> str:
    seen = report.seen
    first = ' class="first"' if is_first else ""
    return f"""<section>
<h2{first}>{escape(seen.environment)}</h2>
{_numbers(report, now)}
<div class="card"><dl>{_fields(report, now)}</dl>{_drift(seen.drift)}</div>
{_images(report)}
{_builds(report)}
</section>
"""


def _numbers(report: EnvironmentReport, now: datetime) -> str:
    seen, usual = report.seen, report.usual_seconds
    since = published_since(seen.history)
    shown = [
        ("latest", f'<strong class="id">{escape(seen.live.value or "none")}</strong>'),
        ("live for", f"<strong>{age(since, now)}</strong>"),
        ("a build usually takes", f"<strong>{duration(usual) if usual else '-'}</strong>"),
        ("published / failed, last builds", f"<strong>{report.published} / {report.failed}</strong>"),
    ]
    items = "".join(f'<li>{value}<span class="soft">{label}</span></li>' for label, value in shown)
    return f'<ul class="numbers">{items}</ul>'


def _fields(report: EnvironmentReport, now: datetime) -> str:
    seen = report.seen
    known, record = seen.described, seen.record
    claim, pin = record.claim, record.pin
    running = (
        f"{seen.activity}: {short_name(claim.execution_arn)}, for {age(claim.claimed_at, now)}"
        if claim
        else None
    )
    fields = [
        ("Docker image", known.docker_image if known else None),
        ("Digest", seen.digest),
        ("Commit", f"{known.commit_sha or '-'} on {known.branch or '-'}" if known else None),
        ("Verified", (known.verified_at or "no") if known else None),
        ("Reason", known.reason if known else None),
        ("Running", running or "nothing"),
        ("Queued", describe_request(record.wanted) if record.wanted else None),
        ("Pinned", f"to {pin.image_id} since {utc_date(pin.at)} UTC {pin.reason}" if pin else None),
        (
            "Other images",
            "; ".join(f"{each.image_id}: {each.action.value}, {each.reason}" for each in seen.decisions),
        ),
    ]
    return "".join(f"<dt>{label}</dt><dd>{escape(str(value))}</dd>" for label, value in fields if value)


def _drift(drift: Sequence[str]) -> str:
    if not drift:
        return '<p class="fine">Everything is as it should be.</p>'
    return f'<ul class="drift">{"".join(f"<li>{escape(finding)}</li>" for finding in drift)}</ul>'


def _images(report: EnvironmentReport) -> str:
    if not report.records:
        return '<p class="note">No image was published yet.</p>'
    return f'<h3>Images, and what they were built from</h3><div class="card">{lineage(report)}</div>'


def _builds(report: EnvironmentReport) -> str:
    if not report.builds:
        return '<p class="note">No build in the last 90 days.</p>'
    legend = "".join(f"<li>{_swatch(group)}{escape(group)}</li>" for group in GROUPS)
    failures = "".join(
        f"<dt>{utc_date(build.run.started)}</dt><dd>{escape(build.run.explanation)}</dd>"
        for build in report.builds
        if build.kind == "bad"
    )
    why = f'<h3>Why builds failed</h3><div class="card"><dl>{failures}</dl></div>' if failures else ""
    return f"""<h3>Builds and their phases</h3>
<div class="card">{phases(report.builds)}<ul class="legend">{legend}</ul></div>
<h3>Durations and outcomes over time</h3>
<div class="card">{outcomes(report.builds, report.usual_seconds)}
<p class="note">Green: published or retired. Red, with an x: failed. Dashed: the median of what was
published.</p></div>
{why}"""


def _swatch(group: str) -> str:
    square = f'<rect width="12" height="12" class="{group_class(group)}"/>'
    return f'<svg viewBox="0 0 12 12" aria-hidden="true">{square}</svg>'


def headline(report: EnvironmentReport) -> str:
    """One line for the terminal."""
    return f"{report.seen.environment}: {report.seen.live.value or 'nothing'} with {short_digest(report.seen.digest)}"
