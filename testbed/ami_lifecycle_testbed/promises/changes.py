"""P3 and P6: what the stack ends or changes, at the moment of the call."""

from __future__ import annotations

import re
from typing import Final
from weakref import WeakKeyDictionary

from ami_lifecycle_testbed.promises.acts import Act, Invocation
from ami_lifecycle_testbed.promises.view import LookUp, Thing, View
from ami_lifecycle_testbed.promises.violations import Violations

# Look-ups that the account may give no reason for: they must have worked if they were made.
_WHERE_NEEDED: Final = frozenset({"GetParameters"})
# Records of images, which are read for what they say and are no uses.
_OWN_HISTORY: Final = re.compile(r"/[^/]+/ami/[^/]+/history/ami-[0-9a-f]+")
# What the stack publishes; of that, only records are ever deleted.
_PUBLISHED: Final = r"/{application}/ami/[a-z0-9-]+/(?:latest|metadata|history/ami-[0-9a-f]+)"
# An image that was pending when somebody looked, a few calls ago, is used by nobody.
_NEW_SECONDS: Final = 5.0
_IN_USE_STATES: Final = frozenset({"available", "disabled"})
# How look-ups ended.
_Outcomes = dict[LookUp, str]


class ChangeCheck:
    """Looks at each changing call of the stack before it takes effect."""

    def __init__(self, view: View, violations: Violations) -> None:
        self._view = view
        self._violations = violations
        self._available_since: dict[str, float] = {}
        self._looked: WeakKeyDictionary[Invocation, _Outcomes] = WeakKeyDictionary()
        self._foreign: dict[str, Thing] = {}
        self._published = re.compile(_PUBLISHED.format(application=re.escape(view.application)))

    def remember_foreign(self) -> None:
        """Everything that is not ours now must stay as it is."""
        for resource_id in self._view.resource_ids():
            thing = self._view.thing(resource_id)
            if thing is not None and not self._view.belongs_to(thing.tags):
                self._foreign[resource_id] = thing

    def forget(self, resource_id: str) -> None:
        """Somebody else changes what is theirs."""
        self._foreign.pop(resource_id, None)

    def note_look_up(self, act: Act, outcome: str) -> None:
        """Remember how a look-up of uses ended in this invocation."""
        asked = {each: outcome for each in act.looks_up if not _OWN_HISTORY.fullmatch(each.of or "")}
        if asked:
            self._looked.setdefault(act.invocation, {}).update(asked)

    def note_available(self, image_id: str) -> None:
        """Remember since when an image can be launched."""
        self._available_since[image_id] = self._view.elapsed()

    def before(self, act: Act) -> list[tuple[str, str]]:
        """What would be wrong if this call took effect: promises, each with words."""
        found = []
        for resource_id in act.changes:
            tags = self._view.tags_of(resource_id)
            if tags is not None and not self._view.belongs_to(tags):
                found.append(("P6", f"{resource_id}, which is not ours, was changed"))
        if act.parameter is not None:
            if not self._published.fullmatch(act.parameter):
                found.append(("P6", f"the parameter {act.parameter}, which is not ours, was changed"))
            elif act.operation == "DeleteParameter" and "/history/" not in act.parameter:
                found.append(("P6", f"the parameter {act.parameter}, which has to stay, was deleted"))
        if act.operation == "DeregisterImage":
            found += [("P3", text) for image_id in act.changes for text in self._uses(image_id, act)]
        return found

    def check_foreign(self) -> None:
        """Hold what is not ours against what it was."""
        for resource_id, before in self._foreign.items():
            found = self._view.thing(resource_id)
            # Mostly it is the very same object, which it would take time to compare.
            if found is None or (found.content is not before.content and found != before):
                self._violations.add("P6", f"{resource_id}, which is not ours, is no longer what it was")

    def _uses(self, image_id: str, act: Act) -> list[str]:
        image = self._view.image(image_id)
        if image is None or image.state not in _IN_USE_STATES:
            return []
        users = self._view.users_of(image_id)
        found = [f"{image_id} was deregistered while it is used: {user}" for user in users]
        if self._view.elapsed() - self._available_since.get(image_id, -_NEW_SECONDS) < _NEW_SECONDS:
            return found
        looked = self._looked.get(act.invocation, {})
        asked = [
            (each.operation, looked.get(each, "not asked")) for each in self._view.look_ups_for(image_id)
        ]
        asked += [(each.operation, end) for each, end in looked.items() if each.operation in _WHERE_NEEDED]
        return found + [
            f"{image_id} was deregistered although its use is unknown: {operation} {outcome}"
            for operation, outcome in asked
            if outcome != "ok"
        ]
