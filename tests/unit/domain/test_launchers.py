"""Which images could be launched again, and what lets each go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_lifecycle.domain.launchers import (
    Launcher,
    Resolution,
    TemplateReference,
    TemplateVersion,
    aliases_in,
    uses_by_launchers,
)
from ami_lifecycle.domain.model import UsageKind

AMI = "ami-0123456789abcdef0"
OTHER = "ami-0fedcba9876543210"
PINNED = "resolve:ssm:/comfyui/ami/prod/latest:7"
PLAIN = "resolve:ssm:/team/golden"


def version(number: int, image: str | None = AMI, *, of: int = 3, default: int = 3) -> TemplateVersion:
    return TemplateVersion(
        template_id="lt-1",
        name="fleet",
        number=number,
        is_latest=number == of,
        is_default=number == default,
        image=image,
    )


def group(name: str = "web", /, *images: str, **template: str) -> Launcher:
    references = (TemplateReference(**template),) if template else ()
    return Launcher(kind=UsageKind.AUTO_SCALING_GROUP, name=name, images=images, templates=references)


def found(
    *versions: TemplateVersion,
    launchers: tuple[Launcher, ...] = (),
    resolutions: dict[str, Resolution] | None = None,
    image_ids: tuple[str, ...] = (AMI,),
) -> list[tuple[str, UsageKind, str]]:
    uses = uses_by_launchers(image_ids, launchers, versions, resolutions or {})
    return [(image_id, use.kind, use.resource) for image_id, use in uses]


@pytest.mark.parametrize(
    ("number", "of", "default", "reason"),
    [
        (
            1,
            1,
            1,
            "which is $Latest and $Default: add a version with another image and make it the default",
        ),
        (2, 2, 1, "which is $Latest: add a version with another image"),
        (1, 2, 1, "which is $Default: make another version the default"),
    ],
)
def test_latest_and_default_can_be_launched(number: int, of: int, default: int, reason: str) -> None:
    text = f"lt-1 (fleet) version {number}, {reason}"
    assert found(version(number, of=of, default=default)) == [(AMI, UsageKind.LAUNCH_TEMPLATE, text)]


@pytest.mark.parametrize("template", ["lt-1", "fleet"])
def test_a_version_that_a_group_names_by_its_number_is_in_use(template: str) -> None:
    launcher = group(template=template, version="1")
    ((_, kind, text),) = found(version(1), version(3, OTHER), launchers=(launcher,))[:1]
    assert kind is UsageKind.LAUNCH_TEMPLATE
    assert text == (
        "lt-1 (fleet) version 1, which Auto Scaling group web launches: let that launch another version"
    )


def test_old_versions_are_told_apart_and_named_together() -> None:
    expected = "lt-1 (fleet), versions 1, 2: delete what nobody will launch again"
    assert found(version(1), version(2), version(3, OTHER)) == [
        (OTHER, UsageKind.LAUNCH_TEMPLATE, found(version(3, OTHER))[0][2]),
        (AMI, UsageKind.OLD_TEMPLATE_VERSION, expected),
    ]


def test_an_alias_with_a_version_or_label_counts_in_any_version() -> None:
    ((image_id, kind, text),) = found(version(1, PINNED), resolutions={PINNED: Resolution(value=AMI)})
    assert (image_id, kind) == (AMI, UsageKind.LAUNCH_TEMPLATE)
    assert text == (
        f"lt-1 (fleet) version 1 by {PINNED}, whose alias has a version or label: delete that version of the template"
    )


def test_an_alias_of_another_accounts_parameter_may_have_a_label_too() -> None:
    alias = "resolve:ssm:arn:aws:ssm:us-east-1:111122223333:parameter/shared/ami:stable"
    assert (
        found(version(1, alias), resolutions={alias: Resolution(value=AMI)})[0][1]
        is UsageKind.LAUNCH_TEMPLATE
    )


def test_an_alias_without_a_version_is_an_old_version_like_others() -> None:
    kinds = [kind for _, kind, _ in found(version(1, PLAIN), resolutions={PLAIN: Resolution(value=AMI)})]
    assert kinds == [UsageKind.OLD_TEMPLATE_VERSION]


def test_an_alias_of_something_that_does_not_exist_launches_nothing() -> None:
    assert (
        found(version(3, PINNED), version(1, PLAIN), resolutions={PINNED: Resolution(), PLAIN: Resolution()})
        == []
    )


@pytest.mark.parametrize("launchers", [(group("web", PINNED),), ()])
def test_an_alias_that_could_not_be_read_may_name_any_image(launchers: tuple[Launcher, ...]) -> None:
    versions = () if launchers else (version(3, PINNED),)
    uses = found(*versions, launchers=launchers, image_ids=(AMI, OTHER))
    assert [(image_id, kind) for image_id, kind, _ in uses] == [
        (AMI, UsageKind.UNKNOWN),
        (OTHER, UsageKind.UNKNOWN),
    ]
    assert all(PINNED in text and text.startswith("ssm:GetParameters") for _, _, text in uses)


def test_an_alias_of_an_old_version_that_could_not_be_read_keeps_only_what_old_versions_keep() -> None:
    unread = {PLAIN: Resolution(is_known=False)}
    assert [kind for _, kind, _ in found(version(1, PLAIN), resolutions=unread)] == [
        UsageKind.OLD_TEMPLATE_VERSION
    ]


def test_what_a_launcher_names_itself_is_in_use_whatever_its_template_says() -> None:
    launcher = Launcher(
        kind=UsageKind.FLEET,
        name="fleet-1",
        images=(AMI,),
        templates=(TemplateReference(template="lt-gone"),),
    )
    assert found(launchers=(launcher,)) == [(AMI, UsageKind.FLEET, "fleet-1: modify or delete the fleet")]


def test_aliases_are_asked_for_once() -> None:
    assert aliases_in(
        [group("web", AMI, PLAIN)], [version(1, PLAIN), version(2, PINNED), version(3, None)]
    ) == [
        PLAIN,
        PINNED,
    ]


VERSIONS = st.builds(
    version,
    st.integers(1, 4),
    st.sampled_from([AMI, OTHER, PINNED, PLAIN, None]),
    of=st.integers(1, 4),
    default=st.integers(1, 4),
)
REFERENCES = st.builds(
    TemplateReference,
    template=st.sampled_from(["lt-1", "fleet", "lt-gone"]),
    version=st.sampled_from(["$Latest", "$Default", "1", "2", "9"]),
)
LAUNCHERS = st.builds(
    Launcher,
    kind=st.sampled_from([UsageKind.AUTO_SCALING_GROUP, UsageKind.FLEET, UsageKind.SPOT_FLEET]),
    name=st.just("it"),
    images=st.lists(st.sampled_from([AMI, OTHER, PLAIN]), max_size=2).map(tuple),
    templates=st.lists(REFERENCES, max_size=3).map(tuple),
)


@given(st.lists(VERSIONS, max_size=4, unique_by=lambda each: each.number), st.lists(LAUNCHERS, max_size=3))
def test_whatever_can_be_launched_keeps_its_image(
    versions: list[TemplateVersion], launchers: list[Launcher]
) -> None:
    """Held against a second way to say it: follow each launcher to the image that it would get now."""
    values = {PINNED: AMI, PLAIN: OTHER}
    latest = max((each.number for each in versions), default=0)
    shown = [each.model_copy(update={"is_latest": each.number == latest}) for each in versions]
    numbers = {"$Latest": {each.number for each in shown if each.is_latest}}
    numbers["$Default"] = {each.number for each in shown if each.is_default}
    launchable = {image for launcher in launchers for image in launcher.images}
    for launcher in launchers:
        for reference in launcher.templates:
            aliased = numbers.get(reference.version)
            wanted = {int(reference.version)} if aliased is None else aliased
            launchable |= {
                each.image
                for each in shown
                if each.image and each.number in wanted and reference.template in {"lt-1", "fleet"}
            }
    resolutions = {alias: Resolution(value=value) for alias, value in values.items()}
    protected = {
        image_id
        for image_id, use in uses_by_launchers([AMI, OTHER], launchers, shown, resolutions)
        if use.kind is not UsageKind.OLD_TEMPLATE_VERSION
    }
    assert {values.get(image, image) for image in launchable} <= protected


def test_all_that_keeps_a_version_is_told_with_all_that_lets_it_go() -> None:
    launchers = (group("web", template="lt-1", version="3"), group("api", template="fleet", version="3"))
    ((_, _, text),) = found(version(3), launchers=launchers)
    assert text == (
        "lt-1 (fleet) version 3, which is $Latest and $Default and which Auto Scaling group web, Auto Scaling group "
        "api launches: add a version with another image and make it the default and let that launch another version"
    )


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (1, "version 1"),
        (2, "versions 1, 2"),
        (5, "versions 1, 2, 3, 4, 5"),
        (6, "versions 1, 2, 3, 4, 5 and 1 more"),
        (8, "versions 1, 2, 3, 4, 5 and 3 more"),
    ],
)
def test_many_old_versions_are_counted_instead_of_listed(count: int, named: str) -> None:
    versions = [version(number, of=99, default=99) for number in range(count, 0, -1)]
    assert found(*versions) == [
        (AMI, UsageKind.OLD_TEMPLATE_VERSION, f"lt-1 (fleet), {named}: delete what nobody will launch again")
    ]


def test_a_version_without_an_image_hides_no_other() -> None:
    """The launcher has the image then."""
    kinds = [
        kind for _, kind, _ in found(version(1, None, of=9), version(9, of=9), version(2, of=9, default=9))
    ]
    assert kinds == [UsageKind.LAUNCH_TEMPLATE, UsageKind.OLD_TEMPLATE_VERSION]


def test_aliases_of_launchers_and_of_versions_are_both_asked_for() -> None:
    assert aliases_in([group("web", PLAIN)], [version(1, PINNED)]) == [PLAIN, PINNED]
