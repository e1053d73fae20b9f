"""What the emulator serves, its tests call."""

from __future__ import annotations

import re
from pathlib import Path

from botocore import xform_name

EMULATOR = Path(__file__).resolve().parents[2]
SERVED = re.compile(r'@operation\(\s*"(\w+)",\s*"(\w+)"')


def texts(folder: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in (EMULATOR / folder).rglob("*.py"))


def test_every_served_operation_is_called_by_a_test() -> None:
    served = {operation for _, operation in SERVED.findall(texts("aws_emulator"))}
    tests = texts("tests")
    missing = {name for name in served if not re.search(rf"\b({name}|{xform_name(name)})\b", tests)}
    assert not missing, "call them in a test with the source of what they do, or delete them"
