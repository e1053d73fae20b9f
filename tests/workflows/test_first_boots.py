"""A canary that is launched at a rate of initialization, as fleets are."""

from __future__ import annotations

from tests.workflows.service import Environment, Service

SETTINGS = {
    "environments": {f"env-{number:02}": {} for number in range(4)},
    "defaults": {"launch": {"initialization_rate": 300}},
}


def test_a_record_tells_what_fleets_can_expect(service: Service, environment: Environment) -> None:
    environment.must_build("one")
    first_boot = environment.metadata()["facts"]["first_boot"]
    image_id = environment.latest()
    (image,) = service.client("ec2").describe_images(ImageIds=[image_id])["Images"]
    (snapshot,) = service.client("ec2").describe_snapshots(
        SnapshotIds=[image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]]
    )["Snapshots"]
    assert first_boot["data_bytes"] == snapshot["FullSnapshotSizeInBytes"]
    assert (first_boot["initialization_rate"], first_boot["launches_at_once"]) == (300, 16)
    assert first_boot["cents_per_launch"] > 0


def test_a_canary_waits_for_its_share_of_the_quota(service: Service, environment: Environment) -> None:
    service.inject({"kind": "initialization", "limit": 299, "times": 1})
    ended = environment.must_build("one")
    assert "L-A37D9CF3" in str(service.history(ended.arn))
    environment.has_one_image()
