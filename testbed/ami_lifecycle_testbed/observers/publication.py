"""P1 and P2: what `latest` names, at every change of anything."""

from __future__ import annotations

from typing import Any

from ami_lifecycle_testbed.observers.view import ENVIRONMENT_TAG, View
from ami_lifecycle_testbed.observers.violations import Violations
from aws_emulator.ec2.model import Image

_VERIFICATION = "VerifyImage"
# The environment in whose surroundings a canary has passed, and the disks that it was of.
_Verified = tuple[str, tuple[str, ...]]


class PublicationObserver:
    """Watches every `latest` parameter of the application.

    Args:
        unverified: environments whose settings switch verification off.
        hooked: environments whose settings have hooks for the canary.
    """

    def __init__(
        self,
        view: View,
        violations: Violations,
        unverified: frozenset[str],
        hooked: frozenset[str] = frozenset(),
    ) -> None:
        self._view = view
        self._violations = violations
        self._unverified = unverified
        self._hooked = hooked
        self._names: dict[str, str] = {}
        self._seen: dict[str, str | None] = {}
        self._excused: set[tuple[str, str | None]] = set()
        self._verified: set[_Verified] = set()
        self._trusted: set[str] = set()

    def trust_what_is_there(self) -> None:
        """Take the account as it is: its images count as verified, `latest` as a person's work."""
        self._trusted |= {image.image_id for image in self._view.images()}
        for name in list(self._view.parameters.parameters):
            self.notice_name(name)
        for name in self._names:
            self._seen[name] = self._view.value(name)
            self._excused.add((name, self._seen[name]))

    def notice_name(self, name: str) -> None:
        """Watch a parameter from now on, if it is a `latest`."""
        environment = self._view.environment_of(name)
        if environment is not None:
            self._names[name] = environment

    def excuse(self, name: str, value: str | None) -> None:
        """A person has written a parameter; an `aws:ec2:image` value shows only after its check."""
        if name in self._names and value is not None:
            self._excused.add((name, value))
            self._trusted.add(value)

    def note_write(self, name: str, value: str) -> None:
        """The stack has written a `latest`: what it names must be there at this moment.

        Parameter Store drops the value of an image that is not available (SSM user guide, Native parameter
        support for AMI IDs). That keeps `latest` right, and is none of the product's doing.
        """
        image = self._view.image(value)
        if name in self._names and (image is None or image.state != "available"):
            state = "does not exist" if image is None else f"is {image.state}"
            self._violations.add(
                "P1", f"{name} was written as {value}, which {state}: only SSM's check has saved it"
            )

    def notice_event(self, event: dict[str, Any]) -> None:
        """Learn from events which images have passed verification."""
        detail = event["detail"]
        if (
            event["detail-type"] != "EC2 Command Invocation Status-change Notification"
            or detail["status"] != "Success"
            or _VERIFICATION not in detail["document-name"]
        ):
            return
        instance = self._view.ec2.instances.get(detail["instance-id"])
        if instance is not None and self._ran_hooks(instance.image, detail.get("command-id", "")):
            self._verified.add((instance.image.tags.get(ENVIRONMENT_TAG, ""), _disks(instance.image)))
            self._trusted.add(instance.image.image_id)

    def _ran_hooks(self, image: Image, command_id: str) -> bool:
        """Whether a successful verification was one with the hooks that the environment's settings want."""
        command = self._view.commands.commands.get(command_id)
        hooks = command.parameters.get("Hooks", ["-"]) if command is not None else ["-"]
        return image.tags.get(ENVIRONMENT_TAG) not in self._hooked or hooks != ["-"]

    def check(self) -> None:
        """Hold P1 and P2 for every environment."""
        for name, environment in self._names.items():
            value = self._view.value(name)
            before = self._seen.get(name)
            self._seen[name] = value
            if value != before and self._violations.by_person:
                self._excused.add((name, value))
            problem = self._problem(name, environment, value, before)
            if problem is None:
                self._check_verified(name, environment, value, before)
            elif self._violations.by_person:
                # Whoever took the image away knows; the service answers for what it does itself.
                self._excused.add((name, value))
            elif (name, value) not in self._excused:
                self._violations.add("P1", problem)

    def _problem(self, name: str, environment: str, value: str | None, before: str | None) -> str | None:
        if value is None:
            return f"{name} is gone; it named {before}" if before is not None else None
        image = self._view.image(value)
        if image is None:
            return f"{name} names {value}, which does not exist"
        if image.state != "available":
            return f"{name} names {value}, which is {image.state}"
        of = image.tags.get(ENVIRONMENT_TAG)
        if self._view.belongs_to(image.tags) and of != environment:
            return f"{name} names {value}, which is of {of}"
        return None

    def _check_verified(self, name: str, environment: str, value: str | None, before: str | None) -> None:
        if value is None or value == before or environment in self._unverified:
            return
        if self._violations.by_person:
            self._trusted.add(value)
        image = self._view.image(value)
        if value in self._trusted or image is None or (environment, _disks(image)) in self._verified:
            return
        self._violations.add("P2", f"{name} names {value}, which was not verified")


def _disks(image: Image) -> tuple[str, ...]:
    return tuple(sorted(image.snapshot_ids))
