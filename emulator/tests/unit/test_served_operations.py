"""What the emulator serves, its tests call."""

from __future__ import annotations

import re
from pathlib import Path

from botocore import xform_name

from aws_emulator.api.served_operations import served_operations

TESTS = Path(__file__).resolve().parents[1]


def test_every_served_operation_is_called_by_a_test() -> None:
    served = {operation for operations in served_operations().values() for operation in operations}
    tests = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    missing = {name for name in served if not re.search(rf"\b({name}|{xform_name(name)})\b", tests)}
    assert not missing, "call them in a test with the source of what they do, or delete them"
