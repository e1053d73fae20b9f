"""Configuration directories for tests: many environments, short waits."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ami_lifecycle_testbed.durations import BuildDurations

PROJECT = Path(__file__).resolve().parents[2]
# One emulated second takes this long. Much smaller, and a Lambda retry after a minute would come while
# the function before it still runs, which no AWS account shows.
TIME_SCALE = 0.01
# Emulated seconds: long enough that every wait is a wait, short enough for many builds.
DURATIONS = BuildDurations(
    instance_running=1, agent_online=4, canary_online=4, provision=6, verify=4, stop=3, terminate=3, image=8
)
_DEFAULTS: dict[str, Any] = {
    "builder": {"agent_boot_seconds": 3},
    "publication": {"grace_period_seconds": 3},
    # A sweep in one test must not build again what another test has made fail.
    "reconcile_attempts": 0,
}

# For tests that sweep: a sweep looks at every environment, so there are few.
FEW_ENVIRONMENTS: dict[str, Any] = {
    "environments": {
        "pruned": {"publication": {"history_to_keep": 2}},
        **{f"env-{number:02}": {} for number in range(20)},
    },
    "defaults": {"reconcile_attempts": 2},
}


def write_configuration(
    directory: Path,
    environments: Mapping[str, Any] | Sequence[str],
    defaults: Mapping[str, Any] | None = None,
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """Write a configuration directory with these environments."""
    build = yaml.safe_load((PROJECT / "config" / "build_config.yml").read_text())
    named = environments if isinstance(environments, Mapping) else {name: {} for name in environments}
    build["environments"] = copy.deepcopy(dict(named))
    for part in (_DEFAULTS, defaults or {}):
        _merge(build["defaults"], part)
    (directory / "hooks").mkdir(parents=True, exist_ok=True)
    for name, text in (scripts or {}).items():
        (directory / "hooks" / name).write_text(text)
    (directory / "build_config.yml").write_text(yaml.safe_dump(build))
    shutil.copy(PROJECT / "config" / "aws_config.yml", directory)
    return directory


def _merge(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, Mapping):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
