"""What differs between two package lists, as somebody reads it who has to know what an image brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ami_lifecycle.domain.package_list import Package, PackageList


class VersionChange(NamedTuple):
    """A package or a component in two versions; the old one is None for what is new, the new one for what is gone.

    Attributes:
        kind: what manages it: deb, rpm, snap; `component` for what is no package.
        architecture: empty for a component.
    """

    kind: str
    name: str
    architecture: str
    old: str | None
    new: str | None


class PackageChanges(NamedTuple):
    """All that differs. Layers are those of the Docker images, in the order in which they lie."""

    components: tuple[VersionChange, ...]
    updated: tuple[VersionChange, ...]
    new: tuple[VersionChange, ...]
    removed: tuple[VersionChange, ...]
    new_layers: tuple[str, ...]
    removed_layers: tuple[str, ...]

    @property
    def words(self) -> str:
        """The counts of packages in words: `42 updated, 1 new`."""
        return words_of(len(self.updated), len(self.new), len(self.removed))


def words_of(updated: int, new: int, removed: int) -> str:
    """Counts of changed packages in words; those that are zero are left out."""
    counts = ((updated, "updated"), (new, "new"), (removed, "removed"))
    return ", ".join(f"{count} {what}" for count, what in counts if count) or "no package changed"


def package_changes(old: PackageList, new: PackageList) -> PackageChanges:
    """What differs between two lists.

    A package that is there in several versions, as kernels are with rpm, counts once: its versions changed or not.
    """
    packages = _changes(_versions(old.packages), _versions(new.packages))
    return PackageChanges(
        components=tuple(_changes(_components(old.components), _components(new.components))),
        updated=tuple(each for each in packages if each.old is not None and each.new is not None),
        new=tuple(each for each in packages if each.old is None),
        removed=tuple(each for each in packages if each.new is None),
        new_layers=tuple(each for each in new.layers if each not in old.layers),
        removed_layers=tuple(each for each in old.layers if each not in new.layers),
    )


_Key = tuple[str, str, str]


def _changes(old: Mapping[_Key, str], new: Mapping[_Key, str]) -> list[VersionChange]:
    return [
        VersionChange(*key, old.get(key), new.get(key))
        for key in sorted({*old, *new}, key=lambda key: (key[1], key[0], key[2]))
        if old.get(key) != new.get(key)
    ]


def _components(components: Mapping[str, str]) -> dict[_Key, str]:
    return {("component", name, ""): version for name, version in components.items()}


def _versions(packages: Iterable[Package]) -> dict[_Key, str]:
    found: dict[_Key, str] = {}
    for each in packages:
        key = (each.kind, each.name, each.architecture)
        found[key] = f"{found[key]}, {each.version}" if key in found else each.version
    return found
