"""Package lists through builds: what is kept, what records and notifications say, and when a list goes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.steps.account import Account, an_image, facts, told
from tests.unit.steps.execution import Execution, run
from tests.unit.steps.promises import Promises
from tests.unit.steps.promoting import of_dev, promoted, promoting
from tests.unit.steps.test_publishing import Build
from tests.unit.steps.test_undeletion import undelete

from ami_lifecycle.domain.outcomes import ImagePublished
from ami_lifecycle.domain.package_list import load_packages, package_key
from ami_lifecycle.domain.package_summary import PackageSummary, recorded_packages
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus
from ami_lifecycle.domain.release import release_name
from ami_lifecycle.domain.request import Action
from ami_lifecycle.errors import AccessDeniedError, RefusedError, ServiceUnavailableError
from ami_lifecycle.steps.wait_check import parse_facts

LISTS = "s3://lists/packages/prod"


@pytest.fixture
def account() -> Account:
    return Account(keeps_lists=True)


def built(account: Account, content: str, name: str, **packages: str) -> Any:
    """Build what is pushed, and end with these packages on the canary."""
    account.push(content)
    account.packages = packages
    ended = run(account, name)
    assert ended.outcome == "published", ended
    return ended.result


def key_of(account: Account) -> str:
    metadata = account.metadata
    key = package_key("prod", metadata.release, metadata.image_digest)
    assert key is not None
    return key


def summary_of(account: Account) -> PackageSummary | None:
    return recorded_packages(account.metadata.facts)


def test_the_first_image_has_a_list_and_nothing_to_compare_it_with(account: Account) -> None:
    promises = Promises(account.world)
    result = built(account, "one", "e1", bash="5.1", curl="7.81")
    name = release_name(account.metadata.release, account.metadata.image_digest)
    assert summary_of(account) == PackageSummary(count=2, uri=f"{LISTS}/{name}.json")
    listed = load_packages(account.world.package_lists.all[key_of(account)])
    assert [(each.name, each.version) for each in listed.packages] == [("bash", "5.1"), ("curl", "7.81")]
    assert (listed.environment, listed.release) == ("prod", name)
    assert listed.image_digest == account.metadata.image_digest
    assert result.packages == summary_of(account)
    assert promises.at_rest() == []


def test_an_update_says_what_it_brings_in_record_result_notification_and_event(account: Account) -> None:
    built(account, "one", "e1", bash="5.1", curl="7.81", wget="1.21")
    result = built(account, "two", "e2", bash="5.2", curl="7.81", jq="1.6")
    summary = summary_of(account)
    assert summary is not None
    assert (summary.changes, summary.count) == ("1 updated, 1 new, 1 removed", 3)
    assert (summary.updated, summary.new, summary.removed) == (1, 1, 1)
    assert result.packages == summary
    _, message = account.world.notifier.sent[-1]
    assert message["packages"]["changes"] == "1 updated, 1 new, 1 removed"
    announced = [each for each in account.world.notifier.announced if isinstance(each, ImagePublished)]
    assert [each.packages and each.packages.changes for each in announced] == [
        None,
        "1 updated, 1 new, 1 removed",
    ]


def test_a_copy_under_the_canonical_name_has_the_list_of_its_candidate(account: Account) -> None:
    built(account, "one", "e1", bash="5.1")
    built(account, "two", "e2", bash="5.2")
    assert account.live.name == "comfyui-multitenant-prod"
    writes = account.world.package_lists.called("write")
    assert len(writes) == 2
    assert summary_of(account) is not None
    names = [name.rpartition("/")[2] for name in account.world.parameters.all if "/history/" in name]
    records = [account.history(image_id) for image_id in names]
    same = [each for each in records if each and each.release == account.metadata.release]
    assert len(same) == 2
    assert all(recorded_packages(each.facts) == summary_of(account) for each in same)


def test_where_lists_are_off_nothing_is_asked_kept_or_said() -> None:
    account = Account()
    result = built(account, "one", "e1")
    assert account.world.package_lists.calls == []
    assert summary_of(account) is None
    assert result.packages is None
    parameters = [each.parameters for each in account.world.commands.sent if " verify " in each.comment]
    assert all("PackageList" not in each for each in parameters)


def test_an_image_from_before_lists_is_nothing_to_compare_with(account: Account) -> None:
    account.publish(an_image(1, digest=account.push("one")))
    built(account, "two", "e1", bash="5.1")
    summary = summary_of(account)
    assert summary is not None
    assert (summary.changes, summary.count, summary.problem) == (None, 1, None)


def test_without_verification_there_is_no_list(account: Account) -> None:
    account = Account({"verification": {"enabled": False}}, keeps_lists=True)
    assert built(account, "one", "e1").packages is None
    assert account.world.package_lists.all == {}


def test_a_list_that_is_not_told_is_said_to_be_missing(account: Account) -> None:
    build = listing()
    build.publish(verified=told_facts(build, packages_problem="the list of 9000 packages is too long"))
    assert summary_of(build.account) == PackageSummary(problem="the list of 9000 packages is too long")
    assert build.account.world.package_lists.called("write") == []


def test_a_long_reason_is_cut(account: Account) -> None:
    build = listing()
    build.publish(verified=told_facts(build, packages_problem="x" * 301))
    assert summary_of(build.account) == PackageSummary(problem="x" * 300)


def test_a_list_that_cannot_be_read_is_no_reason_not_to_publish() -> None:
    build = listing()
    build.publish(verified=told_facts(build, packages="?"))
    summary = summary_of(build.account)
    assert summary is not None
    assert (summary.problem or "").startswith("what the canary says cannot be read: it cannot be unpacked")
    assert (summary.count, summary.uri) == (None, None)
    assert build.account.latest == build.candidate.image_id


def listing() -> Build:
    """A build of a stack that keeps lists, whose live image has none."""
    build = Build()
    build.account.keeps_lists = True
    return build


def told_facts(build: Build, **more: Any) -> Any:
    return parse_facts(facts("verify", build.digest, **more))


def test_what_s3_refuses_is_no_reason_not_to_publish_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    build = listing()
    refusing = AccessDeniedError("s3:PutObject failed: AccessDenied " + "x" * 400)
    build.account.world.package_lists.fail("write", refusing)
    published = build.publish(verified=told_facts(build, packages=told({"a": "1"})))
    assert build.account.latest == build.candidate.image_id
    summary = summary_of(build.account)
    assert summary == PackageSummary(problem=str(refusing)[:300])
    assert published.packages == summary
    record = build.account.history(build.candidate.image_id)
    assert record is not None
    assert recorded_packages(record.facts) == summary
    assert f"the package list of {build.candidate.image_id} is not kept: s3:PutObject" in caplog.text


def test_a_list_to_compare_with_that_s3_refuses_leaves_the_changes_out(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    built(account, "one", "e1", bash="5.1")
    key = key_of(account)
    account.world.package_lists.fail("read", RefusedError("no"))
    built(account, "two", "e2", bash="5.2")
    summary = summary_of(account)
    assert summary is not None
    assert (summary.count, summary.changes) == (1, None)
    assert f"{key} cannot be read: no" in caplog.text


@pytest.mark.parametrize("text", ["", "[]"])
def test_a_list_to_compare_with_that_is_damaged_leaves_the_changes_out(account: Account, text: str) -> None:
    built(account, "one", "e1", bash="5.1")
    account.world.package_lists.all[key_of(account)] = text
    built(account, "two", "e2", bash="5.2")
    summary = summary_of(account)
    assert summary is not None
    assert (summary.count, summary.changes) == (1, None)


def test_what_passes_is_tried_again() -> None:
    build = listing()
    build.account.world.package_lists.fail("write", ServiceUnavailableError("later"))
    verified = told_facts(build, packages=told({"a": "1"}))
    with pytest.raises(ServiceUnavailableError):
        build.publish(verified=verified)
    assert build.account.latest == build.old.image_id
    # The record is there before the list, so that no list is left that no record names.
    assert build.account.history(build.candidate.image_id) is not None
    build.publish(verified=verified)
    assert len(build.account.world.package_lists.all) == 1
    assert build.account.latest == build.candidate.image_id


def test_publishing_once_more_says_the_same(account: Account) -> None:
    build = listing()
    verified = told_facts(build, packages=told({"a": "1"}))
    first = build.publish(verified=verified)
    assert build.publish(verified=verified) == first


# Rollbacks and promotions.


def test_a_rollback_is_compared_with_what_it_replaces() -> None:
    account = Account({"retirement": {"keep_previous": 1}}, keeps_lists=True)
    built(account, "one", "e1", bash="5.1", jq="1.6")
    first = account.latest
    built(account, "two", "e2", bash="5.2")
    result = run(account, "e3", action=Action.PUBLISH, publish_image_id=first, reason="bad").result
    assert result is not None
    assert result.packages is not None
    assert (result.packages.changes, result.packages.count) == ("1 updated, 1 new", 2)
    assert len(account.world.package_lists.called("write")) == 2


def test_a_rollback_whose_list_is_gone_says_what_its_record_says_without_changes() -> None:
    account = Account({"retirement": {"keep_previous": 1}}, keeps_lists=True)
    built(account, "one", "e1", bash="5.1")
    built(account, "two", "e2", bash="5.2")
    second, key = account.latest, key_of(account)
    built(account, "three", "e3", bash="5.3")
    del account.world.package_lists.all[key]
    result = run(account, "e4", action=Action.PUBLISH, publish_image_id=second, reason="bad").result
    assert result is not None
    assert result.packages is not None
    assert (result.packages.changes, result.packages.count) == (None, 1)


def test_a_promotion_has_a_list_of_its_own_canary() -> None:
    account = promoting()
    account.keeps_lists = True
    dev = Account(environment="dev", world=account.world)
    first = dev.publish(of_dev(1, digest=dev.push("one", "dev")))
    account.publish(promoted(2, first))
    dev.publish(of_dev(3, digest=dev.push("two", "dev")))
    ended = run(account, action=Action.PROMOTE, promote_from="dev")
    assert ended.result is not None
    assert ended.result.packages is not None
    assert (ended.result.packages.uri or "").startswith(f"{LISTS}/")
    (key,) = account.world.package_lists.all
    assert key == key_of(account)


def test_an_image_out_of_the_bin_has_the_list_of_its_release(account: Account) -> None:
    account.world.images.bin_days = 7
    built(account, "one", "e1", bash="5.1")
    first, key = account.live.image_id, key_of(account)
    built(account, "two", "e2", bash="5.2")
    account.packages = {"bash": "5.1"}
    ended = undelete(account, first)
    assert ended.outcome == "published", ended
    assert ended.result is not None
    assert ended.result.packages is not None
    assert (ended.result.packages.changes, ended.result.packages.count) == ("1 updated", 1)
    assert key_of(account) == key
    assert len(account.world.package_lists.all) == 2


# A list lives as long as history names its release.


def test_a_list_goes_with_the_last_record_that_names_its_release() -> None:
    account = Account({"publication": {"history_to_keep": 1}}, keeps_lists=True)
    promises = Promises(account.world)
    built(account, "one", "e1", bash="5.1")
    first = key_of(account)
    built(account, "two", "e2", bash="5.2")
    second = key_of(account)
    assert set(account.world.package_lists.all) == {first, second}
    account.sweeper.sweep()
    assert set(account.world.package_lists.all) == {second}
    # The candidate of the live image is pruned, too; its record is not the last of the release.
    assert len([name for name in account.world.parameters.all if "/history/" in name]) == 1
    assert promises.at_rest() == []


def test_a_list_that_s3_keeps_keeps_its_record(account: Account) -> None:
    account = Account({"publication": {"history_to_keep": 1}}, keeps_lists=True)
    built(account, "one", "e1", bash="5.1")
    first = key_of(account)
    built(account, "two", "e2", bash="5.2")
    account.world.package_lists.fail("delete", AccessDeniedError("s3:DeleteObject failed"))
    result = account.sweeper.sweep()
    assert first in account.world.package_lists.all
    assert any("s3:DeleteObject failed" in finding.finding for finding in result.findings)
    records = (account.history(name.rpartition("/")[2]) for name in account.world.parameters.all)
    assert any(package_key("prod", each.release, each.image_digest) == first for each in records if each)
    account.sweeper.sweep()
    assert first not in account.world.package_lists.all


def test_records_of_images_without_a_list_are_pruned_as_ever(account: Account) -> None:
    account = Account({"publication": {"history_to_keep": 1}}, keeps_lists=True)
    account.publish(an_image(9, digest=account.push("one")))
    for number in (1, 2):
        account.record(an_image(number, digest="sha256:" + f"{number}" * 64), status=RecordStatus.RETIRED)
    account.sweeper.sweep()
    assert account.history(an_image(1).image_id) is None
    assert account.world.package_lists.calls == []


def test_while_a_record_cannot_be_read_no_list_goes(account: Account) -> None:
    account = Account({"publication": {"history_to_keep": 1}}, keeps_lists=True)
    built(account, "one", "e1", bash="5.1")
    first = key_of(account)
    built(account, "two", "e2", bash="5.2")
    account.world.parameters.set("/comfyui/ami/prod/history/ami-0fffffffffffffff0", "?")
    before = set(account.world.parameters.all)
    result = account.sweeper.sweep()
    assert any("history records that cannot be read" in finding.finding for finding in result.findings)
    assert first in account.world.package_lists.all
    assert set(account.world.parameters.all) == before


def test_the_promise_sees_a_list_that_no_record_names(account: Account) -> None:
    promises = Promises(account.world)
    built(account, "one", "e1", bash="5.1")
    assert promises.at_rest() == []
    account.world.package_lists.all["packages/prod/abc-1.json"] = "{}"
    account.world.package_lists.all["other"] = "{}"
    assert [each.partition(";")[0] for each in promises.at_rest()] == [
        "P4: packages/prod/abc-1.json is still there, and no record of prod names its release",
        "P4: other is the list of no release",
    ]


def test_an_execution_with_lists_makes_these_calls_more() -> None:
    """Off costs nothing; on costs a read of the list before and a write."""
    counts = []
    for keeps in (False, True):
        account = Account(keeps_lists=keeps)
        built(account, "one", "e1", bash="5.1")
        account.world.package_lists.calls.clear()
        before = sum(len(port.calls) for port in account.world.ports)
        built(account, "two", "e2", bash="5.2")
        counts.append(sum(len(port.calls) for port in account.world.ports) - before)
        assert Execution(account).account is account
    assert counts[1] - counts[0] == 3
    assert isinstance(account.history(account.latest or ""), HistoryRecord)
