"""Telling the demonstration to people: scenes, states, the final picture, where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ami_lifecycle_cli.demo.following import Followed, StateRun
from ami_lifecycle_cli.demo.story import Picture, Scene

PHASES: Final[Mapping[str, str]] = {
    "Launch Builder": "boot builder",
    "Let Builder Boot": "boot builder",
    "Await Builder": "boot builder",
    "Provision Builder": "provision",
    "Await Provisioning": "provision",
    "Stop Builder": "stop builder",
    "Await Stop": "stop builder",
    "Create Image": "create image",
    "Await Image": "create image",
    "Launch Canary": "boot canary",
    "Let Canary Boot": "boot canary",
    "Await Canary": "boot canary",
    "Verify Image": "verify",
    "Await Verification": "verify",
    "Grace Period": "grace periods",
    "Canonical Grace Period": "grace periods",
    "Plan Build": "plan and claim",
    "Claim Environment": "plan and claim",
}
_OTHER: Final = "publish and retire"
_BAR: Final = 30


class Teller:
    """Writes to a console while the story goes on.

    Args:
        time_scale: seconds of this machine for one emulated second; times are told as emulated ones.
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

    def state(self, execution: Followed, run: StateRun) -> None:
        """Tell of a state that was left."""
        said = Text(f"   {run.name:<26}")
        said.append(f"{self.seconds(run):>8.1f} s  ", style="dim")
        said.append(_detail(run))
        self._console.print(said, overflow="ellipsis", no_wrap=True)
        del execution

    def finish(self, scenes: Sequence[Scene], picture: Picture) -> None:
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
        for image in picture.images:
            self._console.print(f"  image     {image['image_id']}  {image['name']}")
        self._console.print(f"  snapshots {', '.join(picture.snapshots)}")
        self._console.print(f"  instances {', '.join(picture.instances) or 'none'}")
        self._console.print()
        history = Table(title="History", title_justify="left", show_edge=False, pad_edge=False)
        for column in ("#", "AMI", "Digest", "Mode", "Status"):
            history.add_column(column, no_wrap=column != "Status")
        for record in picture.history:
            history.add_row(
                record["workflow_run_number"],
                record["ami_id"],
                record["image_digest"][7:19],
                record["build_mode"],
                f"{record['status']}: {record['status_reason']}",
            )
        self._console.print(history)
        self._console.print()
        self._console.print(Text("Where the time of the update went (emulated seconds)", style="bold"))
        for phase, seconds in self.phases(scenes[1].executions[0]).items():
            bar = "━" * max(1, round(_BAR * seconds / max(self.phases(scenes[1].executions[0]).values())))
            self._console.print(f"  {phase:<20}{seconds:>8.1f}  {bar}")

    def seconds(self, run: StateRun) -> float:
        """Emulated seconds that a state took."""
        if run.exited is None:
            return 0.0
        return (run.exited - run.entered).total_seconds() / self._time_scale

    def phases(self, execution: Followed) -> dict[str, float]:
        """Emulated seconds by phase of a build, in the order of the phases."""
        totals: dict[str, float] = {}
        for run in execution.states:
            phase = PHASES.get(run.name, _OTHER)
            totals[phase] = totals.get(phase, 0.0) + self.seconds(run)
        return totals


def _detail(run: StateRun) -> str:
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
            decisions = output["retirement"]["decisions"]
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
