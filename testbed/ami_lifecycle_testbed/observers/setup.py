"""Observers of an emulated account with this project's stack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from ami_lifecycle_testbed.observers.account_view import AccountView, Settings, Source, Workings
from ami_lifecycle_testbed.observers.approvals import Approvals
from ami_lifecycle_testbed.observers.observers import Observers
from ami_lifecycle_testbed.observers.scan_gate import ScanGate
from ami_lifecycle_testbed.promises.view import DIGEST_TAG
from aws_emulator.api.operations import ApiError
from aws_emulator.project import Services

_KEY: Final = "environment#"
_OBSERVER: Final = "observer"
# With one of these a person has said what to build, so that it need not be the newest.
_EXPLICIT: Final = ("force", "fresh", "image_digest", "image_tag", "publish_image_id")


def observe(emulator: Services, build_config: Path, repository: str) -> Observers:
    """Have observers watch an account whose stack is deployed.

    Args:
        build_config: the file that says which environments there are and what they are built from.
        repository: the account's ECR repository.
    """
    content = yaml.safe_load(build_config.read_text(encoding="utf-8")) if build_config.is_file() else {}
    application = str(content.get("application", ""))
    settings = {name: own or {} for name, own in (content.get("environments") or {}).items()}
    defaults = content.get("defaults") or {}

    def protects(name: str, *, otherwise: bool) -> bool:
        """Whether every environment does."""
        return all(
            _setting(own, defaults, "retirement", name, otherwise=otherwise) for own in settings.values()
        )

    promoted = frozenset(
        name for name, own in settings.items() if {**defaults, **own}.get("publishes") == "promotions"
    )
    approvals = Approvals(
        pushes=_asking(settings, defaults, "pushes"),
        promotions=_asking(settings, defaults, "promotions"),
        promoted=promoted,
        items=lambda: _items_as_kept(emulator),
    )
    scan = _scan_gate(emulator, settings, defaults, repository)
    view = AccountView(
        emulator.ec2,
        emulator.auto_scaling,
        emulator.parameter_store,
        emulator.run_command,
        emulator.registry,
        emulator.clock.elapsed,
        Settings(
            application,
            sources={name: _source(content, name, repository) for name in settings},
            promoted=promoted,
            unverified=frozenset(
                name
                for name, own in settings.items()
                if not _setting(own, defaults, "verification", "enabled", otherwise=True)
            ),
            hooked=frozenset(
                name
                for name, own in settings.items()
                if _setting(own, defaults, "hooks", "verify", otherwise=False)
            ),
            soaks={
                name: timedelta(
                    minutes=_setting(own, defaults, "rollback_on_alarm", "soak_minutes", otherwise=60)
                )
                for name, own in settings.items()
                if _setting(own, defaults, "rollback_on_alarm", "alarms", otherwise=None)
            },
            protects_instances=protects("protect_running_instances", otherwise=False),
            protects_permissions=protects("protect_launch_permissions", otherwise=True),
        ),
        Workings(
            items=lambda: _items(emulator),
            is_running=lambda arn: _is_running(emulator, arn),
            is_forced=lambda arn: _is_forced(emulator, arn),
            package_lists=lambda: [key for _, key in emulator.buckets.objects()],
            gates={"approval": approvals.has_passed, "scan": scan},
            waits_at_gate=lambda name, digest: (
                approvals.waits(name, digest) or not scan(name, {DIGEST_TAG: digest})
            ),
        ),
    )
    observers = Observers(view, lambda caller: emulator.identities.role_of(caller) is not None)
    observers.attach(emulator.gateway)
    emulator.bus.taps.append(observers.notice_event)
    return observers


def _scan_gate(
    emulator: Services, settings: Mapping[str, Any], defaults: Mapping[str, Any], repository: str
) -> ScanGate:
    gated = {}
    for name, own in settings.items():
        if "scan" not in {**defaults, **own}:
            continue
        below, above = defaults.get("scan") or {}, own.get("scan") or {}
        limits = {**(below.get("max_findings") or {}), **(above.get("max_findings") or {})}
        merged = {**below, **above, "max_findings": limits}
        if merged.get("enabled", True):
            architecture = _setting(own, defaults, "builder", "architecture", otherwise=False)
            gated[name] = (merged, architecture or "x86_64")
    return ScanGate(emulator.registry, dict.fromkeys(settings, repository), gated, emulator.clock.now)


def _source(content: Mapping[str, Any], environment: str, repository: str) -> Source:
    pattern = str(content.get("image_tag", "{environment}-latest"))
    names = {"environment": environment, "application": content.get("application", "")}
    return Source(repository, pattern.format_map(names))


def _setting(
    own: Mapping[str, Any], defaults: Mapping[str, Any], part: str, name: str, *, otherwise: Any
) -> Any:
    for settings in (own, defaults):
        if name in (settings.get(part) or {}):
            return settings[part][name]
    return otherwise


def _asking(
    settings: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any], what: str
) -> frozenset[str]:
    """The environments in which this has to be approved."""
    return frozenset(
        name for name, own in settings.items() if _setting(own, defaults, "approval", what, otherwise=False)
    )


def _items(emulator: Services) -> dict[str, dict[str, Any]]:
    return {
        key.removeprefix(_KEY): {name: value for name, value in item.items() if value != {"NULL": True}}
        for key, item in _all_items(emulator).items()
        if key.startswith(_KEY)
    }


def _items_as_kept(emulator: Services) -> dict[str, dict[str, Any]]:
    """All items, read in the middle of a function's call, in which nothing else may be called."""
    from moto.backends import get_backend  # noqa: PLC0415 - slow to import

    tables = get_backend("dynamodb")[emulator.account_id][emulator.region].tables
    kept = [each.to_json()["Attributes"] for table in list(tables.values()) for each in table.all_items()]
    return {item.get("pk", {}).get("S", ""): item for item in kept}


def _all_items(emulator: Services) -> dict[str, dict[str, Any]]:
    return {
        item.get("pk", {}).get("S", ""): item
        for table in emulator.stack.physical_ids("AWS::DynamoDB::Table").values()
        for item in _scan(emulator, table)
    }


def _scan(emulator: Services, table: str) -> Iterator[dict[str, Any]]:
    request: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
    while request:
        page = emulator.api.call(_OBSERVER, "dynamodb", "Scan", request)
        yield from page["Items"]
        last = page.get("LastEvaluatedKey")
        request = {**request, "ExclusiveStartKey": last} if last else {}


def _is_running(emulator: Services, arn: str) -> bool:
    return bool(_execution(emulator, arn).get("status") == "RUNNING")


def _is_forced(emulator: Services, arn: str) -> bool:
    request = json.loads(_execution(emulator, arn).get("input", "{}"))
    return isinstance(request, dict) and any(request.get(name) for name in _EXPLICIT)


def _execution(emulator: Services, arn: str) -> dict[str, Any]:
    try:
        return emulator.api.call(_OBSERVER, "stepfunctions", "DescribeExecution", {"executionArn": arn})
    except ApiError:
        return {}
