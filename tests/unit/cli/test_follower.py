"""Following an execution: behind a queue, through faults, and never at the cost of what was started."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console
from tests.unit.cli.samples import NOW, a_live, digest
from tests.unit.domain.builders import settings

from ami_lifecycle.domain.environment import Claim, EnvironmentRecord
from ami_lifecycle.domain.planning import Live
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import AccessDeniedError, AmiLifecycleError, ThrottledError
from ami_lifecycle_cli.commands import logs
from ami_lifecycle_cli.stack import execution_start, follower, log_reader
from ami_lifecycle_cli.stack.follower import Followed, Follower
from ami_lifecycle_cli.stack.logs import BuildLogs, Line, Tail, commands_of
from ami_lifecycle_cli.stack.progress import Progress
from ami_lifecycle_cli.stack.runs import Run, StateRun

QUEUED = {"status": "queued", "reason": "holder holds the environment"}
MINE, HOLDER, NEXT = "arn:execution:mine", "arn:execution:holder", "arn:execution:next"


def a_run(arn: str, minute: int, output: Mapping[str, Any], status: str = "SUCCEEDED") -> Run:
    """An execution that started at a minute and took one."""
    started = NOW + timedelta(minutes=minute)
    return Run(
        arn=arn,
        status=status,
        started=started,
        stopped=started + timedelta(minutes=1),
        environment="prod",
        trigger=None,
        action=None,
        output=output,
        error=None,
        cause=None,
    )


@dataclass
class FakeRuns:
    """Executions that have ended, and what goes wrong in looking at them."""

    runs: Sequence[Run]
    faults: list[AmiLifecycleError] = field(default_factory=list)
    usual: AmiLifecycleError | None = None

    def describe(self, arn: str) -> Run:
        if self.faults:
            raise self.faults.pop(0)
        return next(run for run in self.runs if run.arn == arn)

    def states(self, _arn: str) -> list[StateRun]:
        return []

    def usual_seconds(self, _environment: str) -> dict[str, float]:
        if self.usual is not None:
            raise self.usual
        return {}

    def newest(self, _environment: str, count: int, *, idle: bool = True) -> list[Run]:
        known = [run for run in self.runs if idle or not run.is_idle]
        return sorted(known, key=lambda run: run.started, reverse=True)[:count]


def named(live: Live, name: str) -> Live:
    """The same, with an image of this name."""
    assert live.image is not None
    return live.model_copy(update={"image": live.image.model_copy(update={"name": name})})


def a_follower(
    monkeypatch: pytest.MonkeyPatch, runs: FakeRuns, holder: str | None = None, builds: str | None = None
) -> Follower:
    claim = holder and Claim(
        execution_arn=holder,
        number=1,
        action=Action.BUILD,
        digest=builds,
        claimed_at=NOW,
        lease_until=NOW,
    )
    record = EnvironmentRecord(environment="prod", claim=claim or None)
    stack: Any = SimpleNamespace(
        environments=SimpleNamespace(get=lambda _environment: record),
        catalogue=SimpleNamespace(get=lambda _environment: settings()),
        clock=SimpleNamespace(now=lambda: NOW),
        client=lambda _service: None,
    )
    monkeypatch.setattr(follower, "Runs", lambda _stack: runs)
    monkeypatch.setattr(follower.time, "sleep", lambda _seconds: None)
    return Follower(stack, Console(file=io.StringIO()))


@pytest.mark.parametrize("fails", [False, True])
def test_behind_a_queue_the_execution_that_was_started_for_it_is_the_result(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    # A release says what it has started; the clean-up of a failed build does not.
    output = {} if fails else {"image_id": "ami-bad", "started_execution": NEXT}
    holder = a_run(HOLDER, 0, output, "FAILED" if fails else "SUCCEEDED")
    # The clean-up is the last step of the holder, so what it starts begins before the holder ends.
    holder = replace(holder, stopped=NOW + timedelta(minutes=4))
    runs = FakeRuns([holder, a_run(MINE, 1, QUEUED), a_run(NEXT, 3, {"image_id": "ami-good"})])
    ended = a_follower(monkeypatch, runs, HOLDER).follow(MINE, "prod")
    assert (ended.run.arn, ended.run.explanation) == (NEXT, "ami-good")


def test_a_holder_that_was_started_for_the_queue_is_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = FakeRuns([a_run(MINE, 0, QUEUED), a_run(NEXT, 2, {"image_id": "ami-good"})])
    assert a_follower(monkeypatch, runs, NEXT).follow(MINE, "prod").run.arn == NEXT


def test_a_queue_that_moved_on_before_anybody_looked_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = FakeRuns([a_run(MINE, 0, QUEUED), a_run(NEXT, 2, {"image_id": "ami-good"})])
    assert a_follower(monkeypatch, runs).follow(MINE, "prod").run.arn == NEXT


def test_what_the_holder_published_is_not_taken_for_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = FakeRuns([a_run(HOLDER, 0, {"image_id": "ami-bad"}), a_run(MINE, 1, QUEUED)])
    assert a_follower(monkeypatch, runs, HOLDER).follow(MINE, "prod").run.outcome == "queued"


def test_a_build_of_the_same_digest_by_another_is_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = a_run(MINE, 1, {"status": "already_building", "reason": "it builds this digest"})
    runs = FakeRuns([a_run(HOLDER, 0, {"image_id": "ami-good"}), mine])
    assert a_follower(monkeypatch, runs, HOLDER).follow(MINE, "prod").run.arn == HOLDER


def test_a_candidate_that_is_live_is_followed_to_the_final_image(monkeypatch: pytest.MonkeyPatch) -> None:
    live = named(a_live(4), "comfyui-multitenant-prod.candidate.x")
    monkeypatch.setattr(follower, "read_environment_live", lambda _stack, _environment: live)
    reason = f"{digest(4)} is published already, in {live.value}"
    mine = a_run(MINE, 1, {"action": "none", "reasons": [reason]})
    runs = FakeRuns([a_run(HOLDER, 0, {"image_id": "ami-final"}), mine])
    ended = a_follower(monkeypatch, runs, HOLDER, digest(4)).follow(MINE, "prod")
    assert (ended.run.arn, ended.run.explanation) == (HOLDER, "ami-final")
    # While another digest is built, there is nothing to do is the answer.
    assert a_follower(monkeypatch, runs, HOLDER, digest(5)).follow(MINE, "prod").run.arn == MINE


@pytest.mark.parametrize(
    ("name", "action", "naming", "is_finishing"),
    [
        ("candidate", Action.BUILD, "canonical", True),
        ("candidate", Action.BUILD, "unique", False),
        ("candidate", Action.RETIRE, "canonical", False),
        # What is live is final, and is built again with --force or by schedule.
        (settings().image_name, Action.BUILD, "canonical", False),
    ],
)
def test_only_a_build_whose_candidate_is_live_is_about_to_finish_it(
    monkeypatch: pytest.MonkeyPatch, name: str, action: Action, naming: str, is_finishing: bool
) -> None:
    live = named(a_live(4), name)
    monkeypatch.setattr(follower, "read_environment_live", lambda _stack, _environment: live)
    claim = Claim(
        execution_arn=HOLDER, number=1, action=action, digest=digest(4), claimed_at=NOW, lease_until=NOW
    )
    record = EnvironmentRecord(environment="prod", claim=claim)
    own = settings(publication={"image_naming": naming})
    stack: Any = SimpleNamespace(
        environments=SimpleNamespace(get=lambda _environment: record),
        catalogue=SimpleNamespace(get=lambda _environment: own),
    )
    expected = (HOLDER, digest(4), live.value) if is_finishing else None
    assert follower.finishing(stack, "prod") == expected


def test_throttling_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = FakeRuns([a_run(MINE, 0, {"image_id": "ami-good"})], faults=[ThrottledError("slower")] * 3)
    assert a_follower(monkeypatch, runs).follow(MINE, "prod").run.arn == MINE


def test_usual_durations_that_cannot_be_read_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = FakeRuns([a_run(MINE, 0, {"image_id": "a"})], usual=AccessDeniedError("states:ListExecutions"))
    assert a_follower(monkeypatch, runs).follow(MINE, "prod").run.arn == MINE


@pytest.mark.parametrize("error", [AccessDeniedError("states:DescribeExecution"), KeyboardInterrupt()])
def test_what_was_started_is_named_when_it_cannot_be_followed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def refuse(_follower: Follower, _arn: str, _environment: str) -> None:
        raise error

    monkeypatch.setattr(follower, "Runs", lambda _stack: None)
    monkeypatch.setattr(Follower, "follow", refuse)
    stack: Any = None
    expected = typer.Exit if isinstance(error, KeyboardInterrupt) else type(error)
    with pytest.raises(expected):
        execution_start.follow(stack, MINE, "prod", as_json=True)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "schema_version": 1,
        "execution_arn": MINE,
        "started_execution_arn": MINE,
        "environment": "prod",
        "status": "NOT_FOLLOWED",
    }
    assert "goes on" in printed.err
    assert "ami-lifecycle stop prod --execution mine" in printed.err


@pytest.mark.parametrize("error", [AccessDeniedError("states:DescribeExecution"), KeyboardInterrupt()])
def test_what_is_followed_at_the_moment_is_named_and_not_what_was_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    class Interrupted(FakeRuns):
        def describe(self, arn: str) -> Run:
            if arn == HOLDER:
                raise error
            return super().describe(arn)

    mine = a_run(MINE, 1, {"status": "already_building", "reason": "it builds this digest"})
    subject = a_follower(monkeypatch, Interrupted([mine]), HOLDER)
    monkeypatch.setattr(execution_start, "Follower", lambda _stack: subject)
    stack: Any = None
    with pytest.raises(typer.Exit if isinstance(error, KeyboardInterrupt) else type(error)):
        execution_start.follow(stack, MINE, "prod", as_json=True)
    printed = capsys.readouterr()
    named = json.loads(printed.out)
    assert (named["execution_arn"], named["started_execution_arn"]) == (HOLDER, MINE)
    assert "holder goes on" in printed.err
    assert "ami-lifecycle stop prod --execution holder" in printed.err


def test_a_failure_ends_with_the_last_lines_and_the_command_for_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack: Any = SimpleNamespace(clock=SimpleNamespace(now=lambda: NOW))
    followed = Followed(a_run(MINE, 0, {}, "FAILED"), [], ("no space left",))
    with pytest.raises(typer.Exit):
        execution_start.report(stack, followed, as_json=False)
    printed = capsys.readouterr()
    assert "no space left" in printed.out
    assert "ami-lifecycle logs mine" in printed.err


def a_state(name: str, second: int, *, ended: bool = True, output: Any = None) -> StateRun:
    began = NOW + timedelta(seconds=second)
    return StateRun(name, began, began + timedelta(seconds=1) if ended else None, output or {})


SENT = {"provisioning": {"command_id": "c-1", "instance_id": "i-1"}}


def test_the_lines_of_the_command_that_runs_are_told_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [
        a_state("Provision Builder", 0, output=SENT),
        a_state("Await Provisioning", 1, ended=False),
    ]
    written = [["pulling"], ["pulling", "configuring"], ["configuring"]]
    asked = []

    class Watched(FakeRuns):
        def describe(self, arn: str) -> Run:
            run = super().describe(arn)
            return replace(run, status="RUNNING") if len(written) > 1 else run

        def states(self, _arn: str) -> list[StateRun]:
            return states

    class Written:
        def __init__(self, _stack: Any, _run: Run) -> None:
            self.lines = written.pop(0)

        def of_commands(self, sent: Sequence[Any], since: Any) -> list[Line]:
            assert [each.command_id for each in sent] == ["c-1"]
            asked.append(since)
            return [Line(NOW, "provision", "stdout", text, text) for text in self.lines]

    monkeypatch.setattr(follower, "BuildLogs", Written)
    subject = a_follower(monkeypatch, Watched([a_run(MINE, 0, {"image_id": "ami-good"})]))
    subject.follow(MINE, "prod")
    told = subject._console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert [line.strip() for line in told.splitlines() if "|" in line] == ["| pulling", "| configuring"]
    # A look reads what has come since the one before, and what may have been late.
    assert asked == [None, NOW - timedelta(minutes=1), NOW - timedelta(minutes=1)]


def a_line(second: int, text: str) -> Line:
    return Line(NOW + timedelta(seconds=second), "provision", "stdout", text, text)


def test_a_tail_tells_each_line_once_and_takes_late_ones() -> None:
    tail, asked = Tail(), []

    def look(*lines: Line) -> Any:
        def read(since: Any) -> list[Line]:
            asked.append(since)
            return list(lines)

        return [line.text for line in tail.read(read)]

    assert look() == []
    assert look(a_line(100, "b")) == ["b"]
    assert look(a_line(90, "a"), a_line(100, "b")) == ["a"]
    assert look(a_line(200, "c")) == ["c"]
    assert look() == []
    assert asked == [None, None, *[NOW + timedelta(seconds=at) for at in (40, 40, 140)]]
    assert [line.text for line in tail.lines] == ["a", "b", "c"]


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def followed_log(monkeypatch: pytest.MonkeyPatch, answers: Sequence[Any]) -> list[str]:
    """What `logs --follow` shows where CloudWatch Logs answers so; the last answer lasts."""
    left, clock, shown = list(answers), Clock(), list[str]()

    class Written:
        def __init__(self, _stack: Any, _run: Run) -> None:
            pass

        def of_commands(self, _sent: Any, _since: Any) -> list[Line]:
            return [a_line(1, "pulling")]

        def of_functions(self, _since: Any) -> list[Line]:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return [a_line(0, answer)]

    states = [a_state("Provision Builder", 0, output=SENT)]
    watched: list[Any] = [(a_run(MINE, 0, {"image_id": "ami-1"}), states)]
    monkeypatch.setattr(logs, "Follower", lambda _stack: SimpleNamespace(watch=lambda _arn: iter(watched)))
    monkeypatch.setattr(log_reader, "BuildLogs", Written)
    monkeypatch.setattr(logs, "time", clock)
    stack: Any = None
    build: Any = SimpleNamespace(run=watched[0][0])
    try:
        logs._follow(stack, build, lambda line: shown.append(line.text))
    except ThrottledError:
        assert clock.now > 300
        shown.append("gave up")
    return shown


def test_a_log_that_cannot_be_read_now_is_read_later_and_loses_no_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert followed_log(monkeypatch, ["planned"]) == ["planned", "pulling"]
    assert followed_log(monkeypatch, [ThrottledError("slower")] * 3 + ["planned"]) == ["planned", "pulling"]


def test_a_log_that_cannot_be_read_at_all_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert followed_log(monkeypatch, [ThrottledError("slower")]) == ["gave up"]


@pytest.mark.parametrize(("columns", "rows"), [(60, 15), (80, 24), (200, 60)])
def test_progress_fits_the_terminal_with_the_running_state_the_total_and_the_last_lines(
    columns: int, rows: int
) -> None:
    console = Console(file=io.StringIO(), width=columns, height=rows, force_terminal=True, color_system=None)
    states = [a_state(f"State Number {number}", number) for number in range(25)]
    states.append(a_state("Await Provisioning", 25, ended=False))
    lines = [
        Line(NOW, "provision", "stdout", f"line {number} {'x' * 300}", str(number)) for number in range(9)
    ]
    progress = Progress(console, MINE, {"Await Provisioning": 90.0})
    console.print(progress.render(states, lines, NOW + timedelta(seconds=40)))
    shown = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert len(shown) < rows - 1
    assert max(map(len, shown)) <= columns
    text = "\n".join(shown)
    assert "Await Provisioning" in text
    assert "Total" in text
    assert [line[:10] for line in shown[-4:]] == [f"  | line {number}" for number in range(5, 9)]
    assert ("states before" in text) == (rows < 30)


def test_an_event_of_several_lines_is_several_lines() -> None:
    event = {
        "eventId": "7",
        "timestamp": 1_767_355_200_000,
        "message": "one\n\ntwo\n",
        "logStreamName": "c-1/i-1/provisionImage/stderr",
    }

    class Client:
        def get_paginator(self, _name: str) -> Any:
            return SimpleNamespace(paginate=lambda **_wanted: [{"events": []}, {"events": [event]}])

    stack: Any = SimpleNamespace(outputs={"CommandLogGroupName": "/c"}, client=lambda _name: Client())
    run = a_run(MINE, 0, {})
    sent = commands_of([a_state("Provision Builder", 0, output=SENT)])
    found = BuildLogs(stack, run).of_commands(sent)
    assert [(line.source, line.level, line.text, line.is_problem) for line in found] == [
        ("provision", "stderr", "one", True),
        ("provision", "stderr", "two", True),
    ]
    assert len({line.event_id for line in found}) == 2
