from __future__ import annotations

import pytest
from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.rig import Rig, launch_request, running_instance, tags

from ami_lifecycle.domain.launch import LaunchRefusal
from ami_lifecycle.domain.model import InstanceState
from ami_lifecycle.errors import (
    BuilderLostError,
    QuotaExceededError,
    RefusedError,
    ResourceNotVisibleError,
    ServiceUnavailableError,
)

UNKNOWN = "i-0ffffffffffffffff"


def test_a_launched_instance_is_found_by_its_tags_and_its_id(rig: Rig) -> None:
    launched = rig.instances.launch(launch_request(rig)).instance
    assert launched is not None
    assert launched.image_id == rig.base_image_id
    assert launched.subnet_id == rig.subnet_id
    assert [found.instance_id for found in rig.instances.find(tags(rig))] == [launched.instance_id]
    found = rig.instances.get(launched.instance_id)
    assert found is not None
    assert dict(found.tags) == tags(rig)
    assert found.launch_time is not None


def test_an_instance_that_lacks_one_of_the_tags_is_not_found(rig: Rig) -> None:
    rig.instances.launch(launch_request(rig))
    assert rig.instances.find(tags(rig, role="canary")) == []


def test_an_asterisk_in_a_tag_value_is_no_wildcard(rig: Rig) -> None:
    rig.instances.launch(launch_request(rig))
    assert rig.instances.find({"test": rig.name, "Name": "resource*"}) == []


def test_an_unknown_instance_is_none(rig: Rig) -> None:
    assert rig.instances.get(UNKNOWN) is None


def test_the_same_client_token_returns_the_same_instance(rig: Rig) -> None:
    first = rig.instances.launch(launch_request(rig)).instance
    second = rig.instances.launch(launch_request(rig)).instance
    assert first is not None
    assert second is not None
    assert first.instance_id == second.instance_id
    assert len(rig.instances.find(tags(rig))) == 1


def test_a_client_token_with_other_parameters_is_refused(rig: Rig) -> None:
    rig.instances.launch(launch_request(rig))
    with pytest.raises(RefusedError, match="token"):
        rig.instances.launch(launch_request(rig, instance_type="m5.xlarge"))


@pytest.mark.parametrize("refusal", list(LaunchRefusal))
def test_a_refused_launch_names_its_refusal_and_launches_nothing(rig: Rig, refusal: LaunchRefusal) -> None:
    rig.refuse_launches(refusal)
    result = rig.instances.launch(launch_request(rig, initialization_rate=100))
    assert result.instance is None
    assert result.refusal is refusal
    assert "m5.large" in result.message
    assert rig.subnet_id in result.message
    assert rig.instances.find(tags(rig)) == []


def test_a_stopped_instance_can_be_stopped_again(rig: Rig) -> None:
    instance = running_instance(rig)
    rig.instances.stop(instance.instance_id)
    rig.instances.stop(instance.instance_id)
    rig.settle()
    rig.instances.stop(instance.instance_id)
    stopped = rig.instances.get(instance.instance_id)
    assert stopped is not None
    assert stopped.state is InstanceState.STOPPED


def test_a_pending_instance_cannot_be_stopped_yet(rig: Rig) -> None:
    launched = rig.instances.launch(launch_request(rig)).instance
    assert launched is not None
    with pytest.raises(ResourceNotVisibleError, match=launched.instance_id):
        rig.instances.stop(launched.instance_id)


def test_stopping_a_terminated_instance_says_that_it_is_lost(rig: Rig) -> None:
    instance = running_instance(rig)
    rig.instances.terminate(instance.instance_id)
    rig.settle()
    with pytest.raises(BuilderLostError, match=instance.instance_id):
        rig.instances.stop(instance.instance_id)


def test_a_terminated_instance_can_be_terminated_again_and_is_still_found(rig: Rig) -> None:
    instance = running_instance(rig)
    rig.instances.terminate(instance.instance_id)
    rig.settle()
    rig.instances.terminate(instance.instance_id)
    (found,) = rig.instances.find(tags(rig))
    assert found.state is InstanceState.TERMINATED
    assert found.state.is_over


def test_terminating_what_is_not_shown_is_an_error_because_it_may_still_run(rig: Rig) -> None:
    with pytest.raises(ResourceNotVisibleError, match=UNKNOWN):
        rig.instances.terminate(UNKNOWN)


def test_a_lost_response_to_a_launch_leaves_one_instance(emulated: EmulatedRig) -> None:
    emulated.account.faults.add(
        {
            "kind": "error",
            "service": "ec2",
            "operation": "RunInstances",
            "code": "InternalError",
            "status": 500,
            "when": "after",
        }
    )
    with pytest.raises(ServiceUnavailableError):
        emulated.instances.launch(launch_request(emulated))
    launched = emulated.instances.launch(launch_request(emulated)).instance
    assert launched is not None
    assert [found.instance_id for found in emulated.instances.find(tags(emulated))] == [launched.instance_id]


def test_an_instance_is_launched_as_the_builder_needs_it(emulated: EmulatedRig) -> None:
    instance = running_instance(emulated)
    ec2 = emulated.account.client("ec2")
    shown = ec2.describe_instances(InstanceIds=[instance.instance_id])["Reservations"][0]["Instances"][0]
    assert shown["MetadataOptions"]["HttpTokens"] == "required"
    assert shown["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    (device,) = shown["BlockDeviceMappings"]
    assert device["Ebs"]["DeleteOnTermination"] is True
    (volume,) = ec2.describe_volumes(VolumeIds=[device["Ebs"]["VolumeId"]])["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Throughput"]) == (12, "gp3", 250)
    assert {"Key": "test", "Value": emulated.name} in volume["Tags"]


def test_a_container_reaches_the_metadata_where_the_settings_say_so(emulated: EmulatedRig) -> None:
    instance = running_instance(emulated, metadata_hop_limit=2)
    ec2 = emulated.account.client("ec2")
    shown = ec2.describe_instances(InstanceIds=[instance.instance_id])["Reservations"][0]["Instances"][0]
    assert shown["MetadataOptions"]["HttpPutResponseHopLimit"] == 2


@pytest.mark.parametrize(("shown", "state"), [(False, "disabled"), (True, "enabled")])
def test_tags_are_in_the_metadata_where_the_settings_say_so(
    emulated: EmulatedRig, shown: bool, state: str
) -> None:
    instance = running_instance(emulated, has_tags_in_metadata=shown)
    ec2 = emulated.account.client("ec2")
    found = ec2.describe_instances(InstanceIds=[instance.instance_id])["Reservations"][0]["Instances"][0]
    assert found["MetadataOptions"]["InstanceMetadataTags"] == state


@pytest.mark.parametrize("rate", [0, 300])
def test_a_volume_is_initialized_at_the_rate_that_was_asked_for(emulated: EmulatedRig, rate: int) -> None:
    running_instance(emulated, initialization_rate=rate)
    (volume,) = emulated.account.client("ec2").describe_volumes(
        Filters=[{"Name": "tag:test", "Values": [emulated.name]}]
    )["Volumes"]
    assert volume.get("VolumeInitializationRate", 0) == rate


@pytest.mark.parametrize("code", ["ResourceLimitExceeded", "VolumeLimitExceeded"])
def test_a_quota_of_initialization_passes_by_whatever_code_ebs_gives(
    emulated: EmulatedRig, code: str
) -> None:
    emulated.account.faults.add({"kind": "initialization", "limit": 99, "code": code, "times": 1})
    request = launch_request(emulated, initialization_rate=100)
    assert emulated.instances.launch(request).refusal is LaunchRefusal.INITIALIZATION_IN_USE


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("VolumeInitializationRateLimitExceeded", "You have reached your limit."),
        ("VolumeLimitExceeded", "The maximum VolumeInitializationRate of 5000 MiB/s is exceeded."),
        ("VolumeLimitExceeded", "The volume initialization throughput of this Region is in use."),
        ("LimitExceeded", "Concurrent Volume Initialization Rate"),
    ],
)
def test_a_quota_of_initialization_is_known_by_code_or_words(
    emulated: EmulatedRig, code: str, words: str
) -> None:
    rule = {"kind": "error", "operation": "RunInstances", "code": code, "message": words, "status": 400}
    emulated.account.faults.add(rule)
    request = launch_request(emulated, initialization_rate=100)
    assert emulated.instances.launch(request).refusal is LaunchRefusal.INITIALIZATION_IN_USE


def test_a_limit_without_a_rate_is_not_the_quota_of_initialization(emulated: EmulatedRig) -> None:
    emulated.account.faults.add(
        {"kind": "error", "operation": "RunInstances", "code": "ResourceLimitExceeded"}
    )
    with pytest.raises(QuotaExceededError):
        emulated.instances.launch(launch_request(emulated))


def test_a_volume_type_that_takes_no_throughput_gets_none(emulated: EmulatedRig) -> None:
    instance = running_instance(emulated, volume_type="gp2")
    volumes = emulated.account.client("ec2").describe_volumes(
        Filters=[{"Name": "tag:test", "Values": [emulated.name]}]
    )["Volumes"]
    assert [volume["VolumeType"] for volume in volumes] == ["gp2"]
    assert instance.state is InstanceState.RUNNING


def test_more_instances_than_a_page_holds_are_all_found(
    emulated: EmulatedRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ami_lifecycle.adapters.instances.MAXIMUM_PER_PAGE", 5)
    for number in range(7):
        emulated.instances.launch(launch_request(emulated, client_token=f"{emulated.name}-{number}"))
    assert len(emulated.instances.find(tags(emulated))) == 7
