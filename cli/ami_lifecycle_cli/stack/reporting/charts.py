"""The charts of the report, as SVG. Colours are classes, so that light, dark and paper each have their own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle_cli.stack.reporting.gathering import GROUPS, Build, EnvironmentReport
from ami_lifecycle_cli.stack.showing import duration, parse_date, short_digest, utc_date

_WIDTH: Final = 960
_ROW: Final = 34
_LEFT: Final = 190
_RIGHT: Final = 90


def group_class(group: str) -> str:
    """The CSS class of a group of phases."""
    return f"phase-{list(GROUPS).index(group) + 1}"


def lineage(report: EnvironmentReport) -> str:
    """Images from the newest to the oldest, each joined to the image that it was built from."""
    rows = {record.ami_id: number for number, record in enumerate(report.records)}
    for candidate in report.passing:
        if candidate.superseded_by in rows:
            rows.setdefault(candidate.ami_id, rows[candidate.superseded_by])
    height = _ROW * max(1, len(report.records)) + 8
    parts = [_edge(record, number, rows) for number, record in enumerate(report.records)]
    parts += [_node(record, number) for number, record in enumerate(report.records)]
    return _svg(height, "Lineage of images, the newest first", parts)


def _edge(record: HistoryRecord, row: int, rows: dict[str, int]) -> str:
    base = rows.get(record.base_ami_id or "")
    x, y = 24, row * _ROW + 18
    if base is None or base <= row:
        return ""
    end = base * _ROW + 18
    if base == row + 1:
        return f'<path class="edge" d="M{x} {y} V{end}"/>'
    return f'<path class="edge" d="M{x} {y} C{x - 20} {y + 12} {x - 20} {end - 12} {x} {end}"/>'


def _node(record: HistoryRecord, row: int) -> str:
    y = row * _ROW + 18
    origin = (
        "from Ubuntu"
        if record.build_mode and record.build_mode.value == "fresh"
        else f"generation {record.generation}"
    )
    made = utc_date(parse_date(record.creation_date))
    words = [
        (48, f"#{record.workflow_run_number}", "strong"),
        (96, record.ami_id, "mono"),
        (290, made, ""),
        (430, short_digest(record.image_digest), "mono"),
        (560, (record.commit_sha or "-")[:7], "mono"),
        (650, origin, "soft"),
        (770, record.status.value, f"status-{record.status.value}"),
    ]
    text = "".join(
        f'<text x="{x}" y="{y + 4}" class="{style}">{escape(word)}</text>' for x, word, style in words
    )
    hint = escape(f"{record.ami_id}: {record.status.value}. {record.status_reason}. {record.reason}")
    return f'<g><title>{hint}</title><circle cx="24" cy="{y}" r="7" class="node-{record.status.value}"/>{text}</g>'


def phases(builds: Sequence[Build]) -> str:
    """A bar for each build, as long as it took, made of its phases."""
    longest = max((build.seconds for build in builds), default=1.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    return _svg(
        _ROW * len(builds) + 8,
        "Builds with their phases, the newest first",
        [_bar(build, row, scale) for row, build in enumerate(builds)],
    )


def _bar(build: Build, row: int, scale: float) -> str:
    y = row * _ROW + 6
    trigger = build.run.trigger.value if build.run.trigger else "-"
    parts = [
        f'<text x="0" y="{y + 15}">{escape(utc_date(build.run.started))}</text>',
        f'<text x="122" y="{y + 15}" class="soft">{escape(trigger)}</text>',
    ]
    x = float(_LEFT)
    for group, seconds in build.groups.items():
        width = seconds * scale
        if width >= 0.5:
            hint = escape(f"{group}: {duration(seconds)}")
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="20" class="{group_class(group)}">'
                f"<title>{hint}</title></rect>"
            )
            x += width
    mark = {"good": "", "bad": " failed", "running": " running"}[build.kind]
    parts.append(
        f'<text x="{x + 8:.1f}" y="{y + 15}" class="text-{build.kind}">{escape(duration(build.seconds) + mark)}</text>'
    )
    return f"<g><title>{escape(build.run.explanation[:300])}</title>{''.join(parts)}</g>"


def outcomes(builds: Sequence[Build], usual: float | None) -> str:
    """A column for each build, the oldest on the left: its height is its duration, its colour its outcome."""
    height, floor = 190, 150
    longest = max((build.seconds for build in builds), default=1.0) or 1.0
    step = min(48.0, (_WIDTH - 80) / max(1, len(builds)))
    parts = [f'<line x1="60" x2="{_WIDTH}" y1="{floor}" y2="{floor}" class="axis"/>']
    for share in (0.5, 1.0):
        y = floor - share * 120
        parts.append(f'<line x1="60" x2="{_WIDTH}" y1="{y}" y2="{y}" class="grid"/>')
        parts.append(
            f'<text x="52" y="{y + 4}" text-anchor="end" class="soft">{duration(longest * share)}</text>'
        )
    for number, build in enumerate(reversed(builds)):
        tall = max(2.0, build.seconds / longest * 120)
        x = 66 + number * step
        hint = escape(f"{utc_date(build.run.started)} UTC: {build.run.outcome}, {duration(build.seconds)}")
        parts.append(
            f'<rect x="{x:.1f}" y="{floor - tall:.1f}" width="{step * 0.7:.1f}" height="{tall:.1f}" rx="2" '
            f'class="column-{build.kind}"><title>{hint}</title></rect>'
        )
        if build.kind == "bad":
            parts.append(
                f'<text x="{x + step * 0.35:.1f}" y="{floor + 16}" text-anchor="middle" class="text-bad">x</text>'
            )
    if builds:
        first, last = utc_date(builds[-1].run.started), utc_date(builds[0].run.started)
        parts.append(f'<text x="66" y="{floor + 34}" class="soft">{first}</text>')
        if len(builds) > 1:
            parts.append(
                f'<text x="{_WIDTH}" y="{floor + 34}" text-anchor="end" class="soft">{last} UTC</text>'
            )
    if usual is not None:
        y = floor - usual / longest * 120
        parts.append(f'<line x1="60" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" class="usual"/>')
    return _svg(height, "Duration and outcome of builds over time", parts)


def _svg(height: int, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
