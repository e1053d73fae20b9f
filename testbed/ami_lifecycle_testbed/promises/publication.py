"""P1 and P2: what `latest` names, at every change of anything."""

from __future__ import annotations

from typing import NamedTuple

from ami_lifecycle_testbed.promises.view import ENVIRONMENT_TAG, Image, View
from ami_lifecycle_testbed.promises.violations import Violations


class Verified(NamedTuple):
    """What has passed verification.

    Attributes:
        image_id: the image of the canary.
        environment: in whose surroundings it has passed.
        disks: the snapshots that the image is made of.
        with_hooks: the environment's hooks ran.
    """

    image_id: str
    environment: str
    disks: tuple[str, ...]
    with_hooks: bool


class PublicationCheck:
    """Watches every `latest` parameter of the application."""

    def __init__(self, view: View, violations: Violations) -> None:
        self._view = view
        self._violations = violations
        self._names: dict[str, str] = {}
        self._seen: dict[str, str | None] = {}
        self._excused: set[tuple[str, str | None]] = set()
        self._verified: set[tuple[str, tuple[str, ...]]] = set()
        self._trusted: set[str] = set()

    def trust_what_is_there(self) -> None:
        """Take the world as it is: its images count as verified, what is wrong with `latest` is a person's work."""
        for image in self._view.images():
            environment = image.tags.get(ENVIRONMENT_TAG, "")
            self.note_verified(
                Verified(image.image_id, environment, tuple(image.snapshot_ids), with_hooks=True)
            )
        for name in self._view.parameter_names():
            self.notice_name(name)
        for name, environment in self._names.items():
            self._seen[name] = value = self._view.value(name)
            if self._problem(name, environment, value, None) is not None:
                self._excused.add((name, value))

    def notice_name(self, name: str) -> None:
        """Watch a parameter from now on, if it is a `latest`."""
        environment = self._view.environment_of(name)
        if environment is not None:
            self._names[name] = environment

    def excuse(self, name: str, value: str | None) -> None:
        """A person has written a parameter; an `aws:ec2:image` value shows only after its check."""
        if self._view.environment_of(name) is not None and value is not None:
            self._excused.add((name, value))
            self._trusted.add(value)

    def note_write(self, name: str, value: str) -> None:
        """The stack has written a `latest`: what it names must be there at this moment.

        Parameter Store drops the value of an image that is not available (SSM user guide, Native parameter
        support for AMI IDs). That keeps `latest` right, and is none of the product's doing.
        """
        if name not in self._names:
            return
        image = self._view.image(value)
        if image is None or image.state != "available":
            state = "does not exist" if image is None else f"is {image.state}"
            self._violations.add(
                "P1", f"{name} was written as {value}, which {state}: only SSM's check has saved it"
            )

    def note_verified(self, canary: Verified) -> None:
        """An image has passed verification, and with it every image of the same disks in that environment."""
        if self._view.is_hooked(canary.environment) and not canary.with_hooks:
            return
        self._trusted.add(canary.image_id)
        if canary.disks:
            self._verified.add((canary.environment, tuple(sorted(canary.disks))))

    def check(self) -> None:
        """Hold P1 and P2 for every environment."""
        for name, environment in list(self._names.items()):
            value = self._view.value(name)
            before = self._seen.get(name)
            self._seen[name] = value
            problem = self._problem(name, environment, value, before)
            self._check_verified(name, environment, value, before)
            if problem is None:
                # From now on, whoever takes the image away answers for it.
                self._excused.discard((name, value))
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
        if value is None or value == before or self._view.is_unverified(environment):
            return
        if self._violations.by_person:
            self._trusted.add(value)
        image = self._view.image(value)
        if value in self._trusted or image is None or (environment, _disks(image)) in self._verified:
            return
        self._violations.add("P2", f"{name} names {value}, which was not verified")


def _disks(image: Image) -> tuple[str, ...]:
    return tuple(sorted(image.snapshot_ids))
