"""What it takes to register an image's disks again when the image is gone, as its history record keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from ami_lifecycle.domain.model import (
    TAG_BASE,
    TAG_BASE_CREATED,
    TAG_BASE_IMAGE,
    TAG_BUILT_FOR,
    TAG_RECIPE,
    Image,
    ImageState,
)
from ami_lifecycle.domain.record import HistoryRecord

# RegisterImage inherits nothing (EC2 API reference, RegisterImage).
_KEPT: Final = frozenset(
    {
        "architecture",
        "virtualization_type",
        "root_device_name",
        "block_devices",
        "ena_support",
        "sriov_net_support",
        "boot_mode",
        "tpm_support",
        "imds_support",
    }
)
_BUILT_FOR: Final = "built_for"


def registration_of(image: Image) -> Mapping[str, Any]:
    """What the record keeps of an image; what is as usual is left out."""
    kept = image.model_dump(mode="json", include=set(_KEPT), exclude_defaults=True)
    return kept | ({_BUILT_FOR: built_for} if (built_for := image.tags.get(TAG_BUILT_FOR)) else {})


def built_for(record: HistoryRecord) -> str:
    """The environment that the disks of a record were built for."""
    return str((record.registration or {}).get(_BUILT_FOR) or record.environment)


def image_of(record: HistoryRecord) -> Image | None:
    """The image as it was, from its record; None where the record does not have all that it takes."""
    if record.registration is None or not record.snapshot_ids:
        return None
    tags = {
        TAG_BASE: record.base_setting,
        TAG_BASE_IMAGE: record.original_ami_id,
        TAG_BASE_CREATED: record.base_created,
        TAG_RECIPE: record.recipe,
    }
    try:
        image = Image(
            image_id=record.ami_id,
            name="",
            state=ImageState.AVAILABLE,
            creation_date=datetime.fromisoformat(record.creation_date) if record.creation_date else None,
            tags={key: value for key, value in tags.items() if value},
            **{key: value for key, value in record.registration.items() if key in _KEPT},
        )
    except (ValidationError, ValueError):
        return None
    return image if image.snapshot_ids == record.snapshot_ids else None
