"""Findings of `doctor`, and the runner of its checks: one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from ami_lifecycle.errors import AmiLifecycleError
from ami_lifecycle_cli.stack.deployment import Stack


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """A finding and its remedy."""

    level: Level
    area: str
    message: str
    remedy: str = ""


Check = Callable[[Stack], Iterator[Finding]]


def run_checks(stack: Stack, checks: Sequence[tuple[str, Check]]) -> Iterator[Finding]:
    """Run checks in order."""
    reported: set[str] = set()
    for area, check in checks:
        try:
            yield from check(stack)
        except AmiLifecycleError as error:
            # One wrong setting can fail several checks; it is reported once.
            if str(error) not in reported:
                yield Finding(Level.ERROR, area, str(error))
            reported.add(str(error))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            yield Finding(
                Level.UNKNOWN,
                area,
                f"{error.operation_name} was refused: {code}",
                f"grant yourself {error.operation_name}, or look in the console",
            )
        except BotoCoreError as error:
            yield Finding(Level.UNKNOWN, area, f"could not be looked at: {error}", "check network and Region")
