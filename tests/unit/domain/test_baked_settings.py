"""What is on the disks of an image is compared by name, and its values are told where they may be."""

from __future__ import annotations

import hashlib
import json

from ami_lifecycle.domain.baked_settings import differences, fingerprint
from ami_lifecycle.domain.settings import ContainerSettings

NAMES = ("staging", "prod")


def test_what_is_not_set_is_no_part_of_the_fingerprint() -> None:
    plain = fingerprint(ContainerSettings())
    assert plain == fingerprint(ContainerSettings(restart="always", ports=("8188:8188",)))
    assert len(plain) == 12
    assert plain != fingerprint(ContainerSettings(shm_mib=64))
    assert fingerprint(ContainerSettings(environment={"A": "1", "B": "2"})) == fingerprint(
        ContainerSettings(environment={"B": "2", "A": "1"})
    )


def test_each_setting_that_differs_is_named_with_both_values() -> None:
    staging, prod = ContainerSettings(), ContainerSettings(ports=("80:8188",), gpu=True)
    assert differences(staging, prod, NAMES) == [
        'container.ports is ["8188:8188"] in staging and ["80:8188"] in prod',
        "container.gpu is false in staging and true in prod",
    ]
    assert differences(staging, staging, NAMES) == []


def test_of_variables_the_names_are_told_and_never_the_values() -> None:
    staging = ContainerSettings(environment={"SAME": "x", "KEY": "hidden-1", "OLD": "hidden-2"})
    prod = ContainerSettings(environment={"SAME": "x", "KEY": "hidden-3", "NEW": "hidden-4"})
    assert differences(staging, prod, NAMES) == ["container.environment differs in KEY, NEW, OLD"]


def test_a_fingerprint_stays_the_same_from_version_to_version() -> None:
    """Images carry it, and are promoted to environments of the same one."""
    assert fingerprint(ContainerSettings()) == _digits("{}")
    set_ = ContainerSettings(volumes=("/a:/b", "/c:/d"), shm_mib=64, environment={"B": "2", "A": "1"})
    written = '{"environment":{"A":"1","B":"2"},"shm_mib":64,"volumes":["/a:/b","/c:/d"]}'
    assert fingerprint(set_) == _digits(written)


def test_a_long_value_is_cut_in_the_difference() -> None:
    one, other = (tuple(f"{first}{number:03}:1" for number in range(100)) for first in (1, 2))
    (told,) = differences(ContainerSettings(ports=one), ContainerSettings(ports=other), NAMES)
    ours, theirs = (json.dumps(ports)[:120] for ports in (one, other))
    assert told == f"container.ports is {ours} in staging and {theirs} in prod"


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
