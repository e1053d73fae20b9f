"""What an examination finds, and how examinations are run: one that fails does not keep the others from running."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from ami_lifecycle.errors import AmiLifecycleError
from ami_lifecycle_cli.stack.deployment import Stack


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that was found, and what to do about it."""

    level: Level
    area: str
    message: str
    remedy: str = ""


Check = Callable[[Stack], Iterator[Finding]]


def run_checks(stack: Stack, checks: Sequence[tuple[str, Check]]) -> Iterator[Finding]:
    """Run examinations, one after the other."""
    reported: set[str] = set()
    for area, check in checks:
        try:
            yield from check(stack)
        except AmiLifecycleError as error:
            # One setting that is wrong keeps several from looking, and is one finding.
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
