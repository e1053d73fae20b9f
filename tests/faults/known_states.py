"""Cases that come to the same state are followed to their end once.

Most faults are got over in the step that they befall: what follows is what followed in the case before. When the
fault of a case is over and the account is between two steps, its state is looked up (`tests/faults/states.py`); a
case whose state another one was in ends there, and gets the verdict of the one that it has joined.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tests.faults.runner import Result


class Met(NamedTuple):
    """Who has been in a state: the number of the case, and how many of its executions had ended by then."""

    case: int
    ended: int


class KnownStates:
    """The states that cases have come to: a file that the processes of all of them read and append to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._read = 0
        self._met: dict[str, Met] = {}

    def before(self, digest: str, case: int) -> Met | None:
        """Who has been in a state, of the cases with a lower number; so nobody joins who joins him."""
        self._catch_up()
        met = self._met.get(digest)
        return met if met is not None and met.case < case else None

    def note(self, digest: str, met: Met) -> None:
        """Write down that a case is in a state."""
        os.write(self._file, f"{digest} {met.case} {met.ended}\n".encode())

    def _catch_up(self) -> None:
        while data := os.pread(self._file, 1 << 20, self._read):
            whole = data[: data.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.decode().splitlines():
                digest, case, ended = line.split()
                met = Met(int(case), int(ended))
                known = self._met.get(digest)
                if known is None or met.case < known.case:
                    self._met[digest] = met


def resolved(results: Sequence[Result | None]) -> list[Result]:
    """Results by the numbers of their cases, each with what came of the case that it has joined."""
    whole: list[Result] = []
    for result in results:
        assert result is not None, "a case has not ended"
        joined = None if result.joined is None else whole[result.joined]
        if joined is None:
            whole.append(result)
            continue
        whole.append(
            replace(
                result,
                swept=result.swept or joined.swept,
                statuses=[*result.statuses, *joined.statuses[result.shared :]],
                violations=[*result.violations, *joined.violations],
            )
        )
    return whole
