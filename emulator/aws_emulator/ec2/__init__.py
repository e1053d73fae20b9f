"""The emulated EC2: instances, images, snapshots, launch templates, fleets, with time and with EC2's refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aws_emulator.ec2.allowed_images import AllowedImages
from aws_emulator.ec2.encryption import Encryption
from aws_emulator.ec2.fleets import Fleets
from aws_emulator.ec2.image_switches import ImageSwitches
from aws_emulator.ec2.image_views import ImageViews
from aws_emulator.ec2.images import Images
from aws_emulator.ec2.instance_views import InstanceViews
from aws_emulator.ec2.instances import Instances
from aws_emulator.ec2.launch_templates import LaunchTemplates
from aws_emulator.ec2.launches import Launches
from aws_emulator.ec2.recycle_bin import RecycleBin
from aws_emulator.ec2.references import References
from aws_emulator.ec2.snapshots import Snapshots
from aws_emulator.ec2.store import Ec2Store, ImageParameters
from aws_emulator.ec2.tags import ResourceTags


def ec2_operations(
    store: Ec2Store,
    parameters: ImageParameters,
    *,
    agent_may_report: Callable[[Mapping[str, str]], bool] = lambda _profile: True,
    refused_key: Callable[[str, str], str | None] = lambda _caller, _key: None,
    may_delete_snapshot: Callable[[str, str], bool] = lambda _caller, _snapshot_id: True,
) -> tuple[object, ...]:
    """All emulated operations of EC2 on one store.

    Args:
        parameters: the account's Parameter Store, for images given as a parameter's name.
        agent_may_report: whether an instance profile has the permissions without which the SSM agent never
            registers.
        refused_key: the reason for which EBS cannot use a key with a caller's rights, None where it can.
        may_delete_snapshot: whether a caller's rights include the deletion of a snapshot.
    """
    instances, snapshots = Instances(store, agent_may_report), Snapshots(store)
    return (
        AllowedImages(store),
        Encryption(store),
        Fleets(store, parameters),
        Images(store, instances, snapshots, may_delete_snapshot),
        ImageSwitches(store),
        ImageViews(store),
        instances,
        InstanceViews(store),
        Launches(store, instances, parameters, refused_key),
        LaunchTemplates(store, parameters),
        RecycleBin(store),
        References(store, parameters),
        ResourceTags(store),
        snapshots,
    )


__all__ = ["Ec2Store", "ImageParameters", "ec2_operations"]
