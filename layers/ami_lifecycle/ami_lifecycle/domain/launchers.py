"""Uses of images by launchers (groups, fleets, Spot requests) and by versions of launch templates.

A version of a launch template is in use when `$Latest` or `$Default` is that version, when a group, a fleet or
a refresh names its number, or when its image is an alias with a version or label: whoever wrote such an alias
meant that image. Any other version is an old one: nothing launches it by itself, and the settings say whether
it counts (docs/decisions).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ami_lifecycle.domain.model import Frozen, ImageUse, UsageKind

ALIAS_PREFIX: Final = "resolve:ssm:"
# `resolve:ssm:name:3`, `resolve:ssm:name:label`, and the ARN form (EC2 user guide, Use a Systems Manager
# parameter instead of an AMI ID).
_PINNED: Final = re.compile(r"^resolve:ssm:(?:[^:]+|arn:[^:]+:ssm:[^:]*:[^:]*:parameter/[^:]+):[^:]+$")
_SHOWN: Final = 5
# Remedies, by kind of launcher that names an image itself.
_REMEDIES: Final[Mapping[UsageKind, str]] = {
    UsageKind.AUTO_SCALING_GROUP: "give its overrides another image",
    UsageKind.INSTANCE_REFRESH: "it counts until the refresh has ended",
    UsageKind.FLEET: "modify or delete the fleet",
    UsageKind.SPOT_FLEET: "cancel the request",
    UsageKind.SPOT_REQUEST: "cancel the request",
    UsageKind.LAUNCH_CONFIGURATION: "delete the launch configuration",
}


class TemplateReference(Frozen):
    """A launch template by id or name, and a version: a number, `$Latest` or `$Default`."""

    template: str
    version: str = "$Default"


class Launcher(Frozen):
    """Something that launches instances automatically: a group, a refresh, a fleet, a Spot request, a launch
    configuration.

    Attributes:
        images: image ids and aliases that it names directly.
    """

    kind: UsageKind
    name: str
    images: tuple[str, ...] = ()
    templates: tuple[TemplateReference, ...] = ()


class TemplateVersion(Frozen):
    """One version of a launch template; `image` is an id, an alias, or None where the launcher has it."""

    template_id: str
    name: str
    number: int
    is_latest: bool
    is_default: bool
    image: str | None = None


class Resolution(Frozen):
    """The value of an alias's parameter; None if the parameter or the version does not exist.

    Attributes:
        is_known: False if it could not be read, and so may name any image.
    """

    value: str | None = None
    is_known: bool = True


def is_alias(image: str) -> bool:
    """Whether an ImageId is the name of a parameter."""
    return image.startswith(ALIAS_PREFIX)


def aliases_in(launchers: Iterable[Launcher], versions: Iterable[TemplateVersion]) -> list[str]:
    """All aliases that launchers and versions name, once each."""
    named = [image for launcher in launchers for image in launcher.images]
    named += [version.image for version in versions if version.image]
    return list(dict.fromkeys(image for image in named if is_alias(image)))


def uses_by_launchers(
    image_ids: Sequence[str],
    launchers: Sequence[Launcher],
    versions: Sequence[TemplateVersion],
    resolutions: Mapping[str, Resolution],
) -> Iterator[tuple[str, ImageUse]]:
    """The uses of images by launchers and versions of templates.

    A launcher that names a template or a version that does not exist can launch nothing from it.
    """
    for launcher in launchers:
        for image in launcher.images:
            text = f"{launcher.name}{_via(image)}: {_REMEDIES[launcher.kind]}"
            yield from _naming(image, ImageUse(kind=launcher.kind, resource=text), image_ids, resolutions)
    users = _users_by_number(launchers, versions)
    old: dict[tuple[str, str], list[TemplateVersion]] = defaultdict(list)
    for version in versions:
        if version.image is None:
            continue
        reasons, remedies = _why_in_use(version, users.get((version.template_id, version.number), []))
        if reasons:
            text = (
                f"{_template(version)} version {version.number}{_via(version.image)}, "
                f"{' and '.join(reasons)}: {' and '.join(remedies)}"
            )
            use = ImageUse(kind=UsageKind.LAUNCH_TEMPLATE, resource=text)
            yield from _naming(version.image, use, image_ids, resolutions)
            continue
        resolution = _resolved(version.image, resolutions)
        for image_id in image_ids if not resolution.is_known else [resolution.value]:
            if image_id is not None:
                old[version.template_id, image_id].append(version)
    for (_, image_id), found in old.items():
        yield image_id, ImageUse(kind=UsageKind.OLD_TEMPLATE_VERSION, resource=_old(found))


def _naming(
    image: str, use: ImageUse, image_ids: Sequence[str], resolutions: Mapping[str, Resolution]
) -> Iterator[tuple[str, ImageUse]]:
    resolution = _resolved(image, resolutions)
    if resolution.is_known:
        if resolution.value is not None:
            yield resolution.value, use
        return
    unknown = ImageUse(
        kind=UsageKind.UNKNOWN,
        resource=f"ssm:GetParameters could not read what {image} names, for {use.kind.value} {use.resource}",
    )
    yield from ((image_id, unknown) for image_id in image_ids)


def _resolved(image: str, resolutions: Mapping[str, Resolution]) -> Resolution:
    if not is_alias(image):
        return Resolution(value=image)
    return resolutions.get(image, Resolution(is_known=False))


def _users_by_number(
    launchers: Iterable[Launcher], versions: Sequence[TemplateVersion]
) -> dict[tuple[str, int], list[str]]:
    """Launchers that name a version by its number."""
    ids = {version.name: version.template_id for version in versions}
    users: dict[tuple[str, int], list[str]] = defaultdict(list)
    for launcher in launchers:
        for reference in launcher.templates:
            if reference.version.isdigit():
                template_id = ids.get(reference.template, reference.template)
                users[template_id, int(reference.version)].append(f"{launcher.kind.value} {launcher.name}")
    return users


def _why_in_use(version: TemplateVersion, users: Sequence[str]) -> tuple[list[str], list[str]]:
    """Why a version can be launched, and the remedies; empty for an old version."""
    reasons, remedies = [], []
    match version.is_latest, version.is_default:
        case True, True:
            reasons.append("which is $Latest and $Default")
            remedies.append("add a version with another image and make it the default")
        case True, False:
            reasons.append("which is $Latest")
            remedies.append("add a version with another image")
        case False, True:
            reasons.append("which is $Default")
            remedies.append("make another version the default")
    if users:
        reasons.append(f"which {_listed(list(dict.fromkeys(users)))} launches")
        remedies.append("let that launch another version")
    if version.image is not None and _PINNED.match(version.image) and not reasons:
        reasons.append("whose alias has a version or label")
        remedies.append("delete that version of the template")
    return reasons, remedies


def _old(versions: Sequence[TemplateVersion]) -> str:
    numbers = [str(version.number) for version in sorted(versions, key=lambda each: each.number)]
    word = "version" if len(numbers) == 1 else "versions"
    return f"{_template(versions[0])}, {word} {_listed(numbers)}: delete what nobody will launch again"


def _template(version: TemplateVersion) -> str:
    return f"{version.template_id} ({version.name})"


def _via(image: str) -> str:
    return f" by {image}" if is_alias(image) else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
