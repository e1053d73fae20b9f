"""What is on the disks of an image is compared by name, and its values are told where they may be."""

from __future__ import annotations

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
