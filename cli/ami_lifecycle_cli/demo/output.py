"""Output of the demonstration: scenes, states, the final summary, durations by phase."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from ami_lifecycle_cli.demo.story import AccountSummary, Scene
from ami_lifecycle_cli.stack.follower import Followed
from ami_lifecycle_cli.stack.runs import StateRun
from ami_lifecycle_cli.stack.states import FUNCTIONS, WAITS

_BAR: Final = 30
_INDENT: Final = "   "
_NAME: Final = 26
# Parts that are shortened: an ARN up to the name of the execution, and the end of a digest.
_LONG: Final = re.compile(
    r"arn:[^:\s]+:states:[^:\s]+:[0-9]+:execution:[^:\s]+:|(?<=sha256:[0-9a-f]{12})[0-9a-f]{52}"
)
_INTRODUCTION: Final = (
    "ECR, EC2, Step Functions, Lambda and the others are emulated in this process; the functions and the state "
    "machine are the ones that are deployed to AWS. What follows is the life of the environment prod. Each line is a "
    "state of a build that was left: its name, how long it took, and what it decided or made. Waits are in the "
    "account's own seconds, which pass {faster:.0f} times faster here."
)


class DemoOutput:
    """Writes the demonstration to a console.

    Args:
        time_scale: seconds of this machine for one emulated second; waits are shown in emulated seconds.
    """

    def __init__(self, console: Console, time_scale: float) -> None:
        self._console = console
        self._time_scale = time_scale
        self._number = 0

    def introduce(self, seconds: float, endpoint_url: str) -> None:
        """Print the introduction."""
        self._console.print(f"Ready after {seconds:.1f} s at {endpoint_url}", soft_wrap=True)
        self._console.print()
        self._wrapped(_INTRODUCTION.format(faster=1 / self._time_scale), "")

    def begin(self, scene: Scene) -> None:
        """Print the title of a scene."""
        self._number += 1
        self._console.print()
        self._console.print(Text(f"{self._number}. {scene.title}", style="bold"))
        self._wrapped(scene.what, _INDENT)
        self._console.print()

    def say(self, text: str) -> None:
        """Print a line of text."""
        self._wrapped(f"{'' if text.startswith('$') else '-- '}{_shortened(text)}", _INDENT, style="bold")

    def state(self, run: StateRun) -> None:
        """Print a state that has ended; the result of a Choice shows in the next state."""
        if run.name.endswith("?"):
            return
        line = Text(f"{_INDENT}{run.name:<{_NAME}}")
        line.append(f"{self.seconds(run):>7.1f} s  ", style="dim")
        detail = _shortened(_detail(run))
        fits = line.cell_len + len(detail) <= self._console.width
        line.append(detail if fits else "").rstrip()
        self._console.print(line, soft_wrap=True)
        if not fits:
            self._wrapped(detail, 2 * _INDENT)

    def finish(self, scenes: Sequence[Scene], summary: AccountSummary) -> None:
        """Print the summary."""
        self._heading("What happened")
        for number, scene in enumerate(scenes, 1):
            self._console.print(f"  {number}. {scene.title}", soft_wrap=True)
            self._wrapped(scene.outcome, "     ")
            self._console.print(f"     latest: {scene.latest or '-'}", style="dim", soft_wrap=True)
        self._heading("What is left in the account")
        for image in summary.images:
            self._console.print(f"  image     {image['image_id']} {image['name']}", soft_wrap=True)
        self._console.print(f"  snapshots {', '.join(summary.snapshots)}", soft_wrap=True)
        self._console.print(f"  instances {', '.join(summary.instances) or 'none'}", soft_wrap=True)
        self._heading("What prod has published, the newest first")
        for record in summary.history:
            left = " (rolled back)" if record["rolled_back"] else ""
            self._console.print(
                f"  {record['ami_id']} {record['image_digest'][7:19]} {record['status']}{left}",
                soft_wrap=True,
            )
        self._heading("Where the time of the update went, in the account's seconds")
        phases = self.phases(scenes[1].executions[0])
        for phase, seconds in phases.items():
            bar = "━" * max(1, round(_BAR * seconds / max(phases.values())))
            self._console.print(f"  {phase:<14}{seconds:>7.1f} s  {bar}", soft_wrap=True)

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

    def _heading(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def _wrapped(self, text: str, indent: str, style: str = "") -> None:
        lines = textwrap.wrap(
            text, max(20, self._console.width - len(indent)), break_on_hyphens=False, break_long_words=False
        )
        for line in lines:
            self._console.print(Text(indent + line, style=style), soft_wrap=True)


def _shortened(text: str) -> str:
    return _LONG.sub("", text)


def _detail(run: StateRun) -> str:  # noqa: PLR0911 - one line for each kind of state
    output = run.output if isinstance(run.output, dict) else {}
    match run.name:
        case "Plan Build":
            return "; ".join(output["plan"]["reasons"])
        case "Claim Environment":
            return str(output["claim"]["reason"])
        case "Launch Builder" | "Launch Canary":
            made = output["builder" if run.name == "Launch Builder" else "canary"]
            return f"{made['instance_id']}, {made['instance_type']}"
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
