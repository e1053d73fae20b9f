"""Faults do to calls, resources and events what AWS can do, as often as their rules say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from emulator.tests.contract.account import Account

from aws_emulator.api.disruptions import LostAnswer, ProcessHangs, ProcessKilled
from aws_emulator.api.operations import ApiError, Request
from aws_emulator.faults import FaultError

LATEST = "/comfyui/ami/prod/latest"


def run(account: Account, operation: str, service: str = "ec2", **parameters: Any) -> dict[str, Any]:
    return account.gateway.call(service, operation, parameters, "function")


def state_of(account: Account, image_id: str) -> str:
    return account.state.images[image_id].state


@pytest.mark.parametrize("kind", ["lost", "killed", "hangs"])
@pytest.mark.parametrize(("when", "state"), [("before", "available"), ("after", "deregistered")])
def test_a_disrupted_call_takes_effect_or_not_and_is_never_answered(
    account: Account, kind: str, when: str, state: str
) -> None:
    image_id = account.image()
    account.faults.add({"kind": kind, "operation": "DeregisterImage", "when": when})
    with pytest.raises(ApiError, match="SdkClientException"):
        run(account, "DeregisterImage", ImageId=image_id)
    assert state_of(account, image_id) == state
    assert account.gateway.calls.since()[-1].outcome in {"answer lost", "caller killed", "caller hangs"}


@pytest.mark.parametrize(
    ("kind", "disruption"), [("lost", LostAnswer), ("killed", ProcessKilled), ("hangs", ProcessHangs)]
)
def test_each_disruption_reaches_the_front_of_the_gateway(
    account: Account, kind: str, disruption: type[BaseException]
) -> None:
    account.faults.add({"kind": kind, "operation": "DescribeImages"})
    request = Request("ec2", "DescribeImages", {}, "us-east-1", "123456789012", "function", "r-1")
    with pytest.raises(disruption):
        account.faults.around_call(request, dict)


@pytest.mark.parametrize(("member", "shown"), [("NextToken", {"Images"}), ("Images", set()), (None, set())])
def test_an_answer_lacks_one_member_or_all(account: Account, member: str | None, shown: set[str]) -> None:
    image_id = account.image()
    account.faults.add({"kind": "lacks", "operation": "DescribeImages", "member": member})
    assert set(run(account, "DescribeImages", ImageIds=[image_id])) - {"NextToken"} == shown
    assert run(account, "DescribeImages", ImageIds=[image_id])["Images"], "once is enough"


def test_an_answer_that_is_cut_off_has_taken_effect_and_reads_as_empty(account: Account) -> None:
    image_id = account.image()
    account.faults.add({"kind": "cut", "operation": "DeregisterImage"})
    assert run(account, "DeregisterImage", ImageId=image_id) == {}
    assert state_of(account, image_id) == "deregistered"


def test_capacity_lacks_by_subnet_and_type(account: Account) -> None:
    account.faults.add(
        {"kind": "capacity", "subnet": account.subnet(0), "instance_type": "m5.*", "times": None}
    )
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        account.launch(SubnetId=account.subnet(0), InstanceType="m5.large")
    assert account.launch(SubnetId=account.subnet(1), InstanceType="m5.large")
    assert account.launch(SubnetId=account.subnet(0), InstanceType="t3.large")


def test_a_stale_read_shows_what_was_before_the_last_change(account: Account) -> None:
    account.faults.add({"kind": "stale", "operation": "GetParameter", "skip": 2})
    put: dict[str, Any] = {"Name": "/a", "Type": "String", "Overwrite": True}
    read = {"Name": "/a"}
    run(account, "PutParameter", "ssm", **put, Value="one")
    assert run(account, "GetParameter", "ssm", **read)["Parameter"]["Value"] == "one"
    run(account, "PutParameter", "ssm", **put, Value="two")
    values = [run(account, "GetParameter", "ssm", **read)["Parameter"]["Value"] for _ in range(3)]
    assert values == ["two", "one", "two"]


def test_a_stale_read_of_what_was_never_read_is_right(account: Account) -> None:
    account.faults.add({"kind": "stale", "operation": "Get*"})
    run(account, "PutParameter", "ssm", Name="/a", Type="String", Value="one")
    assert run(account, "GetParameter", "ssm", Name="/a")["Parameter"]["Value"] == "one"


def test_a_repeated_call_takes_effect_twice(account: Account) -> None:
    account.faults.add({"kind": "repeated", "operation": "PutParameter"})
    answer = run(account, "PutParameter", "ssm", Name="/a", Type="String", Value="one", Overwrite=True)
    assert answer["Version"] == 2


def test_an_agent_vanishes_after_it_has_reported(account: Account) -> None:
    account.faults.add({"kind": "agent_vanishes", "after": 5})
    instance_id = account.running()
    seen = account.ssm.describe_instance_information()["InstanceInformationList"]
    assert [(each["InstanceId"], each["PingStatus"]) for each in seen] == [(instance_id, "Online")]
    account.advance(5)
    (lost,) = account.ssm.describe_instance_information()["InstanceInformationList"]
    assert lost["PingStatus"] == "ConnectionLost"


def test_an_image_fails_with_its_snapshot(account: Account) -> None:
    account.faults.add({"kind": "snapshot_fails", "name": "comfyui"})
    image_id = account.image()
    image = account.described(image_id)
    assert image["State"] == "failed"
    assert "snapshot" in image["StateReason"]["Message"]
    (snapshot_id,) = account.state.images[image_id].snapshot_ids
    assert account.state.snapshots[snapshot_id].state == "error"


def test_a_value_is_accepted_and_never_applied(account: Account) -> None:
    account.faults.add({"kind": "value_dropped", "parameter": "*/latest"})
    put: dict[str, Any] = {"Name": LATEST, "Type": "String", "DataType": "aws:ec2:image", "Overwrite": True}
    image_id = account.image()
    account.ssm.put_parameter(**put, Value=image_id)
    account.advance(1)
    with pytest.raises(account.ssm.exceptions.ParameterNotFound):
        account.ssm.get_parameter(Name=LATEST)
    account.ssm.put_parameter(**put, Value=image_id)
    account.advance(1)
    assert account.ssm.get_parameter(Name=LATEST)["Parameter"]["Value"] == image_id


def test_an_untagged_push_comes_without_its_tag_and_with_an_empty_one(account: Account) -> None:
    account.faults.add({"kind": "event", "source": "aws.ecr", "effect": "untag"})
    account.repository()
    account.push("one", "prod-latest")
    details = account.events_of("ECR Image Action")
    assert [detail.get("image-tag", "absent") for detail in details] == ["absent", ""]


def test_chances_follow_the_seed(account: Account) -> None:
    account.faults.add(
        {"kind": "error", "operation": "DescribeImages", "code": "No", "times": None, "probability": 0.5}
    )
    outcomes = []
    for _ in range(60):
        try:
            run(account, "DescribeImages")
        except ApiError:
            outcomes.append(1)
        else:
            outcomes.append(0)
    assert 10 < sum(outcomes) < 50


def test_rules_come_from_a_file(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([{"kind": "agent_never_online"}, {"kind": "image_fails", "times": None}]))
    assert len(account.faults.load(path)) == 2
    assert [each["rule"]["kind"] for each in account.faults.listing()] == [
        "agent_never_online",
        "image_fails",
    ]


@pytest.mark.parametrize("content", ["{", '[{"kind": "nothing"}]', "7"])
def test_a_file_that_holds_no_rules_is_refused_by_name(
    account: Account, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "faults.json"
    path.write_text(content)
    with pytest.raises(FaultError, match=r"faults\.json"):
        account.faults.load(path)


def test_a_missing_file_is_refused_by_name(account: Account, tmp_path: Path) -> None:
    with pytest.raises(FaultError, match=r"absent\.json"):
        account.faults.load(tmp_path / "absent.json")


def test_whoever_is_asked_decides_whether_a_rule_applies_and_may_drop_others(account: Account) -> None:
    rule = {"kind": "error", "operation": "GetParameter", "code": "InternalError", "skip": 1, "times": 2}
    asked: list[str] = []

    def refuse() -> bool:
        asked.append("refused")
        return False

    def accept() -> bool:
        asked.append("accepted")
        account.faults.drop([other])
        return True

    other = account.faults.add(rule, refuse)
    mine = account.faults.add(rule, accept)
    outcomes = []
    for _ in range(4):
        try:
            account.ssm.get_parameter(Name="/aws/service/none")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["ParameterNotFound", "InternalError", "InternalError", "ParameterNotFound"]
    assert asked == ["refused", "accepted"], "once each, at the first occasion"
    assert account.faults.drop([mine]) == 2
    assert account.faults.listing() == []
