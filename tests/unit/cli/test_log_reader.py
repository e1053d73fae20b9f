"""Reading the log of a build where CloudWatch Logs has nothing of it, or may not be read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.unit.cli.samples import NOW, a_run

from ami_lifecycle.errors import AccessDeniedError, ThrottledError
from ami_lifecycle_cli.stack import log_reader
from ami_lifecycle_cli.stack.log_reader import LogReader
from ami_lifecycle_cli.stack.logs import Line, readable
from ami_lifecycle_cli.stack.runs import StateRun

RUN = a_run(1)
ENDED = NOW + timedelta(seconds=90)
STATES = [
    StateRun("Provision Builder", NOW, NOW, {"provisioning": {"command_id": "c-1", "instance_id": "i-1"}}),
    StateRun("Await Provisioning", NOW, ENDED),
    StateRun("Verify Image", ENDED, ENDED, {"verifying": {"command_id": "c-2", "instance_id": "i-2"}}),
]
REFUSED = AccessDeniedError("logs:FilterLogEvents on /commands failed: not authorized", hint="Grant it")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetCommandInvocation")
INVOCATION = {
    "Status": "Failed",
    "StatusDetails": "Failed",
    "StandardOutputContent": "pulling\n\nextracting\n",
    "StandardErrorContent": "no space left\n",
}


def a_line(source: str) -> Line:
    return Line(NOW, source, "stdout", f"{source} writes", source)


def read(
    monkeypatch: pytest.MonkeyPatch, written: dict[str, Any], kept: dict[str, Any]
) -> tuple[list[Line], list[str]]:
    """The lines and notes, where each command and `functions` have these lines in CloudWatch Logs, or this error."""

    def answer(name: str) -> list[Line]:
        found = written.get(name, [])
        if isinstance(found, Exception):
            raise found
        return list(found)

    class Written:
        def __init__(self, _stack: Any, _run: Any) -> None:
            pass

        def of_commands(self, sent: Sequence[Any], _since: datetime | None) -> list[Line]:
            return answer(sent[0].command_id)

        def of_functions(self, _since: datetime | None) -> list[Line]:
            return answer("functions")

    def invocation(CommandId: str, InstanceId: str) -> Any:  # noqa: N803 - boto3's names
        assert InstanceId == CommandId.replace("c", "i")
        found = kept.get(CommandId, {**INVOCATION, "StandardOutputContent": "", "StandardErrorContent": ""})
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(log_reader, "BuildLogs", Written)
    stack: Any = SimpleNamespace(
        outputs={"CommandLogGroupName": "/commands"},
        client=lambda _service: SimpleNamespace(get_command_invocation=invocation),
    )
    notes: list[str] = []
    reader = LogReader(stack, notes.append)
    return [*reader.read(RUN, STATES), *reader.read_kept(RUN, STATES)], notes


def test_what_run_command_keeps_stands_in_for_what_never_came_to_cloudwatch_logs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    functions = [a_line("plan_build")]
    lines, notes = read(monkeypatch, {"functions": functions, "c-2": [a_line("verify")]}, {"c-1": INVOCATION})
    assert lines[:2] == [a_line("verify"), *functions]
    assert [(line.time, line.source, line.level, line.text) for line in lines[2:]] == [
        (ENDED, "provision", "stdout", "pulling"),
        (ENDED, "provision", "stdout", "extracting"),
        (ENDED, "provision", "stderr", "no space left"),
    ]
    (note,) = notes
    assert note.startswith(
        "Of provision, shown is what Run Command keeps, the first 24,000 characters of its output and 8,000 of its "
        "errors: /commands has nothing of it"
    )
    assert "ami-lifecycle doctor" in note


def test_who_may_not_read_the_group_of_the_commands_gets_what_run_command_keeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, notes = read(
        monkeypatch,
        {"functions": [a_line("plan_build")], "c-1": REFUSED, "c-2": REFUSED},
        {"c-1": INVOCATION},
    )
    assert [line.source for line in lines] == ["plan_build", "provision", "provision", "provision"]
    (note,) = notes
    assert "logs:FilterLogEvents on /commands failed" in note


def test_who_may_not_read_what_functions_write_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, notes = read(monkeypatch, {"functions": REFUSED, "c-1": [a_line("provision")]}, {})
    assert [line.source for line in lines] == ["provision"]
    assert [note.partition(":")[0] for note in notes] == ["Left out is what its functions have written"]


def test_where_nothing_may_be_read_the_refusal_is_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AccessDeniedError, match="FilterLogEvents"):
        read(monkeypatch, {"functions": REFUSED, "c-1": REFUSED}, {"c-1": DENIED, "c-2": DENIED})


def test_a_refusal_of_run_command_is_told_with_the_action(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, notes = read(monkeypatch, {"functions": [a_line("plan_build")]}, {"c-1": DENIED})
    assert len(lines) == 1
    (note,) = notes
    assert "ssm:GetCommandInvocation on c-1 on i-1" in note


@pytest.mark.parametrize(
    "kept",
    [
        ClientError({"Error": {"Code": "InvocationDoesNotExist"}}, "GetCommandInvocation"),
        {**INVOCATION, "Status": "InProgress"},
        {**INVOCATION, "StandardOutputContent": "", "StandardErrorContent": ""},
    ],
)
def test_a_command_that_has_written_nothing_yet_or_was_long_ago_needs_no_note(
    monkeypatch: pytest.MonkeyPatch, kept: Any
) -> None:
    assert read(monkeypatch, {}, {"c-1": kept, "c-2": kept}) == ([], [])


def test_what_was_read_before_an_error_comes_with_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [ThrottledError("slower"), []]

    class Written:
        def __init__(self, _stack: Any, _run: Any) -> None:
            pass

        def of_commands(self, _sent: Any, _since: Any) -> list[Line]:
            return [a_line("provision")]

        def of_functions(self, _since: Any) -> list[Line]:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return list(answer)

    monkeypatch.setattr(log_reader, "BuildLogs", Written)
    stack: Any = None
    reader = LogReader(stack, list[str]().append)
    with pytest.raises(ThrottledError):
        reader.read(RUN, STATES[:2])
    assert reader.read(RUN, STATES[:2]) == [a_line("provision")]
    assert reader.read(RUN, STATES[:2], functions=False) == []


def test_a_package_list_in_the_facts_is_not_shown() -> None:
    assert readable('{"kind":"verify","packages":"eJx=+/","total":1}') == (
        '{"kind":"verify","packages":"...","total":1}'
    )
    assert readable('"packages_problem":"none"') == '"packages_problem":"none"'
