"""Several things, one after the other: one that is refused is reported as blocked, and the others go on.

Every loop of a step that asks AWS about several things, or changes them, goes through here; a test reads the
steps for loops that do not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ami_lifecycle.domain.decision import Blocked
from ami_lifecycle.errors import AmiLifecycleError, ClaimLostError, TransientError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_LOGGER = logging.getLogger(__name__)


@dataclass
class BatchResult(Generic[_Result]):
    """What became of each thing: done, blocked until a person does something, or failed for now."""

    done: list[_Result] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    transient: list[TransientError] = field(default_factory=list)

    def add(self, item: _Item, name_of: Callable[[_Item], str], act: Callable[[_Item], _Result]) -> None:
        """Do it for one more thing.

        Raises:
            ClaimLostError: nothing may be done for the others either.
        """
        try:
            self.done.append(act(item))
        except ClaimLostError:
            raise
        except TransientError as error:
            self.transient.append(error)
        except AmiLifecycleError as error:
            self.blocked.append(blocked_by(error, name_of(item)))
        except (
            Exception
        ) as error:  # an answer that our table of errors does not know is about this thing alone
            _LOGGER.exception("%s: an error that this service does not name", name_of(item))
            self.blocked.append(blocked_by(error, name_of(item)))

    def raise_transient(self) -> None:
        """Fail for what failed for now, once all else is done; the step is repeated then.

        Raises:
            TransientError: in its kinds; the first that there was.
        """
        if self.transient:
            raise self.transient[0]


def process_each(
    items: Iterable[_Item], name_of: Callable[[_Item], str], act: Callable[[_Item], _Result]
) -> BatchResult[_Result]:
    """Do something for each thing. Whoever calls this looks at `transient`, after what else it has to do.

    Args:
        name_of: what a person finds the thing by, such as its id.
    """
    result: BatchResult[_Result] = BatchResult()
    for item in items:
        result.add(item, name_of, act)
    return result


def raise_transient(*results: BatchResult[Any]) -> None:
    """Fail for the first thing of all these that failed for now."""
    for result in results:
        result.raise_transient()


def blocked_by(error: Exception, resource: str) -> Blocked:
    """A thing that stays as it is because of this error, whose message names the remedy."""
    reason = str(error)
    if not isinstance(error, AmiLifecycleError):
        reason = (
            f"{reason.rstrip('. ')}. AWS answers with what this service does not know: look the error up, and put "
            "right what it names; it is tried again later."
        )
    return Blocked(resource=resource, error=type(error).__name__, reason=reason)
