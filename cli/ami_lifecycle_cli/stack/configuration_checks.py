"""Check of a checkout's configuration: whether it is what is deployed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from ami_lifecycle_cli.stack.deployed_configuration import differences, files_of
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.findings import Check, Finding, Level
from parameter_config.documents import load_plain_yaml

_USUAL: Final = Path("config")
_BUILD: Final = "build_config.yml"
_AREA: Final = "configuration"
# As many as fit on a screen; of more, the number is shown.
_NAMED: Final = 12


def comparison_with(directory: Path | None) -> Check:
    """A check that compares a directory, or `config` where that is this stack's, with what is deployed."""

    def compare(stack: Stack) -> Iterator[Finding]:
        local = directory or _USUAL
        if not local.is_dir():
            if directory is not None:
                yield Finding(Level.ERROR, _AREA, f"{directory} is not a directory", "correct --config-dir")
            return
        files = files_of(local)
        if directory is None and _application(files) != stack.application:
            return
        found = list(differences(stack.configuration_files, files))
        if not found:
            yield Finding(Level.OK, _AREA, f"{local} is what is deployed")
            return
        more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        yield Finding(
            Level.WARNING,
            _AREA,
            f"local differs from deployed: {'; '.join(found[:_NAMED])}{more}",
            f"deploy {local}, or bring the checkout to what is deployed; commands go by what is deployed",
        )

    return compare


def _application(files: Mapping[str, bytes]) -> Any:
    try:
        build = load_plain_yaml(files.get(_BUILD, b"").decode())
    except (UnicodeDecodeError, yaml.YAMLError):
        return None
    return build.get("application") if isinstance(build, dict) else None
