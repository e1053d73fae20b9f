from __future__ import annotations

import json

from tests.contract.adapters.rig import Rig


def lines(content: str) -> list[str]:
    (step,) = json.loads(content)["mainSteps"]
    return list(step["inputs"]["runCommand"])


def test_what_does_not_exist_is_none(rig: Rig) -> None:
    assert rig.documents.get(f"{rig.name}-none", None) is None
    rig.store_document(f"{rig.name}-agent", "true")
    assert rig.documents.get(f"{rig.name}-agent", 2) is None


def test_without_a_number_it_is_the_default_version_whatever_is_newer(rig: Rig) -> None:
    name = f"{rig.name}-agent"
    for text in ("first", "second"):
        rig.store_document(name, text)
    for version, number, text in ((None, 1, "first"), (1, 1, "first"), (2, 2, "second")):
        found = rig.documents.get(name, version)
        assert found is not None
        assert (found.version, found.type, found.status) == (number, "Command", "Active")
        assert lines(found.content) == [text]
