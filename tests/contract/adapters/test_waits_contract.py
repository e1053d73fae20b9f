from __future__ import annotations

from datetime import timedelta

from tests.contract.adapters.rig import Rig
from tests.fakes.clock import START

from ami_lifecycle.ports import StoredWait

LATER = START + timedelta(hours=1)


def wait_for(rig: Rig, number: int = 1) -> StoredWait:
    wait = {"kind": "image", "resource_id": f"ami-{rig.name}", "instance_id": None}
    return StoredWait(f"ami-{rig.name}", f"token-{number}", wait, "arn:execution", START)


def test_a_stored_wait_reads_back_as_it_was_written(rig: Rig) -> None:
    wait = wait_for(rig)
    rig.waits.put(wait, LATER)
    assert rig.waits.get(wait.resource_id) == wait


def test_nothing_waits_for_an_unknown_resource(rig: Rig) -> None:
    assert rig.waits.get(f"ami-{rig.name}") is None
    rig.waits.delete(f"ami-{rig.name}", "token-1")


def test_a_new_token_replaces_an_outlived_one(rig: Rig) -> None:
    rig.waits.put(wait_for(rig, 1), LATER)
    rig.waits.put(wait_for(rig, 2), LATER)
    found = rig.waits.get(f"ami-{rig.name}")
    assert found is not None
    assert found.token == "token-2"


def test_an_expired_wait_is_not_shown(rig: Rig) -> None:
    rig.waits.put(wait_for(rig), START)
    assert rig.waits.get(f"ami-{rig.name}") is None


def test_only_ones_own_token_is_forgotten(rig: Rig) -> None:
    wait = wait_for(rig, 2)
    rig.waits.put(wait, LATER)
    rig.waits.delete(wait.resource_id, "token-1")
    assert rig.waits.get(wait.resource_id) == wait
    rig.waits.delete(wait.resource_id, "token-2")
    rig.waits.delete(wait.resource_id, "token-2")
    assert rig.waits.get(wait.resource_id) is None


def test_a_wait_is_no_environment(rig: Rig) -> None:
    rig.waits.put(wait_for(rig), LATER)
    assert rig.environments.held_by("arn:execution") == []
