"""The report's page: a status light for each environment, the timeline, then each environment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Final

from ami_lifecycle.domain.approval import ApprovalState
from ami_lifecycle.domain.release import release_name
from ami_lifecycle_cli.stack.formatting import age, duration, parse_date, short_digest, short_name, utc_date
from ami_lifecycle_cli.stack.observation import Observation, describe_request
from ami_lifecycle_cli.stack.records import published_since, scan_text
from ami_lifecycle_cli.stack.reporting.charts import builds, image_reference, lineage, link, timeline
from ami_lifecycle_cli.stack.reporting.report_data import Build, EnvironmentReport
from ami_lifecycle_cli.stack.reporting.style import STYLE

# A content security policy that forbids the page to fetch anything.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_REASON_LENGTH: Final = 300


def render(reports: Sequence[EnvironmentReport], application: str, place: str, now: datetime) -> str:
    """The whole page.

    Args:
        place: account and Region, in words.
    """
    lights = "".join(_light(report, now) for report in reports)
    sections = "".join(_section(report, now) for report in reports)
    over_time = timeline(reports, now)
    when = f'<h2>Builds over time</h2><div class="card">{over_time}</div>' if over_time else ""
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
<p class="soft">{escape(place)}, as of {utc_date(now)} UTC. All times are UTC.</p>
<ul class="lights">{lights}</ul>
{when}
{sections}
</main></body>
</html>
"""


def verdict(report: EnvironmentReport) -> tuple[str, str]:
    """The colour and the text of an environment's status light."""
    observation = report.observation
    if observation.live.value is not None and (observation.live.image is None or observation.live.problem):
        return "bad", "Latest is unusable"
    if report.is_failing:
        return "bad", "Last build failed"
    if observation.record.claim is not None:
        return "running", observation.activity.capitalize()
    if observation.live.value is None:
        return "none", "Nothing published"
    if observation.record.pin is not None:
        return "look", "Pinned"
    return ("look", "Look at it") if observation.drift else ("good", "As it should be")


def _light(report: EnvironmentReport, now: datetime) -> str:
    observation = report.observation
    colour, words = verdict(report)
    since = published_since(observation.history)
    live = image_reference(report, observation.live.value) if observation.live.value else "nothing"
    known = observation.described
    what = release_name(observation.release, observation.digest) or (
        short_digest(observation.digest) if observation.digest else ""
    )
    commit = f", commit {known.commit_sha[:7]}" if known and known.commit_sha else ""
    rows = [
        ("Live", f'{live}<br><span class="soft">{escape(what + commit)}</span>'),
        ("Since", f"{utc_date(since)}, {age(since, now)} ago" if since else "-"),
        ("Last failure", _failure(report)),
        ("Next", escape(_next(observation))),
    ]
    fields = "".join(f"<dt>{label}</dt><dd>{value}</dd>" for label, value in rows)
    name = escape(observation.environment)
    return (
        f'<li class="light {colour}"><h2><a href="#{name}">{name}</a> <span class="lamp">{escape(words)}</span></h2>'
        f"<dl>{fields}</dl></li>"
    )


def _failure(report: EnvironmentReport) -> str:
    failed = report.last_failure
    if failed is None:
        return f"none in the last {len(report.builds)} builds" if report.builds else "-"
    after = "" if report.is_failing else ", published since" if _published_after(report, failed) else ""
    return f"{utc_date(failed.run.started)}{after}: {escape(_cut(failed.run.explanation))}"


def _published_after(report: EnvironmentReport, failed: Build) -> bool:
    return any(
        build.kind in {"good", "other"} and build.run.started > failed.run.started for build in report.builds
    )


def _cut(text: str) -> str:
    return text if len(text) <= _REASON_LENGTH else f"{text[: _REASON_LENGTH - 1].rstrip()}…"


def _next(observation: Observation) -> str:
    """What happens next, automatically or manually."""
    if observation.record.claim is not None:
        where = f", in {observation.state}" if observation.state else ""
        return f"{observation.activity}{where}"
    if observation.record.queued_request is not None:
        return f"queued: {describe_request(observation.record.queued_request)}"
    shown = observation.approval
    asked = [str(shown)] if shown is not None and shown.state is ApprovalState.WAITING else []
    if waits := [*observation.drift, *asked]:
        return _cut(waits[0])
    if observation.record.pin is not None:
        what = "promotions" if observation.publishes == "promotions" else "pushes"
        return f"{what} wait until: ami-lifecycle unpin {observation.environment}"
    if observation.next_rebuild is not None:
        return f"a push, or a rebuild {observation.next_rebuild}"
    return (
        "nothing until the next promotion"
        if observation.publishes == "promotions"
        else "nothing until the next push"
    )


def _section(report: EnvironmentReport, now: datetime) -> str:
    name = escape(report.observation.environment)
    usual = report.usual_seconds
    usually = f"A build usually takes {duration(usual)}. " if usual else ""
    logs = link(report.log_console, "Log group of builders and canaries") if report.log_console else ""
    ran = (
        f"<h3>Builds</h3>{builds(report)}"
        if report.builds
        else '<p class="note">No build in the last 90 days.</p>'
    )
    return f"""<section id="{name}">
<h2>{name}</h2>
<p class="soft">{usually}{logs}</p>
<div class="columns">
<div><div class="card"><h3>Now</h3><dl>{_fields(report, now)}</dl>{_drift(report.observation.drift)}</div>
<div class="card">{_images(report)}</div></div>
<div class="card">{ran}</div>
</div>
</section>
"""


def _fields(report: EnvironmentReport, now: datetime) -> str:
    observation = report.observation
    known, record = observation.described, observation.record
    claim, pin = record.claim, record.pin
    running = (
        f"{observation.activity}: {short_name(claim.execution_arn)}, for {age(claim.claimed_at, now)}"
        if claim
        else None
    )
    verified = utc_date(parse_date(known.verified_at)) if known and known.verified_at else "no"
    why = f": {pin.reason}" if pin and pin.reason else ""
    fields = [
        ("Docker image", known.docker_image if known else None),
        ("Digest", observation.digest),
        ("Release", release_name(observation.release, observation.digest)),
        ("Promoted from", observation.promoted_from),
        ("Commit", f"{known.commit_sha or '-'} on {known.branch or '-'}" if known else None),
        ("Verified", verified if known else None),
        ("Scan", scan_text(known)),
        ("Reason", known.reason if known else None),
        ("Running", running or "nothing"),
        ("Queued", describe_request(record.queued_request) if record.queued_request else None),
        ("Approval", observation.approval),
        ("Pinned", f"to {pin.image_id} since {utc_date(pin.at)}{why}" if pin else None),
        ("Soaks", observation.soak),
        ("Next rebuild", observation.next_rebuild),
        (
            "Other images",
            "; ".join(
                f"{each.image_id}: {each.action.value}, {each.reason}" for each in observation.decisions
            ),
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
    return f"<h3>Images, by publication</h3>{lineage(report)}"


def headline(report: EnvironmentReport) -> str:
    """One line for the terminal."""
    observation = report.observation
    live = observation.live.value or "nothing"
    digest = short_digest(observation.digest)
    return f"{observation.environment}: {live} with {digest}; {verdict(report)[1].lower()}"
