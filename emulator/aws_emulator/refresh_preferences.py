"""The preferences of an instance refresh, as EC2 Auto Scaling takes them (API reference, RefreshPreferences)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError
from aws_emulator.ec2.launch_templates import version_of
from aws_emulator.ec2.store import Ec2Store

_SUPPORTED: Final = (
    "AlarmSpecification",
    "AutoRollback",
    "CheckpointDelay",
    "CheckpointPercentages",
    "MinHealthyPercentage",
)
_MOST_ALARMS: Final = 10
_LONGEST_DELAY: Final = 172_800


def checked_preferences(
    ec2: Ec2Store, asked: Mapping[str, Any], group: Mapping[str, Any], desired: Mapping[str, Any]
) -> dict[str, Any]:
    """The preferences that were asked for.

    Args:
        group: what the group launches.
        desired: what it is to launch after the refresh, as AWS shows it; empty where that stays as it is.
    """
    refuse_unsupported_parameters("autoscaling", "StartInstanceRefresh", asked, _SUPPORTED)
    percentages = asked.get("CheckpointPercentages")
    if percentages is not None and (
        not percentages
        or list(percentages) != sorted(set(percentages))
        or not 1 <= percentages[0] <= percentages[-1] <= 100
    ):
        raise _invalid("CheckpointPercentages must be unique numbers from 1 to 100 in ascending order.")
    if "CheckpointDelay" in asked and percentages is None:
        raise _invalid("CheckpointDelay needs CheckpointPercentages.")
    if not 0 <= asked.get("CheckpointDelay", 0) <= _LONGEST_DELAY:
        raise _invalid(f"CheckpointDelay must be from 0 to {_LONGEST_DELAY}.")
    if not 0 <= asked.get("MinHealthyPercentage", 90) <= 100:
        raise _invalid("MinHealthyPercentage must be from 0 to 100.")
    if len((asked.get("AlarmSpecification") or {}).get("Alarms", ())) > _MOST_ALARMS:
        raise _invalid(f"An instance refresh watches {_MOST_ALARMS} alarms at most.")
    if asked.get("AutoRollback"):
        _check_rollback(ec2, group, desired)
    return dict(asked)


def _check_rollback(ec2: Ec2Store, group: Mapping[str, Any], desired: Mapping[str, Any]) -> None:
    """Refuse a rollback that is not supported. AWS's words are known of the first refusal alone."""
    if not desired:
        raise _invalid(
            "The AutoRollback parameter cannot be set to true when the DesiredConfiguration parameter is empty."
        )
    for reference in (*_templates_of(group), *_templates_of(desired)):
        if reference.get("Version", "$Default") in {"$Latest", "$Default"}:
            raise _invalid("AutoRollback needs a numbered version of the launch template.")
        if _image_of(ec2, reference).startswith("resolve:ssm:"):
            raise _invalid("AutoRollback does not work with a launch template that names a parameter.")


def _templates_of(source: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    """The launch templates that a group or a desired configuration names."""
    policy = (source.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    named = [source.get("LaunchTemplate")]
    named += [each.get("LaunchTemplateSpecification") for each in (policy, *policy.get("Overrides", ()))]
    return (each for each in named if each)


def _image_of(ec2: Ec2Store, reference: Mapping[str, str]) -> str:
    # Both show the id and the name of its template, and a look-up takes one of them.
    known = {key: value for key, value in reference.items() if key != "LaunchTemplateName"}
    _, version = version_of(ec2, known)
    return str(version.data.get("ImageId") or "")


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message)
