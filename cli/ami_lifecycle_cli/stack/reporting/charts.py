"""The charts of the report, as HTML that is as wide as its screen, and SVG where there are lines.

Colours are classes, so that light, dark and paper each have their own. Colours are never the only carrier of
information.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from math import ceil
from typing import Final

from ami_lifecycle.domain.links import execution_link, image_link
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.release import release_name
from ami_lifecycle_cli.stack.formatting import duration, parse_date, short_digest, utc_date
from ami_lifecycle_cli.stack.reporting.report_data import GROUPS, Build, EnvironmentReport

_ROW: Final = 80
_LANE: Final = 46
# Candidate intervals between the dates of the axis.
_STEPS: Final = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 5, 15, 30, 60, 180, 360, 720, 1440, 2 * 1440, 7 * 1440, 14 * 1440, 28 * 1440)
)
_TICKS: Final = 5
# Per cent of the axis; a date beyond would stand over its end.
_LAST_LABEL: Final = 92
_SIGNS: Final = {"good": "", "bad": "x", "running": "…", "other": ""}


def link(address: str | None, text: str, *, style: str = "") -> str:
    """A link, or the text alone where there is no address."""
    css = f' class="{style}"' if style else ""
    if not address:
        return f"<span{css}>{escape(text)}</span>"
    return f'<a{css} href="{escape(address)}" rel="noreferrer">{escape(text)}</a>'


def image_reference(report: EnvironmentReport, image_id: str) -> str:
    """An image's id, linked to the console."""
    address = image_link(report.machine_arn, image_id) if report.machine_arn else None
    return link(address, image_id, style="id")


def timeline(reports: Sequence[EnvironmentReport], now: datetime) -> str:
    """A lane for each environment on one axis of time: a column for each build, as tall as it took long."""
    starts = [build.run.started for report in reports for build in report.builds]
    if not starts:
        return ""
    longest = max(build.seconds for report in reports for build in report.builds) or 1.0
    first = min(starts)
    span = max((now - first).total_seconds(), 60.0) * 1.04
    begin = now - timedelta(seconds=span)

    def at(moment: datetime) -> float:
        return (moment - begin).total_seconds() / span * 100

    lanes = "".join(
        f'<div class="lane"><b>{escape(report.observation.environment)}</b><div class="track">'
        + "".join(_column(build, at(build.run.started), build.seconds / longest) for build in report.builds)
        + "</div></div>"
        for report in reports
    )
    ticks = "".join(
        f'<span style="left:{at(tick):.2f}%">{escape(label).replace(chr(10), "<br>")}</span>'
        for tick, label in _dates(begin, now)
        if at(tick) <= _LAST_LABEL
    )
    return (
        f'<div class="timeline" role="img" aria-label="Builds of each environment over time">{lanes}'
        f'<div class="lane"><b></b><div class="track dates">{ticks}</div></div></div>'
        f'<p class="note">Each column is a build, placed at its start (UTC); the tallest took {duration(longest)}. '
        '<span class="key good"></span>published <span class="key bad"></span>x failed '
        '<span class="key other"></span>rolled back or retired, without a build '
        '<span class="key running"></span>… running</p>'
    )


def _column(build: Build, left: float, share: float) -> str:
    height = max(5, round(share * (_LANE - 12)))
    hint = escape(f"{utc_date(build.run.started)} UTC: {build.run.outcome}, {duration(build.seconds)}")
    return (
        f'<i class="column {build.kind}" style="left:{left:.2f}%;height:{height}px" title="{hint}">'
        f"<span>{_SIGNS[build.kind]}</span></i>"
    )


def _dates(begin: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """Round moments of the axis, with their labels; a day stands below the first time of it."""
    step = next((step for step in _STEPS if (end - begin) / step <= _TICKS), (end - begin) / _TICKS)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    tick = epoch + step * ceil((begin - epoch) / step)
    found, day = [], None
    while tick <= end:
        form = "%b %d" if step >= timedelta(days=1) else ("%H:%M\n%b %d" if tick.date() != day else "%H:%M")
        found.append((tick, tick.strftime(form)))
        day, tick = tick.date(), tick + step
    return found


def lineage(report: EnvironmentReport) -> str:
    """Images by publication, the newest first, each connected to its base image."""
    rows = {record.ami_id: number for number, record in enumerate(report.records)}
    for candidate in report.passing:
        if candidate.superseded_by in rows:
            rows.setdefault(candidate.ami_id, rows[candidate.superseded_by])
    height = _ROW * len(report.records)
    edges = "".join(
        _edge(rows.get(record.base_ami_id or ""), row) for row, record in enumerate(report.records)
    )
    nodes = "".join(
        f'<circle cx="38" cy="{row * _ROW + 18}" r="7" class="node-{record.status.value}"/>'
        for row, record in enumerate(report.records)
    )
    lines = "".join(_image(report, record, rows) for record in report.records)
    return (
        f'<div class="lineage"><svg width="48" height="{height}" viewBox="0 0 48 {height}" role="img" '
        f'aria-label="Which image was built from which" xmlns="http://www.w3.org/2000/svg">{edges}{nodes}</svg>'
        f"<ol>{lines}</ol></div>"
    )


def _edge(base: int | None, row: int) -> str:
    if base is None or base == row:
        return ""
    begin, end = row * _ROW + 18, base * _ROW + 18
    if base == row + 1:
        return f'<path class="edge" d="M38 {begin} V{end}"/>'
    # Edges can go upwards: an image that was published again is above the images built from it.
    out = max(2, 30 - 7 * abs(base - row))
    return f'<path class="edge" d="M38 {begin} C{out} {begin} {out} {end} 38 {end}"/>'


def _image(report: EnvironmentReport, record: HistoryRecord, rows: dict[str, int]) -> str:
    base = rows.get(record.base_ami_id or "")
    if record.build_mode and record.build_mode.value == "fresh":
        origin = "from the base"
    elif base is not None:
        origin = f"from #{report.records[base].workflow_run_number}"
    else:
        origin = f"from {record.base_ami_id}" if record.base_ami_id else ""
    since = utc_date(parse_date(record.status_since))
    back = '<b class="text-bad">, rolled back from</b>' if record.rolled_back else ""
    about = [
        f"#{record.workflow_run_number} {origin}".strip(),
        f"commit {record.commit_sha[:7]}" if record.commit_sha else "",
        release_name(record.release, record.image_digest) or short_digest(record.image_digest),
        f"made {utc_date(parse_date(record.creation_date))}",
    ]
    return (
        f"<li><div>{image_reference(report, record.ami_id)} "
        f'<span class="status-{record.status.value}">{record.status.value}{back}'
        f'<span class="wide"> since {since}</span></span></div>'
        f'<div class="soft about">{escape(" · ".join(filter(None, about)))}</div></li>'
    )


def builds(report: EnvironmentReport) -> str:
    """Each build with digest, result, and a bar of its phases in proportion to their durations."""
    longest = max((build.seconds for build in report.builds), default=1.0) or 1.0
    return f'<ol class="builds">{"".join(_build(report, build, longest) for build in report.builds)}</ol>'


def _build(report: EnvironmentReport, build: Build, longest: float) -> str:
    run, details = build.run, build.details
    outcome = f"{run.outcome} in {duration(build.seconds)}" if build.kind != "running" else "running"
    about = [
        escape(run.trigger.value) if run.trigger else "",
        escape(short_digest(details.digest)) if details.digest else "",
        f"commit {escape(details.commit[:7])}" if details.commit else "",
        image_reference(report, details.record.ami_id) if details.record else "",
        link(execution_link(run.arn), "execution"),
    ]
    why = f'<p class="why">{escape(run.explanation)}</p>' if build.kind == "bad" else ""
    return (
        f'<li><div><b>{escape(utc_date(run.started))}</b> <b class="text-{build.kind}">'
        f'{_SIGNS[build.kind]} {escape(outcome)}</b></div><div class="soft">{" · ".join(filter(None, about))}</div>'
        f"{why}{_phases(build, longest)}</li>"
    )


def _phases(build: Build, longest: float) -> str:
    spent = {group: seconds for group, seconds in build.groups.items() if seconds > 0}
    bars = "".join(
        f'<i class="{group_class(group)}" style="width:{seconds / longest * 100:.2f}%"></i>'
        for group, seconds in spent.items()
    )
    words = " ".join(
        f'<span><i class="{group_class(group)}"></i>{escape(group)} {duration(seconds)}</span>'
        for group, seconds in spent.items()
    )
    return f'<div class="bar">{bars}</div><div class="phases">{words}</div>'


def group_class(group: str) -> str:
    """The CSS class of a group of phases."""
    return f"phase-{list(GROUPS).index(group) + 1}"
