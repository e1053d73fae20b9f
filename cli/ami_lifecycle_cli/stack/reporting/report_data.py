"""The report's data, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle_cli.stack import builds
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.observation import Observation, observe_all
from ami_lifecycle_cli.stack.records import is_passing_name, read_history
from ami_lifecycle_cli.stack.runs import Run, totals_by_phase

# Phases of a build as the page shows them, in the order in which they begin.
GROUPS = {
    "boot": ("boot builder", "boot canary"),
    "provision": ("provision",),
    "image": ("stop builder", "create image"),
    "verify": ("verify",),
    "grace and name": ("grace periods", "adopt name"),
    "functions": ("functions",),
}


@dataclass(frozen=True)
class Build:
    """An execution that did something, with its seconds by group of phases."""

    details: builds.Build
    seconds: float
    groups: dict[str, float]

    @property
    def run(self) -> Run:
        """The execution."""
        return self.details.run

    @property
    def kind(self) -> str:
        """The colour class: `good`, `bad`, `running`, or `other` for executions that built nothing."""
        if self.run.outcome == "running":
            return "running"
        if self.run.status != "SUCCEEDED":
            return "bad"
        return "good" if self.run.has_built else "other"


@dataclass(frozen=True)
class EnvironmentReport:
    """Everything about one environment. Records and builds are the newest first."""

    observation: Observation
    records: tuple[HistoryRecord, ...]
    passing: tuple[HistoryRecord, ...]
    builds: tuple[Build, ...]
    machine_arn: str = ""
    log_console: str | None = None

    @property
    def last_failure(self) -> Build | None:
        """The newest build that failed."""
        return next((build for build in self.builds if build.kind == "bad"), None)

    @property
    def is_failing(self) -> bool:
        """Whether the newest build that has ended is a failed one."""
        ended = [build for build in self.builds if build.kind != "running"]
        return bool(ended) and ended[0].kind == "bad"

    @property
    def usual_seconds(self) -> float | None:
        """Median duration of the builds that published an image."""
        values = [build.seconds for build in self.builds if build.run.has_built]
        return median(values) if values else None


def gather(stack: Stack, environments: Sequence[str], count: int) -> list[EnvironmentReport]:
    """Read everything about the environments, with their `count` newest builds."""
    now = stack.clock.now()
    return [
        _gather_one(stack, observation, count, now) for observation in observe_all(stack, list(environments))
    ]


def _gather_one(stack: Stack, observation: Observation, count: int, now: datetime) -> EnvironmentReport:
    records = read_history(stack, observation.environment).records
    found = [
        Build(
            build,
            build.run.seconds(now),
            _grouped(totals_by_phase(list(build.states), build.run.stopped or now)),
        )
        for build in builds.builds_of(stack, observation.environment, count, idle=False)
    ]
    passing = tuple(record for record in records if is_passing_name(record, records))
    shown = tuple(record for record in records if record not in passing)
    return EnvironmentReport(
        observation,
        shown[:count],
        passing,
        tuple(found),
        stack.state_machine_arn,
        builds.command_log_link(stack),
    )


def _grouped(phases: dict[str, float]) -> dict[str, float]:
    return {group: sum(phases.get(name, 0.0) for name in names) for group, names in GROUPS.items()}
