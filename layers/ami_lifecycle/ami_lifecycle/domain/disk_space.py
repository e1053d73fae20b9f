"""Disk space of a Docker image: the certain minimum, the expected size, and the volume size to set.

Known before the pull is the compressed size (ECR API reference, ImageDetail.imageSizeInBytes: of an index, the largest
of its manifests). Unknown is how much larger it is unpacked. So only images that certainly do not fit are refused;
otherwise a full disk fails the build.

The documents' shell has the same figures (documents/docker_image.sh); a test compares them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

GIB: Final = 1024**3

# Unpacked size over compressed size, in percent. Layers that are compressed already, such as weights of models, stay as
# large as they are. Programs grow: four images of PyTorch and TensorFlow with CUDA to between 195 and 227 percent
# (twosixlabs/armory, issue 456), one of 15 GB with 7 GB of layers to 214.
LEAST_UNPACKED_PERCENT: Final = 100
EXPECTED_UNPACKED_PERCENT: Final = 220
# Ubuntu, its snaps, Docker, NVIDIA's driver and toolkit, and what the file system keeps for itself: about 4 GiB in 40.
BASE_SYSTEM_GIB: Final = 6
# VerifyImage asks for this much on the canary; containers write and log there, too.
LEFT_FREE_GIB: Final = 1


class ImageStore(StrEnum):
    """Docker's image stores (Docker documentation, "containerd image store").

    `graph-driver`: unpacked only. `containerd`: compressed and unpacked; the default of a new Docker since 29.0.
    """

    GRAPH_DRIVER = "graph-driver"
    CONTAINERD = "containerd"


def least_bytes(compressed_bytes: int, store: ImageStore) -> int:
    """Bytes that the image takes at least: where fewer are free, no pull can succeed."""
    return _kept(compressed_bytes, store, LEAST_UNPACKED_PERCENT)


def expected_bytes(compressed_bytes: int) -> int:
    """Bytes that a pull is expected to need at its height, in either store: all layers compressed, all unpacked.

    A graph driver removes a layer's download after it is unpacked, and ten are downloaded at once.
    """
    return _kept(compressed_bytes, ImageStore.CONTAINERD, EXPECTED_UNPACKED_PERCENT)


def least_root_volume_gib(compressed_bytes: int, store: ImageStore = ImageStore.CONTAINERD) -> int:
    """The smallest root volume, in GiB, that might hold the image beside a bare system; on a smaller one no build ends
    well. 0 where the size is not known.
    """
    if compressed_bytes <= 0:
        return 0
    # A system without snaps and driver has been seen in half of that.
    return BASE_SYSTEM_GIB // 2 + _gib(least_bytes(compressed_bytes, store))


def root_volume_gib_to_set(compressed_bytes: int) -> int:
    """The root volume, in GiB, on which an image of this size is expected to be built and updated for ever.

    An update whose old and new image do not fit together removes the old one first, so one image must fit.
    """
    return BASE_SYSTEM_GIB + _gib(expected_bytes(compressed_bytes)) + LEFT_FREE_GIB


def _kept(compressed_bytes: int, store: ImageStore, unpacked_percent: int) -> int:
    unpacked = compressed_bytes * unpacked_percent // 100
    return unpacked + (compressed_bytes if store is ImageStore.CONTAINERD else 0)


def _gib(size_bytes: int) -> int:
    return -(-size_bytes // GIB)
