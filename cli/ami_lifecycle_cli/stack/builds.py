"""Builds by their ids: digest and commit, state or result, and console links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ami_lifecycle.domain.links import execution_link, log_group_link
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.errors import InvalidRequestError
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import iso_date
from ami_lifecycle_cli.stack.records import read_history
from ami_lifecycle_cli.stack.runs import Run, Runs, StateRun, totals_by_phase, totals_by_state


@dataclass(frozen=True)
class Build:
    """An execution with its states, and the record of what it published."""

    run: Run
    states: tuple[StateRun, ...]
    record: HistoryRecord | None

    @property
    def state(self) -> str | None:
        """The current state, or the one that it failed in; None for a successful build."""
        return self.states[-1].name if self.states and self.run.status != "SUCCEEDED" else None

    @property
    def digest(self) -> str | None:
        """Digest of the Docker image, as far as it was known."""
        if self.run.digest or self.record is not None:
            return self.run.digest or (self.record.image_digest if self.record else None)
        for visit in reversed(self.states):
            plan = visit.output.get("plan") if isinstance(visit.output, dict) else None
            source = plan.get("source") if isinstance(plan, dict) else None
            if isinstance(source, dict) and source.get("digest"):
                return str(source["digest"])
        return None

    @property
    def commit(self) -> str | None:
        """The commit, once the image was published."""
        return self.record.commit_sha or None if self.record else None

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Plain values."""
        run, states = self.run, list(self.states)
        phases = totals_by_phase(states, run.stopped or now)
        return {
            "name": run.name,
            "execution_arn": run.arn,
            "environment": run.environment,
            "trigger": run.trigger.value if run.trigger else None,
            "status": run.status,
            "outcome": run.outcome,
            "state": self.state,
            "image_digest": self.digest,
            "commit_sha": self.commit,
            "image_id": self.record.ami_id if self.record else None,
            "explanation": run.explanation,
            "error": run.error,
            "cause": run.cause,
            "started": iso_date(run.started),
            "stopped": iso_date(run.stopped),
            "seconds": round(run.seconds(now), 1),
            "phases": {phase: round(value, 1) for phase, value in phases.items()},
            "states": {
                name: round(value, 1) for name, value in totals_by_state(states, run.stopped or now).items()
            },
            "console": execution_link(run.arn),
        }


def builds_of(stack: Stack, environment: str, count: int, *, idle: bool) -> list[Build]:
    """The newest executions of an environment, the newest first; with those that did nothing where `idle`."""
    runs, records = Runs(stack), read_history(stack, environment).records
    return [_with_details(runs, run, records) for run in runs.newest(environment, count, idle=idle)]


def find_build(stack: Stack, name: str) -> Build:
    """A build by its id, which is the name of its execution.

    Raises:
        InvalidRequestError: there is none.
    """
    runs = Runs(stack)
    arn = name if name.startswith("arn:") else stack.execution_arn(name)
    if runs.current_state(arn) is None:
        raise InvalidRequestError(
            f"there is no build {name!r}: it is no environment ({', '.join(stack.environment_names())}) and the "
            "name of no execution of the last 90 days",
            hint="builds are listed by: ami-lifecycle builds ENV",
        )
    run = runs.describe(arn)
    records = read_history(stack, run.environment).records if run.environment else ()
    return _with_details(runs, run, records)


def command_log_link(stack: Stack) -> str | None:
    """Where the complete output of provisioning and verification is."""
    group = stack.outputs.get("CommandLogGroupName")
    return log_group_link(stack.state_machine_arn, group) if group else None


def _with_details(runs: Runs, run: Run, records: Sequence[HistoryRecord]) -> Build:
    made = [record for record in records if record.workflow_run_id == run.name]
    # The final image is published after the candidate, and records are the newest first.
    final = next((record for record in made if record.ami_id == run.output.get("image_id")), None)
    return Build(run, tuple(runs.states(run.arn)), final or next(iter(made), None))
