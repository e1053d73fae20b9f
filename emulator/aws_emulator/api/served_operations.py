"""The operations that are implemented here, found in the sources of this package."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_SERVED: Final = re.compile(r'@operation\(\s*"(\w+)",\s*"(\w+)"')


def served_operations() -> dict[str, list[str]]:
    """The operations that have a strict handler, by service."""
    found = defaultdict(set)
    for path in _PACKAGE.rglob("*.py"):
        for service, operation in _SERVED.findall(path.read_text(encoding="utf-8")):
            found[service].add(operation)
    return {service: sorted(found[service]) for service in sorted(found)}
