"""Batches with partial failure: an item that AWS refuses is reported as blocked, and the others are processed.

Every loop of a step that calls AWS for several items goes through here; a test finds loops that do not.
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
    """The outcome of each item: done, blocked until somebody acts, or failed with a transient error."""

    done: list[_Result] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    transient: list[TransientError] = field(default_factory=list)

    def add(self, item: _Item, name_of: Callable[[_Item], str], act: Callable[[_Item], _Result]) -> None:
        """Process one more item.

        Raises:
            ClaimLostError: the others may not be processed either.
        """
        try:
            self.done.append(act(item))
        except ClaimLostError:
            raise
        except TransientError as error:
            self.transient.append(error)
        except AmiLifecycleError as error:
            self.blocked.append(blocked_by(error, name_of(item)))
        except Exception as error:  # an error that the table of errors does not know concerns this item alone
            _LOGGER.exception("%s: an error that this service does not name", name_of(item))
            self.blocked.append(blocked_by(error, name_of(item)))

    def raise_transient(self) -> None:
        """Raise the first transient error, once all other items are done; the state machine then retries the step.

        Raises:
            TransientError: the first one.
        """
        if self.transient:
            raise self.transient[0]


def process_each(
    items: Iterable[_Item], name_of: Callable[[_Item], str], act: Callable[[_Item], _Result]
) -> BatchResult[_Result]:
    """Process each item. The caller checks `transient` after its other work.

    Args:
        name_of: the item's name in reports, such as a resource id.
    """
    result: BatchResult[_Result] = BatchResult()
    for item in items:
        result.add(item, name_of, act)
    return result


def raise_transient(*results: BatchResult[Any]) -> None:
    """Raise the first transient error of several batches."""
    for result in results:
        result.raise_transient()


def blocked_by(error: Exception, resource: str) -> Blocked:
    """The report of a resource that stays as it is because of this error."""
    reason = str(error)
    if not isinstance(error, AmiLifecycleError):
        reason = (
            f"{reason.rstrip('. ')}. AWS answers with what this service does not know: look the error up, and put "
            "right what it names; it is tried again later."
        )
    return Blocked(resource=resource, error=type(error).__name__, reason=reason)
