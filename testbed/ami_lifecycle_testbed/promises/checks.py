"""The promises put together: around each call, at each event, at rest."""

from __future__ import annotations

from typing import NamedTuple

from ami_lifecycle_testbed.promises.acts import NONE, Act, Effect
from ami_lifecycle_testbed.promises.changes import ChangeCheck
from ami_lifecycle_testbed.promises.gates import GateCheck
from ami_lifecycle_testbed.promises.publication import PublicationCheck, Verified
from ami_lifecycle_testbed.promises.remains import Created, RemainsCheck
from ami_lifecycle_testbed.promises.view import View
from ami_lifecycle_testbed.promises.violations import Violation, Violations


class Suspicion(NamedTuple):
    """What a call breaks if it takes effect."""

    promise: str
    what: str


class PromiseChecks:
    """Holds P1 to P7 over one world.

    Whoever runs the world calls `before` and `after` (or `failed`) around each call, and `passed`, `available` and
    `check` when something has happened by itself.
    """

    def __init__(self, view: View) -> None:
        self.violations = Violations(view.elapsed)
        self._publication = PublicationCheck(view, self.violations)
        self._gates = GateCheck(view, self.violations)
        self._changes = ChangeCheck(view, self.violations)
        self._remains = RemainsCheck(view, self.violations)
        self.begin()

    @property
    def created(self) -> Created:
        """What the stack has created so far."""
        return self._remains.created

    def begin(self) -> None:
        """Take the world as it is now; what is not ours in it must stay."""
        self._publication.trust_what_is_there()
        self._gates.trust_what_is_there()
        self._changes.remember_foreign()

    def before(self, act: Act) -> list[Suspicion]:
        """A call is on its way: what it breaks if it takes effect."""
        is_change = bool(act.changes) or act.parameter is not None
        if is_change or not act.by_person:
            self.violations.note(act)
        return [] if act.by_person else [Suspicion(*each) for each in self._changes.before(act)]

    def failed(self, act: Act, error: str) -> None:
        """A call had no effect."""
        self._changes.note_look_up(act, error)

    def after(
        self, act: Act, suspicions: list[Suspicion], effect: Effect = NONE, outcome: str = "ok"
    ) -> None:
        """A call has had its effect, and its answer says what `outcome` tells of it."""
        self._changes.note_look_up(act, outcome)
        for promise, what in suspicions:
            self.violations.add(promise, what)
        if act.by_person:
            self._excuse(act, effect)
        else:
            self._remains.note_created(act, effect)
        if act.parameter is not None:
            self._publication.notice_name(act.parameter)
            if act.value is not None:
                self._gates.note_write(act.parameter, act.value, by_person=act.by_person)
            if act.value is not None and not act.by_person:
                self._publication.note_write(act.parameter, act.value)
        self.check()

    def passed(self, canary: Verified) -> None:
        """An instance of an image has passed verification."""
        self._publication.note_verified(canary)

    def available(self, image_id: str) -> None:
        """An image has just become available."""
        self._changes.note_available(image_id)

    def check(self) -> None:
        """Hold P1 and P2."""
        self._publication.check()

    def check_foreign(self) -> None:
        """Hold what is not ours against what it was (P6)."""
        self._changes.check_foreign()

    def leaks(self, execution_arn: str | None = None) -> list[str]:
        """What is left of executions that have ended, or of this one (P4)."""
        return self._remains.leaks(execution_arn)

    def check_at_rest(self) -> list[Violation]:
        """Hold P4, P5 and what became of disks and of things that are not ours; all violations so far."""
        self.violations.cause = "rest"
        self._publication.check()
        self._changes.check_foreign()
        self._remains.check_leaks()
        self._remains.check_disks()
        self._remains.check_convergence()
        return self.violations.all()

    def _excuse(self, act: Act, effect: Effect) -> None:
        """People answer for what they do themselves."""
        for resource_id in (*act.changes, *effect.instances, *effect.images, *effect.snapshots):
            self._changes.forget(resource_id)
            self._remains.excuse(resource_id)
        if act.parameter is not None:
            self._remains.excuse(act.parameter.partition("/history/")[2])
            self._publication.excuse(act.parameter, act.value)
