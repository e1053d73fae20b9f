"""P7: what an environment publishes has passed its gates, at the moment of the write."""

from __future__ import annotations

from ami_lifecycle_testbed.promises.view import ENVIRONMENT_TAG, Image, View
from ami_lifecycle_testbed.promises.violations import Violations

_Disks = tuple[str, tuple[str, ...]]


class GateCheck:
    """Looks at each write of a `latest` parameter.

    What has been published once has passed: the same disks may be published again, under whatever name, as long as it
    is in the same environment.
    """

    def __init__(self, view: View, violations: Violations) -> None:
        self._view = view
        self._violations = violations
        self._passed: set[_Disks] = set()

    def trust_what_is_there(self) -> None:
        """Take the world as it is: what has been published in it has passed."""
        for image in self._view.images():
            environment = image.tags.get(ENVIRONMENT_TAG, "")
            is_live = self._view.latest_of(environment) == image.image_id
            if is_live or self._view.record_of(environment, image.image_id) is not None:
                self._passed.add(_disks(environment, image))

    def note_write(self, name: str, value: str, *, by_person: bool) -> None:
        """Somebody has written a `latest`; what people publish themselves is theirs to answer for."""
        environment, image = self._view.environment_of(name), self._view.image(value)
        if environment is None or image is None or _disks(environment, image) in self._passed:
            return
        missed = [] if by_person else self._view.unpassed_gates(environment, image)
        for gate in missed:
            self._violations.add(
                "P7", f"{name} was written as {value}, which the gate {gate} has not let pass"
            )
        if not missed:
            self._passed.add(_disks(environment, image))


def _disks(environment: str, image: Image) -> _Disks:
    return environment, tuple(sorted(image.snapshot_ids))
