from __future__ import annotations

import pytest
from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.rig import Rig, available_image

from ami_lifecycle.errors import ServiceUnavailableError
from ami_lifecycle.ports import StoredParameter

IMAGE = "aws:ec2:image"


def put(rig: Rig, leaf: str, value: str, data_type: str = "text") -> int:
    return rig.parameters.put(
        f"/{rig.name}/{leaf}", value, data_type=data_type, description="of a test", tags={"test": rig.name}
    )


def get(rig: Rig, leaf: str) -> StoredParameter | None:
    return rig.parameters.get(f"/{rig.name}/{leaf}")


def test_a_missing_parameter_is_none(rig: Rig) -> None:
    assert get(rig, "metadata") is None


@pytest.mark.parametrize("selector", ["7", "golden"])
def test_a_version_or_label_that_a_parameter_does_not_have_is_none(rig: Rig, selector: str) -> None:
    put(rig, "base", "first")
    assert get(rig, f"base:{selector}") is None


def test_a_parameter_is_created_and_then_overwritten(rig: Rig) -> None:
    assert put(rig, "metadata", "first") == 1
    assert get(rig, "metadata") == StoredParameter("first", 1, "text")
    assert put(rig, "metadata", "second") == 2
    assert get(rig, "metadata") == StoredParameter("second", 2, "text")


def test_a_parameter_for_an_image_keeps_the_data_type_that_launch_templates_need(rig: Rig) -> None:
    image_id = available_image(rig)
    assert put(rig, "latest", image_id, IMAGE) == 1
    rig.pass_time(2)
    assert get(rig, "latest") == StoredParameter(image_id, 1, IMAGE)


def test_a_parameter_keeps_its_data_type(rig: Rig) -> None:
    image_id = available_image(rig)
    put(rig, "latest", "anything")
    assert put(rig, "latest", image_id, IMAGE) == 2
    assert get(rig, "latest") == StoredParameter(image_id, 2, "text")


def test_several_parameters_are_read_together_and_those_that_are_missing_left_out(rig: Rig) -> None:
    there = (0, 5, 12)
    for number in there:
        put(rig, f"history/{number:02}", f"value {number}")
    # More names than one call takes.
    found = rig.parameters.get_each([f"/{rig.name}/history/{number:02}" for number in range(15)])
    assert found == {
        f"/{rig.name}/history/{number:02}": StoredParameter(f"value {number}", 1, "text") for number in there
    }
    assert rig.parameters.get_each([]) == {}


def test_a_parameter_that_is_known_is_overwritten_without_a_look(rig: Rig) -> None:
    put(rig, "metadata", "first")
    name = f"/{rig.name}/metadata"
    assert rig.parameters.overwrite(name, "second", data_type="text", description="of a test") == 2
    assert get(rig, "metadata") == StoredParameter("second", 2, "text")


def test_an_image_that_does_not_exist_is_dropped_after_a_version_was_given(rig: Rig) -> None:
    image_id = available_image(rig)
    put(rig, "latest", image_id, IMAGE)
    rig.pass_time(2)
    assert put(rig, "latest", "ami-0ffffffffffffffff", IMAGE) == 2
    rig.pass_time(2)
    assert get(rig, "latest") == StoredParameter(image_id, 1, IMAGE)


def test_an_image_that_does_not_exist_creates_no_parameter(rig: Rig) -> None:
    assert put(rig, "latest", "ami-0ffffffffffffffff", IMAGE) == 1
    rig.pass_time(2)
    assert get(rig, "latest") is None


def test_all_parameters_below_a_path_are_listed_and_no_neighbours(rig: Rig) -> None:
    for number in range(12):
        put(rig, f"history/ami-{number:08x}", str(number))
        # Parameter Store takes three writes a second.
        rig.pass_time(1)
    put(rig, "history/old/ami-00000000", "deeper")
    put(rig, "historyless", "a neighbour")
    found = rig.parameters.list_below(f"/{rig.name}/history")
    expected = {f"/{rig.name}/history/ami-{number:08x}": str(number) for number in range(12)}
    expected[f"/{rig.name}/history/old/ami-00000000"] = "deeper"
    assert {name: stored.value for name, stored in found.items()} == expected
    assert rig.parameters.list_below(f"/{rig.name}/nothing") == {}


def test_a_deleted_parameter_is_gone_and_can_be_deleted_again(rig: Rig) -> None:
    put(rig, "metadata", "first")
    rig.parameters.delete(f"/{rig.name}/metadata")
    rig.parameters.delete(f"/{rig.name}/metadata")
    assert get(rig, "metadata") is None


def test_a_parameter_is_tagged_when_it_is_created(emulated: EmulatedRig) -> None:
    put(emulated, "metadata", "first")
    put(emulated, "metadata", "second")
    tags = emulated.account.client("ssm").list_tags_for_resource(
        ResourceType="Parameter", ResourceId=f"/{emulated.name}/metadata"
    )["TagList"]
    assert tags == [{"Key": "test", "Value": emulated.name}]


def test_a_creation_whose_response_was_lost_succeeds_when_it_is_tried_again(emulated: EmulatedRig) -> None:
    emulated.account.faults.add(
        {
            "kind": "error",
            "service": "ssm",
            "operation": "PutParameter",
            "code": "InternalServerError",
            "status": 500,
            "when": "after",
        }
    )
    with pytest.raises(ServiceUnavailableError):
        put(emulated, "metadata", "value")
    assert put(emulated, "metadata", "value") == 2
    assert get(emulated, "metadata") == StoredParameter("value", 2, "text")
