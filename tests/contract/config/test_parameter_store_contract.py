"""What the adapter promises, over the fake and over the emulated Parameter Store."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contract.config.conftest import FastClock
from tests.contract.config.parameter_account import ParameterAccount

from parameter_config.errors import (
    ParameterRecentlyDeletedError,
    VersionNotFoundError,
)
from parameter_config.parameter_store import NewParameter, ParameterStore

TAGS = {"Project": "p", "ami-lifecycle:role": "configuration"}


def new(name: str, text: str = "x", kind: str = "String", **options: Any) -> NewParameter:
    return NewParameter(name=name, text=text, type=kind, description="d", tags=TAGS, **options)


def test_what_was_created_is_read(store: ParameterStore, prefix: str) -> None:
    assert store.create(new(f"{prefix}/a", "1"))
    found = store.read([f"{prefix}/a", f"{prefix}/absent", f"{prefix}/a"])
    assert {name: (stored.text, stored.version, stored.type) for name, stored in found.items()} == {
        f"{prefix}/a": ("1", 1, "String")
    }
    assert found[f"{prefix}/a"].changed_at is not None


def test_more_than_ten_names_are_read_at_once(store: ParameterStore, prefix: str) -> None:
    names = [f"{prefix}/{index:02}" for index in range(12)]
    for name in names:
        store.create(new(name, name))
    assert {name: stored.text for name, stored in store.read(names).items()} == {name: name for name in names}


def test_creating_twice_changes_nothing(store: ParameterStore, prefix: str) -> None:
    assert store.create(new(f"{prefix}/a", "1"))
    assert not store.create(new(f"{prefix}/a", "2"))
    assert store.read([f"{prefix}/a"])[f"{prefix}/a"].text == "1"


def test_a_secure_string_is_read_in_the_clear_and_known_as_sensitive(
    store: ParameterStore, prefix: str
) -> None:
    store.create(new(f"{prefix}/key", "planted", "SecureString"))
    stored = store.read([f"{prefix}/key"])[f"{prefix}/key"]
    assert stored.text == "planted"
    assert stored.sensitive
    assert "planted" not in repr(stored)


def test_lists_and_patterns_are_accepted(store: ParameterStore, prefix: str) -> None:
    store.create(new(f"{prefix}/list", "a,b", "StringList"))
    store.create(new(f"{prefix}/id", "i-12", allowed_pattern="^(?:i-[0-9]+)$"))
    stored = store.read([f"{prefix}/id"])[f"{prefix}/id"]
    assert store.overwrite(stored, "i-13") == 2


def test_overwriting_adds_a_version_and_keeps_the_tags(store: ParameterStore, prefix: str) -> None:
    name = f"{prefix}/a"
    store.create(new(name, "1"))
    stored = store.read([name])[name]
    assert store.overwrite(stored, "2") == 2
    assert store.overwrite(stored, "3") == 3
    assert [(version.version, version.text) for version in store.read_history(name)] == [
        (1, "1"),
        (2, "2"),
        (3, "3"),
    ]
    assert store.read_tags(name) == TAGS


def test_history_is_read_over_all_pages(store: ParameterStore, prefix: str) -> None:
    name = f"{prefix}/a"
    store.create(new(name, "1"))
    stored = store.read([name])[name]
    for number in range(2, 106):
        store.overwrite(stored, str(number))
    history = store.read_history(name)
    assert [version.version for version in history] == list(range(6, 106))


def test_names_under_a_path_are_found_at_any_depth(store: ParameterStore, prefix: str) -> None:
    names = [f"{prefix}/{index:02}" for index in range(11)] + [f"{prefix}/deep/down/a"]
    for name in [*names, f"{prefix}-other/a"]:
        store.create(new(name))
    assert sorted(store.read_under(prefix)) == sorted(names)
    assert store.read_under(f"{prefix}/nothing") == []


def test_tagged_names_are_found(store: ParameterStore, prefix: str) -> None:
    store.create(new(f"{prefix}/deep/a"))
    untagged = NewParameter(f"{prefix}/b", "x", "String", "", {"Project": "p"})
    store.create(untagged)
    assert store.read_tagged(prefix, TAGS) == [f"{prefix}/deep/a"]
    store.tag(f"{prefix}/b", TAGS)
    assert sorted(store.read_tagged(prefix, TAGS)) == [f"{prefix}/b", f"{prefix}/deep/a"]


def test_deleting_tells_what_was_there(store: ParameterStore, prefix: str) -> None:
    names = [f"{prefix}/{index:02}" for index in range(12)]
    for name in names:
        store.create(new(name))
    assert sorted(store.delete([*names, f"{prefix}/absent"])) == names
    assert store.read(names) == {}


def test_what_does_not_exist_has_no_history_and_no_tags(store: ParameterStore, prefix: str) -> None:
    with pytest.raises(VersionNotFoundError, match=f"{prefix}/absent"):
        store.read_history(f"{prefix}/absent")
    with pytest.raises(VersionNotFoundError, match=f"{prefix}/absent"):
        store.read_tags(f"{prefix}/absent")


def test_a_deleted_name_cannot_be_created_for_half_a_minute() -> None:
    """On an emulated account alone, whose half minute is half a minute."""
    account = ParameterAccount(scale=1.0)
    client = account.client("ssm")
    store = ParameterStore(lambda: client, FastClock())
    store.create(new("/p/a"))
    store.delete(["/p/a"])
    with pytest.raises(ParameterRecentlyDeletedError, match="30 seconds"):
        store.create(new("/p/a"))
    account.close()
