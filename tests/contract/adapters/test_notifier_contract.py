from __future__ import annotations

from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.rig import Rig


def test_an_outcome_arrives_with_its_subject(rig: Rig) -> None:
    rig.notifier.notify("prod: image published", {"environment": rig.name, "image_id": "ami-1"})
    assert ("prod: image published", {"environment": rig.name, "image_id": "ami-1"}) in rig.notifications()


def test_a_subject_that_sns_would_refuse_is_made_fit(emulated: EmulatedRig) -> None:
    emulated.notifier.notify("prod:\nüber " + "x" * 200, {"environment": emulated.name})
    ((subject, message),) = emulated.notifications()
    assert subject == "prod: ?ber " + "x" * 89
    assert message == {"environment": emulated.name}
