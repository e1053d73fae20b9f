"""One thing that AWS refuses ends nothing else, and is come back to for as long as it takes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import Call, Faulty
from tests.template.call_graph import STEPS
from tests.unit.steps.account import Account, an_image, arn_of
from tests.unit.steps.execution import Ended, converge, run, run_started
from tests.unit.steps.leftovers import (
    an_orphan_instance,
    an_orphan_snapshot,
    findings,
    started,
    tags_of,
)

from ami_lifecycle.domain.command import CommandResult, CommandStatus
from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.domain.environment import LONGEST_PAUSE, EnvironmentRecord, retry_delay
from ami_lifecycle.domain.execution import ExecutionStatus
from ami_lifecycle.domain.model import TAG_DIGEST, Snapshot
from ami_lifecycle.domain.publication import dump
from ami_lifecycle.domain.record import Metadata
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import (
    AccessDeniedError,
    CapacityUnavailableError,
    ClaimLostError,
    CleanUpIncompleteError,
    RefusedError,
    ServiceUnavailableError,
    ThrottledError,
)
from ami_lifecycle.steps.batch import process_each

NAME = "comfyui-multitenant-prod"
FOR_EVER = 10_000
UNNAMED = ClientError({"Error": {"Code": "NewCode", "Message": "it is new"}}, "DeleteSnapshot")
DENIED = AccessDeniedError("ec2:DeleteSnapshot on it failed: denied by a policy. Grant ec2:DeleteSnapshot.")


class Locks:
    """Refuses one method for some ids, as a lock or an organization's policy does."""

    def __init__(self, method: str, *ids: str, error: Exception = DENIED) -> None:
        self.method, self.ids, self.error = method, ids, error

    def before(self, port: Faulty, call: Call) -> None:
        if call.method == self.method and call.args[0] in self.ids:
            raise self.error

    def after(self, port: Faulty, call: Call) -> None:
        """Nothing happens after the call."""


def blocked_in(ended: Ended) -> list[str]:
    assert ended.result is not None
    return [found.resource for found in ended.result.blocked]


def lock(account: Account, *ids: str, method: str = "delete_snapshot", error: Exception = DENIED) -> Locks:
    hook = Locks(method, *ids, error=error)
    account.world.images.hooks.append(hook)
    return hook


# The construct.


@given(st.lists(st.sampled_from(["done", "refused", "slower", "unknown"])))
def test_each_thing_gets_its_turn_whatever_becomes_of_the_others(kinds: list[str]) -> None:
    errors = {"refused": DENIED, "slower": ThrottledError("slower"), "unknown": ValueError("NewCode")}
    tried = []

    def act(item: tuple[int, str]) -> int:
        tried.append(item[0])
        if item[1] in errors:
            raise errors[item[1]]
        return item[0]

    outcomes = process_each(enumerate(kinds), lambda item: f"snap-{item[0]}", act)
    assert tried == list(range(len(kinds)))
    assert outcomes.done == [number for number, kind in enumerate(kinds) if kind == "done"]
    refused = [f"snap-{number}" for number, kind in enumerate(kinds) if kind in {"refused", "unknown"}]
    assert [found.resource for found in outcomes.blocked] == refused
    assert len(outcomes.transient) == kinds.count("slower")
    if outcomes.transient:
        with pytest.raises(ThrottledError):
            outcomes.raise_transient()


def test_a_claim_that_is_lost_ends_all() -> None:
    def act(_: str) -> None:
        raise ClaimLostError("another execution holds it")

    with pytest.raises(ClaimLostError):
        process_each(["snap-1", "snap-2"], str, act)


CHANGING = {"terminate", "deregister", "delete_snapshot", "delete", "is_settled"}
LOOPS = (ast.For, ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def changes_in_bare_loops() -> Iterator[str]:
    """Calls that change one thing, within a loop or a comprehension of the steps."""
    for path in sorted(STEPS.glob("*.py")):
        tree = ast.parse(path.read_text())
        within = (node for loop in ast.walk(tree) if isinstance(loop, LOOPS) for node in ast.walk(loop))
        for node in within:
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in CHANGING
            ):
                yield f"{path.name}:{node.lineno} {node.func.attr}"


def test_no_step_changes_several_things_in_a_loop_that_one_refusal_ends() -> None:
    assert list(changes_in_bare_loops()) == []


# The outcome of a build is that of its publication.


@pytest.mark.parametrize("error", [DENIED, RefusedError("SnapshotLocked"), UNNAMED], ids=str)
def test_a_snapshot_that_cannot_go_fails_no_later_build(account: Account, error: Exception) -> None:
    (locked,) = an_image(1).snapshot_ids
    lock(account, locked, error=error)
    for number in (2, 3):
        digest = account.push(str(number))
        ended = run(account, f"e{number}")
        assert ended.outcome == "published"
        assert account.live.tags[TAG_DIGEST] == digest
        assert account.live.name == NAME
        assert blocked_in(ended) == [locked]
        (_, message) = account.world.notifier.sent[-1]
        assert message["blocked"][0]["resource"] == locked
        assert [event.detail_type for event in account.world.notifier.announced][-1] == "Clean-Up Blocked"
    assert set(account.world.images.snapshots) == {locked, *account.live.snapshot_ids}
    (held,) = account.world.environments.get("prod").held_back
    assert (held.what, held.tries) == (locked, 2)
    assert str(error) in held.reason


def test_a_locked_snapshot_fails_no_sweep_and_starts_no_execution(account: Account) -> None:
    (locked,) = an_image(1).snapshot_ids
    hook = lock(account, locked)
    account.world.executions.end(arn_of("long-ago"), ExecutionStatus.SUCCEEDED)
    account.push("two")
    run(account)
    for _ in range(20):
        account.world.clock.advance(900)
        result = account.sweeper.sweep()
        assert result.blocked == (locked,)
    assert started(account) == []
    # Once a sweep at first, and then once an hour.
    assert (
        4
        <= len([call for call in account.world.images.called("delete_snapshot") if call.args[0] == locked])
        <= 12
    )
    account.world.images.hooks.remove(hook)
    account.world.clock.advance(LONGEST_PAUSE.total_seconds())
    account.sweeper.sweep()
    assert locked not in account.world.images.snapshots
    account.world.clock.advance(3 * LONGEST_PAUSE.total_seconds())
    assert account.sweeper.sweep().blocked == ()
    assert account.world.environments.get("prod").held_back == ()


def test_orphans_behind_one_that_is_refused_go_all_the_same(account: Account) -> None:
    first = an_orphan_snapshot(account, "first")
    second = Snapshot(
        snapshot_id="snap-0000000000000bad2",
        state="completed",
        description=first.description,
        start_time=account.world.clock.now(),
        tags=tags_of("second"),
    )
    account.world.images.snapshots[second.snapshot_id] = second
    instance = an_orphan_instance(account, "third")
    for name in ("first", "second", "third"):
        account.world.executions.end(arn_of(name), ExecutionStatus.FAILED)
    lock(account, first.snapshot_id)
    result = account.sweeper.sweep()
    assert first.snapshot_id in account.world.images.snapshots
    assert second.snapshot_id not in account.world.images.snapshots
    assert account.world.instances.all[instance.instance_id].state.is_over
    assert any("Grant ec2:DeleteSnapshot" in finding for finding in findings(result))


def test_an_image_that_is_refused_keeps_no_other_from_going(account: Account) -> None:
    one, two = (
        account.world.images.add(an_image(number, name=f"{NAME}.candidate.{number}")) for number in (2, 3)
    )
    for image in (one, two):
        account.record(image)
    lock(account, one.image_id, method="deregister")
    account.push("two")
    ended = run(account)
    assert ended.outcome == "published"
    assert one.image_id in account.world.images.all
    assert two.image_id not in account.world.images.all
    assert account.live.name == NAME
    record = account.history(one.image_id)
    assert record is not None
    assert record.status.value == "kept"


def test_an_image_that_is_refused_is_asked_for_at_a_back_off(account: Account) -> None:
    one = account.world.images.add(an_image(2, name=f"{NAME}.candidate.2"))
    account.record(one)
    hook = lock(account, one.image_id, method="deregister")
    for _ in range(4 * 24):
        account.world.clock.advance(900)
        before = len(started(account))
        account.sweeper.sweep()
        run_started(account, before)
    assert 20 <= len(started(account)) <= 30
    account.world.images.hooks.remove(hook)
    converge(account, rounds=2)
    assert one.image_id not in account.world.images.all


@pytest.mark.parametrize("error", [DENIED, ServiceUnavailableError("no answer")], ids=["denied", "outage"])
def test_a_name_that_cannot_be_adopted_leaves_the_build_published(account: Account, error: Exception) -> None:
    account.world.images.fail("register_copy", error, times=FOR_EVER)
    digest = account.push("two")
    ended = run(account)
    assert ended.outcome == "published"
    assert account.live.tags[TAG_DIGEST] == digest
    assert account.live.name.startswith(f"{NAME}.candidate.")
    (blocked,) = ended.result.blocked if ended.result else ()
    assert blocked.error == type(error).__name__
    assert [subject for subject, _ in account.world.notifier.sent if "failed" in subject] == []
    account.world.images._faults.clear()
    converge(account, rounds=3)
    assert account.live.name == NAME


def test_a_name_that_stays_taken_after_its_image_is_gone_is_left_to_the_sweep(account: Account) -> None:
    # As a Recycle Bin may have it: nobody is seen to have the name, and EC2 says that it is taken.
    taken = account.world.images._taken
    account.world.images._taken = lambda name: name == NAME or taken(name)  # type: ignore[method-assign]
    digest = account.push("two")
    ended = run(account)
    assert ended.outcome == "published"
    assert account.live.tags[TAG_DIGEST] == digest
    (blocked,) = ended.result.blocked if ended.result else ()
    assert "Recycle Bin" in blocked.reason
    account.world.images._taken = taken  # type: ignore[method-assign]
    converge(account, rounds=3)
    assert account.live.name == NAME


def test_an_instance_that_cannot_be_ended_fails_no_build(account: Account) -> None:
    account.world.instances.fail("terminate", DENIED, times=1)
    account.push("two")
    ended = run(account)
    assert ended.outcome == "published"
    assert len(blocked_in(ended)) == 1
    converge(account, rounds=1)
    assert all(instance.state.is_over for instance in account.world.instances.all.values())


def test_a_claim_that_cannot_be_given_back_is_taken_by_the_sweep(account: Account) -> None:
    account.world.environments.fail("release", ServiceUnavailableError("no answer"), times=60)
    digest = account.push("two")
    assert run(account).outcome == "published"
    account.world.environments._faults.clear()
    assert account.world.environments.get("prod").claim is not None
    converge(account, rounds=2)
    assert account.world.environments.get("prod").claim is None
    assert account.live.tags[TAG_DIGEST] == digest
    assert [subject for subject, _ in account.world.notifier.sent if "failed" in subject] == []
    assert account.world.environments.get("prod").failed is None


# Telling.


@pytest.mark.parametrize("method", ["notify", "announce"])
@pytest.mark.parametrize("error", [DENIED, ThrottledError("slower"), ValueError("NewCode")], ids=str)
def test_what_cannot_be_told_fails_no_build(account: Account, method: str, error: Exception) -> None:
    account.world.notifier.fail(method, error, times=FOR_EVER)
    account.push("two")
    ended = run(account)
    assert ended.outcome == "published"
    assert ended.result is not None
    (untold,) = ended.result.untold
    assert untold.error == type(error).__name__


def test_what_cannot_be_told_of_a_failure_ends_no_clean_up(account: Account) -> None:
    account.world.notifier.fail("notify", DENIED, times=FOR_EVER)
    account.verification_fails = True
    account.push("two")
    assert run(account).error == "VerificationFailedError"
    assert [event.detail_type for event in account.world.notifier.announced] == ["Build Failed"]


def test_a_passing_failure_to_tell_is_made_good_at_once(account: Account) -> None:
    account.world.notifier.fail("announce", ThrottledError("slower"), times=2)
    account.push("two")
    ended = run(account)
    assert ended.result is not None
    assert ended.result.untold == ()
    assert "Image Published" in [event.detail_type for event in account.world.notifier.announced]


# Attempts.


def test_the_pauses_grow_to_an_hour_and_stay_there() -> None:
    pauses = [retry_delay(tries) for tries in range(1, 8)]
    minutes = [0, 10, 20, 40, 60, 60, 60]
    assert pauses == [timedelta(minutes=number) for number in minutes]
    assert retry_delay(10**9) == LONGEST_PAUSE


@pytest.mark.parametrize(
    ("port", "method", "error"),
    [
        ("instances", "launch", CapacityUnavailableError("none of the types")),
        ("instances", "launch", DENIED),
        ("images", "create", ServiceUnavailableError("no answer")),
        ("images", "create", ThrottledError("slower")),
        ("repository", "uri", DENIED),
        ("parameters", "put", DENIED),
    ],
)
def test_what_is_not_the_images_fault_never_gives_its_digest_up(
    account: Account, port: str, method: str, error: Exception
) -> None:
    digest = account.push("two")
    getattr(account.world, port).fail(method, error, times=FOR_EVER)
    converge(account, rounds=8)
    tries = len(started(account))
    assert tries >= 6
    assert account.live.tags.get(TAG_DIGEST) != digest
    getattr(account.world, port)._faults.clear()
    converge(account, rounds=2)
    assert account.live.tags[TAG_DIGEST] == digest
    assert account.world.environments.get("prod").held_back == ()


@pytest.mark.parametrize("exit_code", [11, 13, 15, 16, 18, 22, 23])
def test_a_document_that_others_keep_from_its_work_never_gives_the_digest_up(
    account: Account, exit_code: int
) -> None:
    digest = account.push("two")
    account.world.commands.answer = lambda _: CommandResult(
        status=CommandStatus.FAILED, exit_code=exit_code, stderr="the registry could not be reached"
    )
    assert run(account).error == "DocumentInterruptedError"
    converge(account, rounds=5)
    assert len(started(account)) >= 4
    account.world.commands.answer = account._answer
    converge(account, rounds=2)
    assert account.live.tags[TAG_DIGEST] == digest


def test_a_shortage_of_a_day_is_tried_hourly(account: Account) -> None:
    account.push("two")
    account.world.instances.fail("launch", CapacityUnavailableError("none of the types"), times=FOR_EVER)
    until = account.world.clock.now() + timedelta(days=1)
    while account.world.clock.now() < until:
        account.world.clock.advance(900)
        before = len(started(account))
        account.sweeper.sweep()
        run_started(account, before)
    assert 8 <= len(started(account)) <= 28


def test_a_digest_that_waits_says_since_when_why_and_until_when(account: Account) -> None:
    account.push("two")
    account.world.repository.fail("uri", DENIED, times=FOR_EVER)
    for _ in range(3):
        account.world.clock.advance(660)
        before = len(started(account))
        account.sweeper.sweep()
        run_started(account, before)
        for sent in account.world.executions.started:
            account.world.executions.reported[sent.arn] = f"AccessDeniedError: {DENIED}"
    found = " ".join(findings(account.sweeper.sweep()))
    assert "tried 3 times since" in found
    assert "Grant ec2:DeleteSnapshot" in found
    assert "tried again after" in found


# Repairs.


def spoil_metadata(account: Account) -> None:
    spoiled = account.metadata.model_copy(update={"ami_id": "ami-0123456789abcdef9"})
    account.world.parameters.set(
        f"{account.prefix}/metadata", dump(Metadata.model_validate(spoiled.model_dump()))
    )


@pytest.mark.parametrize(
    "status", [ExecutionStatus.ABORTED, ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT]
)
def test_a_repair_that_was_stopped_is_taken_up_by_the_next_sweep(
    account: Account, status: ExecutionStatus
) -> None:
    spoil_metadata(account)
    account.sweeper.sweep()
    (first,) = account.world.executions.started
    account.world.executions.end(first.arn, status)
    account.sweeper.sweep()
    assert [request.action for request in started(account)] == [Action.PUBLISH, Action.PUBLISH]
    run_started(account, 1)
    assert account.metadata.ami_id == account.latest


def test_a_repair_that_runs_is_not_started_a_second_time(account: Account) -> None:
    spoil_metadata(account)
    for _ in range(5):
        account.world.clock.advance(900)
        account.sweeper.sweep()
    assert len(started(account)) == 1


def test_a_repair_is_done_though_the_registry_refuses(account: Account) -> None:
    spoil_metadata(account)
    account.world.repository.fail("digest_of", DENIED, times=FOR_EVER)
    converge(account, rounds=1)
    assert account.metadata.ami_id == account.latest


def test_a_build_that_waits_holds_up_no_repair(account: Account) -> None:
    account.push("two")
    account.world.instances.fail("launch", DENIED, times=FOR_EVER)
    for _ in range(4):
        account.world.clock.advance(300)
        before = len(started(account))
        account.sweeper.sweep()
        run_started(account, before)
    spoil_metadata(account)
    account.world.clock.advance(60)
    before = len(started(account))
    account.sweeper.sweep()
    run_started(account, before)
    assert account.metadata.ami_id == account.latest


def test_a_sweep_that_fails_for_now_is_told_apart_from_one_that_is_refused(account: Account) -> None:
    account.world.images.fail("find_snapshots", ThrottledError("slower"))
    with pytest.raises(CleanUpIncompleteError):
        account.sweeper.sweep()
    account.world.images.fail("find_snapshots", DENIED)
    assert account.sweeper.sweep().blocked == ("orphans",)


def test_what_is_held_back_keeps_its_first_date() -> None:
    now = an_image(1).creation_date
    assert now is not None
    record = EnvironmentRecord(environment="prod")
    for tries in (1, 2, 3):
        found = Blocked(resource="snap-1", error="RefusedError", reason="SnapshotLocked")
        held = record.after_retry([found], now + timedelta(hours=tries))
        record = record.model_copy(update={"held_back": held})
    (held_last,) = record.held_back
    assert (held_last.tries, held_last.since) == (3, now + timedelta(hours=1))
