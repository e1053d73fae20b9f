"""What the report shows, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.observation import Observation, observe_all
from ami_lifecycle_cli.stack.records import is_passing_name, read_history
from ami_lifecycle_cli.stack.runs import Run, Runs, totals_by_phase

# Phases of a build as the charts show them, in the order in which they begin.
GROUPS = {
    "boot": ("boot builder", "boot canary"),
    "provision": ("provision",),
    "create image": ("stop builder", "create image"),
    "verify": ("verify",),
    "grace and naming": ("grace periods", "adopt name"),
    "functions": ("functions",),
}


@dataclass(frozen=True)
class Build:
    """An execution that did something, with its seconds by group of phases."""

    run: Run
    seconds: float
    groups: dict[str, float]

    @property
    def kind(self) -> str:
        """`good`, `bad` or `running`: how it is coloured."""
        if self.run.outcome == "running":
            return "running"
        return "good" if self.run.status == "SUCCEEDED" else "bad"


@dataclass(frozen=True)
class EnvironmentReport:
    """Everything about one environment. Records and builds are the newest first."""

    seen: Observation
    records: tuple[HistoryRecord, ...]
    passing: tuple[HistoryRecord, ...]
    builds: tuple[Build, ...]

    @property
    def published(self) -> int:
        """How many of the builds published an image."""
        return sum(build.run.outcome == "published" for build in self.builds)

    @property
    def failed(self) -> int:
        """How many of the builds failed."""
        return sum(build.kind == "bad" for build in self.builds)

    @property
    def usual_seconds(self) -> float | None:
        """Median duration of the builds that published an image."""
        values = [build.seconds for build in self.builds if build.run.has_built]
        return median(values) if values else None


def gather(stack: Stack, environments: Sequence[str], count: int) -> list[EnvironmentReport]:
    """Read everything about the environments, with their `count` newest builds."""
    runs = Runs(stack)
    now = stack.clock.now()
    reports = [_gather_one(stack, runs, seen, count, now) for seen in observe_all(stack, list(environments))]
    # Environments without an image have little to show.
    return sorted(reports, key=lambda report: report.seen.live.value is None)


def _gather_one(stack: Stack, runs: Runs, seen: Observation, count: int, now: datetime) -> EnvironmentReport:
    records = read_history(stack, seen.environment).records
    builds = [
        Build(run, run.seconds(now), _grouped(totals_by_phase(runs.states(run.arn), run.stopped or now)))
        for run in runs.newest(seen.environment, count, idle=False)
    ]
    passing = tuple(record for record in records if is_passing_name(record, records))
    shown = tuple(record for record in records if record not in passing)
    return EnvironmentReport(seen, shown[:count], passing, tuple(builds))


def _grouped(phases: dict[str, float]) -> dict[str, float]:
    return {group: sum(phases.get(name, 0.0) for name in names) for group, names in GROUPS.items()}
