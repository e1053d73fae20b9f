"""Allowed AMIs: which images of others an account may see and launch (EC2 user guide, Allowed AMIs)."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.model import Image
from aws_emulator.ec2.requests import refuse_dry_run, supported
from aws_emulator.ec2.store import Ec2Store

_CRITERIA: Final = frozenset(
    {"ImageProviders", "ImageNames", "CreationDateCondition", "DeprecationTimeCondition"}
)
_MOST_CRITERIA: Final = 10


class AllowedImages:
    """The operations on the setting."""

    def __init__(self, store: Ec2Store) -> None:
        self._store = store

    @operation("ec2", "GetAllowedImagesSettings")
    def get_allowed_images_settings(self, request: Request) -> Response:
        """Show the setting."""
        with self._store.lock:
            supported(request)
            refuse_dry_run(request)
            return {
                "State": self._store.allowed_images_state,
                "ImageCriteria": self._store.image_criteria,
                "ManagedBy": "account",
            }

    @operation("ec2", "EnableAllowedImagesSettings")
    def enable_allowed_images_settings(self, request: Request) -> Response:
        """Apply the criteria, or only show what they would do (audit mode)."""
        with self._store.lock:
            state = supported(request, "AllowedImagesSettingsState")["AllowedImagesSettingsState"]
            if state not in {"enabled", "audit-mode"}:
                raise ApiError(
                    "InvalidParameterValue", f"Invalid value '{state}' for AllowedImagesSettingsState"
                )
            refuse_dry_run(request)
            self._store.allowed_images_state = state
            return {"AllowedImagesSettingsState": state}

    @operation("ec2", "DisableAllowedImagesSettings")
    def disable_allowed_images_settings(self, request: Request) -> Response:
        """Apply no criteria; they are kept."""
        with self._store.lock:
            supported(request)
            refuse_dry_run(request)
            self._store.allowed_images_state = "disabled"
            return {"AllowedImagesSettingsState": "disabled"}

    @operation("ec2", "ReplaceImageCriteriaInAllowedImagesSettings")
    def replace_image_criteria(self, request: Request) -> Response:
        """Set the criteria; of several, one must be met."""
        with self._store.lock:
            criteria = list(supported(request, "ImageCriteria").get("ImageCriteria", ()))
            if len(criteria) > _MOST_CRITERIA:
                raise ApiError(
                    "InvalidParameterValue", f"At most {_MOST_CRITERIA} image criteria can be specified"
                )
            for criterion in criteria:
                if unknown := set(criterion) - _CRITERIA:
                    raise ApiError(
                        "EmulatorUnsupportedParameter",
                        f"the emulator does not emulate the criteria {', '.join(sorted(unknown))}",
                        501,
                    )
            refuse_dry_run(request)
            self._store.image_criteria = criteria
            return {"ReturnValue": True}


def is_allowed(store: Ec2Store, image: Image) -> bool:
    """Whether an image meets the criteria; the account's own always do, whatever the criteria say."""
    if image.owner_id == store.account_id or store.allowed_images_state == "disabled":
        return True
    return any(_meets(store, image, criterion) for criterion in store.image_criteria)


def is_hidden(store: Ec2Store, image: Image) -> bool:
    """Whether the setting keeps an image from being seen and launched; audit mode keeps nothing."""
    return store.allowed_images_state == "enabled" and not is_allowed(store, image)


def may_launch(store: Ec2Store, image: Image) -> bool:
    """Whether this account owns an image, or was given permission to launch it and allows itself to.

    Those are the images that it sees, too.
    """
    return image.owner_id == store.account_id or (
        (image.public or {"UserId": store.account_id} in image.launch_permissions)
        and not is_hidden(store, image)
    )


def _meets(store: Ec2Store, image: Image, criterion: Mapping[str, Any]) -> bool:
    providers, names = criterion.get("ImageProviders"), criterion.get("ImageNames")
    now = store.clock.now()
    if providers and not {image.owner_id, image.owner_alias} & set(providers):
        return False
    if names and not any(fnmatch.fnmatchcase(image.name, pattern) for pattern in names):
        return False
    created = criterion.get("CreationDateCondition", {}).get("MaximumDaysSinceCreated")
    if created is not None and now - image.created > timedelta(days=created):
        return False
    deprecated = criterion.get("DeprecationTimeCondition", {}).get("MaximumDaysSinceDeprecated")
    if deprecated is None or image.deprecation_time is None:
        return True
    return now - image.deprecation_time <= timedelta(days=deprecated)
