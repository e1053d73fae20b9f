"""What keeps a wrong retirement from happening, and the way back from one: limits, marks, the Recycle Bin."""

from __future__ import annotations

from typing import Any, Final

import pytest
from botocore.exceptions import ClientError
from tests.workflows.conftest import Running
from tests.workflows.operators import Operator
from tests.workflows.service import Service, failures

SETTINGS: Final[dict[str, Any]] = {
    "parameters": {"RecycleBinDays": "7"},
    "environments": {
        "limited": {"retirement": {"max_images": 1}},
        "marked": {
            "retirement": {
                "keep_previous": 1,
                "deprecate_kept": True,
                "deregistration_protection": True,
            }
        },
        "protected": {"retirement": {"deregistration_protection": True}},
        "binned": {},
    },
}


@pytest.fixture(scope="module")
def operator(running: Running) -> Operator:
    return Operator(running.service)


def test_too_many_images_go_only_when_a_person_says_so(operator: Operator, service: Service) -> None:
    limited = service.environment("limited")
    templates = []
    for revision in ("1", "2"):
        limited.must_build(revision * 40)
        template = {"ImageId": limited.latest(), "InstanceType": "g5.xlarge"}
        answer = service.client("ec2").create_launch_template(
            LaunchTemplateName=f"fleet-{revision}", LaunchTemplateData=template
        )
        templates.append(answer["LaunchTemplate"]["LaunchTemplateId"])
    limited.must_build("3" * 40)
    images = set(limited.left().images)
    assert len(images) == 3
    # Somebody deletes what a fleet needs to launch again.
    for template in templates:
        service.client("ec2").delete_launch_template(LaunchTemplateId=template)

    known = limited.executions()
    found = [each["finding"] for each in service.sweep() if each["environment"] == "limited"]
    assert len(found) == 1
    assert found[0].endswith("ami-lifecycle retire limited --at-most 2")
    assert limited.executions() == known, "no retirement is started that would be refused"
    assert any("retirement.max_images allows 1" in each for each in operator.status("limited")["drift"])

    looked = operator.ask("retire", "limited", "--dry-run")
    assert (looked["at_most"], set(looked["refused"])) == (1, images - {limited.latest()})
    refused = operator.run("retire", "limited", "--yes", "--json")
    assert (refused.exit_code, '"code": "RetirementLimitError"' in refused.notes) == (1, True)
    too_few = operator.run("retire", "limited", "--yes", "--at-most", "1")
    assert (too_few.exit_code, "1 at most were asked for" in too_few.notes) == (1, True)
    assert set(limited.left().images) == images

    allowed = operator.ask("retire", "limited", "--yes", "--at-most", "2")
    assert allowed["outcome"] == "retired"
    limited.wait_until_idle()
    limited.has_one_image()


def test_a_publication_replaces_one_image_within_every_limit(service: Service) -> None:
    limited = service.environment("limited")
    limited.must_build("4" * 40)
    limited.must_build("5" * 40)
    limited.has_one_image()


def marks(service: Service, image_id: str) -> tuple[bool, str]:
    """Whether an image is deprecated, and how it is protected."""
    (image,) = service.client("ec2").describe_images(ImageIds=[image_id], IncludeDeprecated=True)["Images"]
    return "DeprecationTime" in image, image["DeregistrationProtection"]


def test_what_stays_is_deprecated_and_what_is_live_is_not(service: Service) -> None:
    marked = service.environment("marked")
    marked.must_build("1" * 40)
    first = str(marked.latest())
    assert marks(service, first) == (False, "enabled-without-cooldown")
    marked.must_build("2" * 40)
    second = str(marked.latest())
    assert marks(service, first) == (True, "enabled-without-cooldown")
    assert marks(service, second) == (False, "enabled-without-cooldown")

    request = {"environment": "marked", "action": "publish", "publish_image_id": first, "pin": False}
    assert not failures([service.run(request)])
    assert marks(service, first) == (False, "enabled-without-cooldown")
    assert marks(service, second)[0]
    # The kept image has the constant name, and goes when another one takes its place, protected or not.
    marked.must_build("3" * 40)
    marked.must_build("4" * 40)
    assert len(marked.left().images) == 2


def test_protection_does_not_keep_the_name_from_being_adopted(service: Service) -> None:
    protected = service.environment("protected")
    for revision in ("1", "2"):
        protected.must_build(revision * 40)
        live = protected.has_one_image()
        assert marks(service, live) == (False, "enabled-without-cooldown")
        with pytest.raises(ClientError, match="OperationNotPermitted"):
            service.client("ec2").deregister_image(ImageId=live)


def test_a_retired_image_comes_back_from_the_bin(operator: Operator, service: Service) -> None:
    binned = service.environment("binned")
    first = binned.push("1" * 40)
    binned.wait_for_execution()
    old = binned.has_one_image()
    (snapshot_id,) = binned.snapshots()
    nothing = operator.run("undelete", "binned", "--dry-run")
    assert (nothing.exit_code, "none has its snapshots in the Recycle Bin" in nothing.notes) == (1, True)
    binned.must_build("2" * 40)
    second = binned.has_one_image()

    planned = operator.ask("undelete", "binned", "--dry-run")
    assert (planned["live"], planned["to"], planned["image_digest"]) == (second, old, first)
    (snapshot,) = planned["snapshots"]
    assert (snapshot["snapshot_id"], snapshot["in_bin_until"] is not None) == (snapshot_id, True)
    assert binned.latest() == second

    done = operator.ask("undelete", "binned", "--to", old, "--yes", "--reason", "it was needed")
    assert done["outcome"] == "published"
    binned.wait_until_idle()
    restored = binned.has_one_image()
    assert restored not in {old, second}
    assert binned.snapshots() == {snapshot_id}
    assert binned.metadata()["image_digest"] == first
    assert operator.status("binned")["pin"]["image_id"] == restored
    assert binned.history()[old]["status"] == "retired"
    assert binned.history()[second]["rolled_back"]

    # What it took the place of is in the bin now, and comes back by its release.
    release = binned.history()[second]["release"]
    again = operator.ask("undelete", "binned", "--release", release, "--yes")
    assert again["outcome"] == "published"
    binned.wait_until_idle()
    assert binned.metadata()["release"] == release
    still = operator.run("undelete", "binned", "--to", str(binned.latest()))
    assert (still.exit_code, "is still there" in still.notes) == (1, True)
