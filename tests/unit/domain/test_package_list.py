"""Package lists: what canaries tell, the document that it becomes, and how two differ."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from ami_lifecycle.domain.package_changes import VersionChange, package_changes, words_of
from ami_lifecycle.domain.package_list import (
    MOST_BYTES,
    Package,
    PackageList,
    dump_packages,
    load_packages,
    package_key,
    told_packages,
)
from ami_lifecycle.domain.package_summary import FACT, PackageSummary, recorded_packages
from ami_lifecycle.domain.packing import packed

DIGEST = "sha256:" + "ab" * 32
LAYERS = tuple("sha256:" + f"{number}" * 64 for number in range(4))
ARN = "arn:aws:states:us-east-1:123456789012:execution:build:e1"


def told(**content: Any) -> PackageList:
    whole = {"components": {}, "packages": {}, "layers": []} | content
    return told_packages(packed(whole), environment="prod", release="abc-1", digest=DIGEST)


def listed(*rows: str, **more: Any) -> PackageList:
    """A list of packages as `name version` or `kind name version architecture`."""
    packages = []
    for row in rows:
        words = row.split()
        kind, name, version, architecture = words if len(words) == 4 else ("deb", *words, "amd64")
        packages.append(Package(kind=kind, name=name, version=version, architecture=architecture))
    return PackageList(
        environment="prod", release="abc-1", image_digest=DIGEST, packages=tuple(packages), **more
    )


def test_a_list_is_sorted_whatever_the_canary_says_first() -> None:
    found = told(
        components={"kernel": "6.8", "docker": "29.0.1"},
        packages={"snap": "core\t1\tx", "deb": "b\t2\ti386\nb\t2\tamd64\nb\t1\tamd64\na\t1\tall"},
        layers=[LAYERS[1], LAYERS[0]],
    )
    assert [(each.kind, each.name, each.architecture, each.version) for each in found.packages] == [
        ("deb", "a", "all", "1"),
        ("deb", "b", "amd64", "1"),
        ("deb", "b", "amd64", "2"),
        ("deb", "b", "i386", "2"),
        ("snap", "core", "x", "1"),
    ]
    assert list(found.components) == ["docker", "kernel"]
    # Layers lie on each other in their order.
    assert found.layers == (LAYERS[1], LAYERS[0])
    assert (found.environment, found.release, found.image_digest) == ("prod", "abc-1", DIGEST)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no base64!", "it cannot be unpacked"),
        (base64.b64encode(b"not compressed").decode(), "it cannot be unpacked"),
        (packed({"components": {}})[:-8], "it is cut off"),
        (packed(" " * MOST_BYTES), f"it is cut off, or larger than {MOST_BYTES} bytes"),
        (packed([]), "input"),
        (packed({"components": {}, "packages": {}}), "layers: Field required"),
        (packed({"components": {}, "packages": {"apk": ""}, "layers": []}), "packages.apk"),
        (packed({"components": {}, "packages": {}, "layers": ["sha256:1"]}), "layers.0"),
        (packed({"components": {"kernel": "6\n8"}, "packages": {}, "layers": []}), "components.kernel"),
        (packed({"components": {}, "packages": {"deb": "a\t1"}, "layers": []}), "argument 2 is shorter"),
        (
            packed({"components": {}, "packages": {"deb": "a\t1\tall\tx"}, "layers": []}),
            "argument 2 is longer",
        ),
        (packed({"components": {}, "packages": {"deb": "a b\t1\tall"}, "layers": []}), "name"),
        (packed({"components": {}, "packages": {"deb": f"{'a' * 201}\t1\tall"}, "layers": []}), "name"),
        (packed({"components": {}, "packages": {"deb": "a\t\tall"}, "layers": []}), "version"),
        (packed({"components": {}, "packages": {"deb": "a\t1\tä"}, "layers": []}), "architecture"),
    ],
)
def test_what_is_no_list_is_refused_with_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        told_packages(text, environment="prod", release="abc-1", digest=DIGEST)


def test_as_much_as_fits_is_unpacked() -> None:
    text = json.dumps({"components": {}, "packages": {}, "layers": []})
    padded = text + " " * (MOST_BYTES - len(text))
    whole = base64.b64encode(zlib.compress(padded.encode())).decode()
    assert told_packages(whole, environment="prod", release="r", digest=DIGEST).packages == ()


def test_the_document_has_a_package_to_a_line_and_reads_back() -> None:
    found = told(
        components={"kernel": "6.8"}, packages={"deb": "a\t1\tall\nb\t2\tamd64"}, layers=list(LAYERS[:1])
    )
    text = dump_packages(found)
    assert text == (
        "{\n"
        ' "schema_version": 1,\n'
        ' "environment": "prod",\n'
        ' "release": "abc-1",\n'
        f' "image_digest": "{DIGEST}",\n'
        ' "components": {\n'
        '  "kernel": "6.8"\n'
        " },\n"
        ' "packages": [\n'
        '  {"kind": "deb", "name": "a", "version": "1", "architecture": "all"},\n'
        '  {"kind": "deb", "name": "b", "version": "2", "architecture": "amd64"}\n'
        " ],\n"
        ' "layers": [\n'
        f'  "{LAYERS[0]}"\n'
        " ]\n"
        "}\n"
    )
    assert load_packages(text) == found


def test_an_empty_document_reads_back() -> None:
    text = dump_packages(listed())
    assert '"packages": [],\n "layers": []\n}\n' in text
    assert load_packages(text) == listed()


def test_a_reader_ignores_what_it_does_not_know_and_refuses_what_is_no_list() -> None:
    content = json.loads(dump_packages(listed("a 1")))
    assert load_packages(json.dumps({**content, "later": 1})).packages == listed("a 1").packages
    for text in ("", "[]", "{}", json.dumps({**content, "schema_version": 2})):
        with pytest.raises(ValueError, match=r"input|schema_version|environment"):
            load_packages(text)


def test_a_list_is_of_a_release_and_its_environment() -> None:
    assert package_key("prod", ARN, DIGEST) == "packages/prod/abababababab-0a38017d.json"
    assert package_key("dev", ARN, "") == "packages/dev/0a38017d.json"
    assert package_key("prod", None, DIGEST) is None
    assert package_key("prod", "", DIGEST) is None


# How two differ.


def test_packages_are_updated_new_or_removed() -> None:
    changes = package_changes(listed("a 1", "b 1", "c 1"), listed("a 1", "b 2", "d 1"))
    assert changes.updated == (VersionChange("deb", "b", "amd64", "1", "2"),)
    assert changes.new == (VersionChange("deb", "d", "amd64", None, "1"),)
    assert changes.removed == (VersionChange("deb", "c", "amd64", "1", None),)
    assert changes.words == "1 updated, 1 new, 1 removed"


def test_a_package_of_another_kind_or_architecture_is_another_one() -> None:
    old = listed("deb a 1 amd64", "deb a 1 i386", "snap a 1 amd64")
    changes = package_changes(old, listed("deb a 2 amd64", "deb a 1 i386", "snap a 3 amd64"))
    assert [(each.kind, each.architecture, each.new) for each in changes.updated] == [
        ("deb", "amd64", "2"),
        ("snap", "amd64", "3"),
    ]


def test_versions_that_are_there_beside_each_other_are_compared_together() -> None:
    changes = package_changes(
        listed("rpm kernel 6.1-1 x86_64"), listed("rpm kernel 6.1-1 x86_64", "rpm kernel 6.1-2 x86_64")
    )
    assert changes.updated == (VersionChange("rpm", "kernel", "x86_64", "6.1-1", "6.1-1, 6.1-2"),)
    assert changes.words == "1 updated"


def test_changes_are_in_the_order_of_names() -> None:
    changes = package_changes(listed(), listed("snap a 1 x", "deb c 1 x", "deb b 1 x", "deb a 1 x"))
    assert [(each.name, each.kind) for each in changes.new] == [
        ("a", "deb"),
        ("a", "snap"),
        ("b", "deb"),
        ("c", "deb"),
    ]


def test_components_and_layers_are_told_beside_the_packages() -> None:
    changes = package_changes(
        listed(components={"kernel": "1", "docker": "1", "gone": "1"}, layers=LAYERS[:2]),
        listed(
            components={"kernel": "2", "docker": "1", "nvidia-driver": "5"}, layers=(LAYERS[0], LAYERS[2])
        ),
    )
    assert changes.components == (
        VersionChange("component", "gone", "", "1", None),
        VersionChange("component", "kernel", "", "1", "2"),
        VersionChange("component", "nvidia-driver", "", None, "5"),
    )
    assert (changes.new_layers, changes.removed_layers) == ((LAYERS[2],), (LAYERS[1],))
    assert changes.words == "no package changed"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((42, 1, 0), "42 updated, 1 new"),
        ((0, 0, 3), "3 removed"),
        ((0, 0, 0), "no package changed"),
        ((1, 2, 3), "1 updated, 2 new, 3 removed"),
    ],
)
def test_counts_in_words(counts: tuple[int, int, int], words: str) -> None:
    assert words_of(*counts) == words


# What records say.


def test_a_summary_counts_what_changed_and_says_nothing_where_nothing_is_compared() -> None:
    summary = PackageSummary(count=2, uri="s3://lists/a")
    changes = package_changes(listed("a 1", "b 1"), listed("a 2", "c 1", "d 1"))
    compared = summary.compared(changes)
    assert compared == PackageSummary(
        count=2, uri="s3://lists/a", changes="1 updated, 2 new, 1 removed", updated=1, new=2, removed=1
    )
    assert compared.compared(None) == summary


def test_a_summary_reads_back_from_the_facts_of_a_record() -> None:
    assert recorded_packages({}) is None
    assert recorded_packages({FACT: "many"}) is None
    assert recorded_packages({FACT: {"count": 2, "later": 1}}) == PackageSummary(count=2)


def test_what_is_no_base64_is_no_list() -> None:
    whole = packed({"components": {}, "packages": {}, "layers": []})
    with pytest.raises(ValueError, match="it cannot be unpacked"):
        told_packages(f"{whole[:8]}!{whole[8:]}", environment="prod", release="r", digest=DIGEST)
