"""Following an execution to its end: live on a terminal, a line for each state in a pipe."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from ami_lifecycle.adapters.commands import SsmCommands
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import AmiLifecycleError, TransientError
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import iso_date, note_console, short_name
from ami_lifecycle_cli.stack.logs import BuildLogs, Line, Tail, commands_of
from ami_lifecycle_cli.stack.progress import Progress
from ami_lifecycle_cli.stack.records import read_environment_live
from ami_lifecycle_cli.stack.runs import RUNNING, Run, Runs, StateRun
from ami_lifecycle_cli.stack.states import OF_COMMANDS

_FIRST_POLL_SECONDS: Final = 0.2
_LAST_POLL_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 300.0
# A new execution is listed with a delay.
_LOOKS_FOR_NEXT: Final = 15
_LOG_LINES: Final = 20
# All of an ARN but the name of the execution.
_ARN: Final = re.compile(r"arn:[^:\s]+:states:[^:\s]+:[0-9]+:execution:[^:\s]+:")


@dataclass(frozen=True)
class Followed:
    """An execution that has ended, and the states that it went through."""

    run: Run
    states: list[StateRun]
    log: tuple[str, ...] = ()

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Plain values."""
        run = self.run
        return {
            "execution_arn": run.arn,
            "environment": run.environment,
            "status": run.status,
            "outcome": run.outcome,
            "explanation": run.explanation,
            "error": run.error,
            "cause": run.cause,
            "started": iso_date(run.started),
            "seconds": round(run.seconds(now), 1),
            "output": dict(run.output),
            "states": [
                {"name": state.name, "seconds": round(state.seconds(now), 1), "errors": state.errors}
                for state in self.states
            ],
            "log": list(self.log),
        }


class Finishing(NamedTuple):
    """A build whose candidate is live, and which is about to publish the final image."""

    execution_arn: str
    digest: str
    image_id: str


def finishing(stack: Stack, environment: str) -> Finishing | None:
    """The build that will replace the live candidate; None where there is none."""
    claim, settings = stack.environments.get(environment).claim, stack.catalogue.get(environment)
    live = read_environment_live(stack, environment)
    if claim is None or claim.action is not Action.BUILD or claim.digest is None or live.image is None:
        return None
    # A live image with the canonical name is final; the build is another one of the same Docker image.
    is_candidate = settings.publication.image_naming == "canonical" and live.image.name != settings.image_name
    if not is_candidate or live.digest != claim.digest:
        return None
    return Finishing(claim.execution_arn, claim.digest, live.image.image_id)


class Follower:
    """Follows executions of a stack.

    Args:
        longest_pause_seconds: between two polls of an execution; shorter where emulated time runs faster.
    """

    def __init__(
        self,
        stack: Stack,
        console: Console | None = None,
        *,
        longest_pause_seconds: float = _LAST_POLL_SECONDS,
    ) -> None:
        self._longest_pause_seconds = longest_pause_seconds
        self._stack = stack
        self._runs = Runs(stack)
        # By the id of the command.
        self._tails: dict[str, Tail] = {}
        self._console = console or note_console()
        # The execution that is being followed: another one than the one that was started, if that was queued.
        self.followed_arn: str | None = None

    def follow(self, arn: str, environment: str) -> Followed:
        """Follow an execution to its end. If it was queued, follow the holder of the environment, and then the
        execution that is started for the queued request. Where that cannot be found, the result is the queued one.

        Raises:
            AmiLifecycleError: the execution could not be read; it goes on all the same.
        """
        usual = self._median_durations(environment)
        followed = self._follow_one(arn, usual)
        queued: Followed | None = None
        while True:
            run = followed.run
            if run.outcome == "queued":
                queued, following = followed, self._holder(run, environment)
                why = run.explanation
                if following is None:
                    queued, following = None, self._started_for(run, run, environment)
            elif run.output.get("status") == "already_building":
                following, why = self._holder(run, environment), run.explanation
            elif (finishing := self._finishing(run, environment)) is not None:
                following, why = finishing, f"{run.explanation}, which is not the final image yet"
            elif queued is not None and run.started > queued.run.started:
                return followed
            elif queued is not None:
                following, why = self._started_for(queued.run, run, environment), "it is this request's turn"
                if following is None:
                    return queued
                queued = None
            else:
                return followed
            if following is None:
                return followed
            self._console.print(Text(f"{_ARN.sub('', why)}; following {short_name(following)}"))
            followed = self._follow_one(following, usual)

    def _median_durations(self, environment: str) -> Mapping[str, float]:
        """How long states usually take; nothing where that cannot be read, because it only adorns."""
        try:
            return self._runs.usual_seconds(environment)
        except AmiLifecycleError:
            return {}

    def _follow_one(self, arn: str, usual: Mapping[str, float]) -> Followed:
        self.followed_arn = arn
        with Progress(self._console, arn, usual).open() as show:
            known_states = 0
            for run, states in self.watch(arn):
                lines = self._lines(run, states, states[max(0, known_states - 1) :])
                show(states, lines, self._stack.clock.now())
                known_states = len(states)
        return Followed(run, states, self._log_of(run, states))

    def watch(self, arn: str) -> Iterator[tuple[Run, list[StateRun]]]:
        """An execution and the states it went through, look by look; the last time once it has ended.

        Raises:
            AmiLifecycleError: it could not be looked at; it goes on all the same.
        """
        pause, known_states = _FIRST_POLL_SECONDS, 0
        while True:
            # The description first: a history that is read after the end is complete.
            run, states = self._read(arn)
            yield run, states
            if run.status != RUNNING:
                return
            longer = min(pause * 1.5, self._longest_pause_seconds)
            pause, known_states = _FIRST_POLL_SECONDS if len(states) > known_states else longer, len(states)
            time.sleep(pause)

    def _lines(self, run: Run, states: list[StateRun], new: list[StateRun]) -> list[Line]:
        """What the command has written that runs now, or ran since the last look; nothing new where that cannot be
        read, because it only adorns.
        """
        if not any(state.name in OF_COMMANDS for state in new):
            return []
        sent = commands_of(states)[-1:]
        tail = self._tails.setdefault(sent[0].command_id if sent else "", Tail())
        with suppress(AmiLifecycleError, BotoCoreError, ClientError):
            tail.read(partial(BuildLogs(self._stack, run).of_commands, sent))
        return tail.lines

    def _read(self, arn: str) -> tuple[Run, list[StateRun]]:
        """The execution and its states; asks again for some minutes while AWS throttles or does not answer."""
        limit = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return self._runs.describe(arn), self._runs.states(arn)
            except TransientError:
                if time.monotonic() > limit:
                    raise
                time.sleep(_LAST_POLL_SECONDS)

    def _holder(self, run: Run, environment: str) -> str | None:
        claim = self._stack.environments.get(environment).claim
        return claim.execution_arn if claim is not None and claim.execution_arn != run.arn else None

    def _finishing(self, run: Run, environment: str) -> str | None:
        """Who has published the image for which there was nothing to do, and puts the final one in its place."""
        if run.output.get("action") != Action.NONE.value:
            return None
        found = finishing(self._stack, environment)
        is_it = found is not None and found.execution_arn != run.arn and found.image_id in run.explanation
        return found.execution_arn if found is not None and is_it else None

    def _started_for(self, queued: Run, holder: Run, environment: str) -> str | None:
        """What the holder has started for the queue: it says so itself, unless it failed."""
        if started := holder.output.get("started_execution"):
            return str(started)
        for _ in range(_LOOKS_FOR_NEXT):
            newest = self._runs.newest(environment, 3, idle=False)
            found = [
                each.arn
                for each in newest
                if each.arn not in {queued.arn, holder.arn} and each.started > queued.started
            ]
            if found:
                return found[-1]
            time.sleep(_LAST_POLL_SECONDS)
        return None

    def _log_of(self, run: Run, states: list[StateRun]) -> tuple[str, ...]:
        """The last lines of the command that failed."""
        if run.status == "SUCCEEDED" or not any(state.name in OF_COMMANDS for state in states):
            return ()
        sent = commands_of(states)[-1:]
        if not sent:
            return ()
        try:
            result = SsmCommands(self._stack.client("ssm")).result(sent[0].command_id, sent[0].instance_id)
        except AmiLifecycleError as error:
            return (f"(the command's output could not be read: {error})",)
        if result is None:
            return ()
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        return tuple(lines[-_LOG_LINES:])
