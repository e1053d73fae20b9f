"""What is in an image, from the list that the stack keeps of its release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ami_lifecycle.adapters.package_lists import S3PackageLists
from ami_lifecycle.domain.package_changes import PackageChanges, VersionChange, package_changes
from ami_lifecycle.domain.package_list import PackageList, load_packages
from ami_lifecycle.domain.package_summary import PackageSummary, recorded_packages
from ami_lifecycle.errors import AmiLifecycleError, RecordNotFoundError
from ami_lifecycle_cli.console.output import print_line
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.formatting import print_rows
from ami_lifecycle_cli.stack.images import KnownImage

_SCHEME = "s3://"


def summary_of(known: KnownImage) -> PackageSummary | None:
    """What the image's record says of its list; None where it says nothing."""
    return recorded_packages(known.record.facts) if known.record else None


def summary_text(summary: PackageSummary | None) -> str | None:
    """The same as text."""
    if summary is None:
        return None
    if summary.uri is None:
        return f"no list: {summary.problem}"
    since = f", {summary.changes} since the image before" if summary.changes else ""
    return f"{summary.count}{since}; {summary.uri}"


def read_packages(stack: Stack, known: KnownImage) -> PackageList:
    """The list of an image.

    Raises:
        RecordNotFoundError: it has none, or it is no list.
        AmiLifecycleError: another of its subclasses; S3 does not give it.
    """
    summary = summary_of(known)
    if summary is None or summary.uri is None or not summary.uri.startswith(_SCHEME):
        why = summary.problem if summary is not None else None
        raise RecordNotFoundError(
            f"{known.image_id} has no package list: "
            f"{why or 'it was published without one, before the stack kept lists or without verification'}",
            hint="Lists are kept from the next build on: docs/packages.md",
        )
    bucket, _, key = summary.uri.removeprefix(_SCHEME).partition("/")
    text = S3PackageLists(stack.client("s3"), bucket).read(key)
    if text is None:
        raise RecordNotFoundError(
            f"the package list of {known.image_id}, {summary.uri}, does not exist any more"
        )
    try:
        return load_packages(text)
    except ValueError as error:
        raise RecordNotFoundError(f"{summary.uri} is no package list: {error}") from error


def package_difference(stack: Stack, old: KnownImage, new: KnownImage) -> PackageChanges | str | None:
    """What differs between the lists of two images, or why that is not known; None where neither says anything."""
    if summary_of(old) is None and summary_of(new) is None:
        return None
    try:
        return package_changes(read_packages(stack, old), read_packages(stack, new))
    except AmiLifecycleError as error:
        return str(error)


def difference_as_json(found: PackageChanges | str | None) -> dict[str, Any] | None:
    """Plain values."""
    if found is None:
        return None
    known = found if isinstance(found, PackageChanges) else PackageChanges((), (), (), (), (), ())
    return {
        "summary": None if isinstance(found, str) else found.words,
        "problem": found if isinstance(found, str) else None,
        **{name: [each._asdict() for each in getattr(known, name)] for name in _CHANGES},
        "new_layers": list(known.new_layers),
        "removed_layers": list(known.removed_layers),
    }


_CHANGES = ("components", "updated", "new", "removed")


def print_difference(found: PackageChanges | str | None) -> None:
    """Counts first, then what they count."""
    if found is None:
        return
    if isinstance(found, str):
        print_line(f"Packages are not compared: {found}")
        return
    layers = f", layers of the Docker image: {len(found.new_layers)} new, {len(found.removed_layers)} removed"
    print_line(f"Packages: {found.words}{layers if found.new_layers or found.removed_layers else ''}")
    rows = [
        *_rows("", found.components),
        *_rows("updated", found.updated),
        *_rows("new", found.new),
        *_rows("removed", found.removed),
    ]
    if rows:
        print_rows(["", "package", "old", "new"], rows)


def _rows(what: str, changes: Sequence[VersionChange]) -> list[tuple[str, str, str, str]]:
    return [(what or each.kind, _name(each), each.old or "-", each.new or "-") for each in changes]


def _name(change: VersionChange) -> str:
    """Its name, with the architecture where that tells it from another package of this name."""
    return f"{change.name}:{change.architecture}" if change.architecture in {"i386", "i686"} else change.name


def print_packages(listed: PackageList) -> None:
    """Everything in a list."""
    rows = [("component", name, version, "") for name, version in listed.components.items()]
    rows += [(each.kind, each.name, each.version, each.architecture) for each in listed.packages]
    rows += [("layer", layer, "", "") for layer in listed.layers]
    print_rows(["kind", "name", "version", "architecture"], rows)
