"""Telling the demonstration to people: scenes, states, the final summary, where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ami_lifecycle_cli.demo.story import AccountSummary, Scene
from ami_lifecycle_cli.stack.following import Followed
from ami_lifecycle_cli.stack.runs import StateRun
from ami_lifecycle_cli.stack.states import FUNCTIONS, WAITS

_BAR: Final = 30


class DemoOutput:
    """Writes to a console while the story goes on.

    Args:
        time_scale: seconds of this machine for one emulated second; waits are told in emulated seconds.
    """

    def __init__(self, console: Console, time_scale: float) -> None:
        self._console = console
        self._time_scale = time_scale
        self._number = 0

    def begin(self, scene: Scene) -> None:
        """Announce a scene."""
        self._number += 1
        self._console.print()
        self._console.print(Text(f"{self._number}. {scene.title}", style="bold"))
        self._console.print(f"   {scene.what}")

    def state(self, run: StateRun) -> None:
        """Tell of a state that was left."""
        said = Text(f"   {run.name:<26}")
        said.append(f"{self.seconds(run):>7.1f} s  ", style="dim")
        said.append(_detail(run))
        self._console.print(said, overflow="ellipsis", no_wrap=True)

    def finish(self, scenes: Sequence[Scene], summary: AccountSummary) -> None:
        """Tell how it all ended."""
        self._console.print()
        outcomes = Table(title="What happened", title_justify="left", show_edge=False, pad_edge=False)
        outcomes.add_column("Scene", no_wrap=True)
        outcomes.add_column("Outcome")
        outcomes.add_column("latest", no_wrap=True)
        for scene in scenes:
            outcomes.add_row(scene.title, scene.outcome, scene.latest or "-")
        self._console.print(outcomes)
        self._console.print()
        self._console.print(Text("What is left in the account", style="bold"))
        for image in summary.images:
            self._console.print(f"  image     {image['image_id']}  {image['name']}")
        self._console.print(f"  snapshots {', '.join(summary.snapshots)}")
        self._console.print(f"  instances {', '.join(summary.instances) or 'none'}")
        self._console.print()
        history = Table(title="History", title_justify="left", show_edge=False, pad_edge=False)
        for column in ("#", "AMI", "Digest", "Mode", "Status"):
            history.add_column(column, no_wrap=column != "Status")
        for record in summary.history:
            history.add_row(
                record["workflow_run_number"],
                record["ami_id"],
                record["image_digest"][7:19],
                record["build_mode"],
                f"{record['status']}: {record['status_reason']}",
            )
        self._console.print(history)
        self._console.print()
        self._console.print(Text("Where the time of the update went", style="bold"))
        phases = self.phases(scenes[1].executions[0])
        for phase, seconds in phases.items():
            bar = "━" * max(1, round(_BAR * seconds / max(phases.values())))
            self._console.print(f"  {phase:<16}{seconds:>7.1f} s  {bar}")

    def seconds(self, run: StateRun) -> float:
        """Seconds that a state took: emulated ones for a wait, this machine's for a function.

        A function does not run faster because time is scaled, so its time must not be multiplied.
        """
        if run.exited is None:
            return 0.0
        real = (run.exited - run.entered).total_seconds()
        return real / self._time_scale if run.name in WAITS else real

    def phases(self, execution: Followed) -> dict[str, float]:
        """Seconds by phase of a build, as `seconds` counts them."""
        totals: dict[str, float] = {}
        for run in execution.states:
            phase = WAITS.get(run.name, FUNCTIONS)
            totals[phase] = totals.get(phase, 0.0) + self.seconds(run)
        return totals


def _detail(run: StateRun) -> str:  # noqa: PLR0911 - one line for each kind of state
    output = run.output if isinstance(run.output, dict) else {}
    match run.name:
        case "Plan Build":
            return "; ".join(output["plan"]["reasons"])
        case "Claim Environment":
            return str(output["claim"]["reason"])
        case "Launch Builder" | "Launch Canary":
            made = output["builder" if run.name == "Launch Builder" else "canary"]
            return f"{made['instance_id']} {made['instance_type']} in {made['subnet_id']}"
        case "Create Image":
            return str(output["image"]["image_id"])
        case "Publish Image" | "Publish Canonical Image":
            return f"latest is {output['published']['image_id']}"
        case "Retire Previous Images" | "Retire Candidate":
            key = "retirement" if run.name == "Retire Previous Images" else "candidate_retirement"
            decisions = output[key]["decisions"]
            return "; ".join(f"{d['action']} {d['image_id']}: {d['reason']}" for d in decisions)
        case "Adopt Image Name":
            return str(output["adoption"]["image_id"] or output["adoption"]["reason"])
        case "Clean Up Build":
            done = output["clean_up"]
            return f"terminated {len(done['terminated'])}, deregistered {', '.join(done['deregistered']) or 'none'}"
        case "Release Environment":
            started = output["released"]["started_execution"]
            return f"started {started.rsplit(':', 1)[-1]}" if started else ""
        case _:
            return ""
