"""The emulated EC2: instances, images, snapshots, launch templates, fleets, with time and with EC2's refusals."""

from __future__ import annotations

from aws_emulator.ec2.allowed_images import AllowedImages
from aws_emulator.ec2.encryption import Encryption
from aws_emulator.ec2.fleets import Fleets
from aws_emulator.ec2.image_switches import ImageSwitches
from aws_emulator.ec2.images import Images
from aws_emulator.ec2.references import References
from aws_emulator.ec2.tags import ResourceTags


class Ec2(AllowedImages, Encryption, Fleets, Images, ImageSwitches, References, ResourceTags):
    """All emulated operations of EC2 over one state."""


__all__ = ["Ec2"]
