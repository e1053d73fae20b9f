"""State changes of images: disable and enable, deregistration protection, deprecation (EC2 API reference)."""

from __future__ import annotations

from datetime import datetime, timedelta

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.image_views import notify_image, require_own_image
from aws_emulator.ec2.requests import refuse_dry_run, supported
from aws_emulator.ec2.store import Ec2Store


def _to_the_minute(moment: datetime) -> datetime:
    return (moment + timedelta(seconds=30)).replace(second=0, microsecond=0)


def _years_after(moment: datetime, years: int) -> datetime:
    return moment + timedelta(days=round(365.25 * years))


class ImageSwitches:
    """The operations that enable or disable an image or one of its protections."""

    def __init__(self, store: Ec2Store) -> None:
        self._store = store

    @operation("ec2", "DisableImage")
    def disable_image(self, request: Request) -> Response:
        """Disable an image: hidden, not launchable, no longer shared; its snapshots stay in use."""
        with self._store.lock:
            image = require_own_image(self._store, supported(request, "ImageId")["ImageId"])
            if image.state not in {"available", "disabled"}:
                raise ApiError(
                    "InvalidAMIID.Unavailable", f"The image ID '{image.image_id}' is not available"
                )
            refuse_dry_run(request)
            if image.state != "disabled":
                image.state = "disabled"
                image.launch_permissions = []
                notify_image(self._store, image, request.request_id)
            return {"Return": True}

    @operation("ec2", "EnableImage")
    def enable_image(self, request: Request) -> Response:
        """Enable a disabled image; what it was shared with is not restored."""
        with self._store.lock:
            image = require_own_image(self._store, supported(request, "ImageId")["ImageId"])
            refuse_dry_run(request)
            if image.state == "disabled":
                image.state = "available"
                notify_image(self._store, image, request.request_id)
            return {"Return": True}

    @operation("ec2", "EnableImageDeregistrationProtection")
    def enable_image_deregistration_protection(self, request: Request) -> Response:
        """Protect an image from deregistration."""
        with self._store.lock:
            parameters = supported(request, "ImageId", "WithCooldown")
            image = require_own_image(self._store, parameters["ImageId"])
            refuse_dry_run(request)
            cooldown = parameters.get("WithCooldown", False)
            image.deregistration_protection = (
                "enabled-with-cooldown" if cooldown else "enabled-without-cooldown"
            )
            return {"Return": image.deregistration_protection}

    @operation("ec2", "DisableImageDeregistrationProtection")
    def disable_image_deregistration_protection(self, request: Request) -> Response:
        """End the protection, after 24 hours if it was enabled with a cooldown."""
        with self._store.lock:
            image = require_own_image(self._store, supported(request, "ImageId")["ImageId"])
            refuse_dry_run(request)
            if image.deregistration_protection == "enabled-with-cooldown":
                until = self._store.clock.now() + timedelta(hours=24)
                image.deregistration_protection = f"disabled-after {until:%Y-%m-%dT%H:%M:%SZ}"

                def end() -> None:
                    image.deregistration_protection = "disabled"

                self._store.later(24 * 3600, end)
            elif not image.deregistration_protection.startswith("disabled-after"):
                image.deregistration_protection = "disabled"
            return {"Return": image.deregistration_protection}

    @operation("ec2", "EnableImageDeprecation")
    def enable_image_deprecation(self, request: Request) -> Response:
        """Set the date from which others no longer see the image.

        It is rounded to the minute, not in the past, and at most ten years ahead, or for a public image two years
        after its creation (EC2 API reference, EnableImageDeprecation).
        """
        with self._store.lock:
            parameters = supported(request, "ImageId", "DeprecateAt")
            image = require_own_image(self._store, parameters["ImageId"])
            at, now = _to_the_minute(parameters["DeprecateAt"]), self._store.clock.now()
            latest = _years_after(image.created, 2) if image.public else _years_after(now, 10)
            if not now < at <= latest:
                raise ApiError(
                    "InvalidParameterValue",
                    f"The deprecation date must be in the future, and no later than {latest:%Y-%m-%dT%H:%M:%SZ}",
                )
            refuse_dry_run(request)
            image.deprecation_time = at
            return {"Return": True}

    @operation("ec2", "DisableImageDeprecation")
    def disable_image_deprecation(self, request: Request) -> Response:
        """Take the deprecation date away."""
        with self._store.lock:
            image = require_own_image(self._store, supported(request, "ImageId")["ImageId"])
            refuse_dry_run(request)
            image.deprecation_time = None
            return {"Return": True}
