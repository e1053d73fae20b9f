"""Values of parameters for a limited time: read together, once, by one thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from parameter_config.errors import ConfigTransientError
from parameter_config.parameter_store import ParameterStore, ParameterVersion

_LOGGER = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True)
class CachedParameter:
    """What is known about one name: the parameter, or None where none exists."""

    parameter: ParameterVersion | None
    read_at: float
    stale: bool = False


_ABSENT: Final = CachedParameter(None, 0.0)


class ParameterCache:
    """Serves parameters from memory for `ttl_seconds`. Safe under threads.

    The first thread that needs a value reads every value that is due, and the others wait for it.

    Args:
        store: where values come from; None serves nothing, so that defaults apply.
        ttl_seconds: how long a value, or its absence, is believed.
        allow_stale: whether a value past its time is served, with a warning in the log, while
            Parameter Store does not answer. Without it the error is raised.
    """

    def __init__(self, store: ParameterStore | None, ttl_seconds: float, allow_stale: bool) -> None:
        self.store = store
        self._ttl_seconds = ttl_seconds
        self._allow_stale = allow_stale
        self._entries: dict[str, CachedParameter] = {}
        self._retry_at = float("-inf")
        self._lock = threading.Lock()

    def look_up(self, name: str, together: Iterable[str]) -> CachedParameter:
        """The parameter `name`; when it must be read, the names in `together` are read with it.

        Raises:
            ConfigError: Parameter Store could not be read; see `ParameterStore`.
        """
        if self.store is None:
            return _ABSENT
        entry = self._entries.get(name)
        if entry is not None and self._is_fresh(entry, self.store):
            return entry
        with self._lock:
            return self._look_up_alone(self.store, name, together)

    def expire(self) -> None:
        """Have every value read again when it is next needed."""
        with self._lock:
            self._retry_at = float("-inf")
            self._entries = {
                name: CachedParameter(entry.parameter, float("-inf")) for name, entry in self._entries.items()
            }

    def _look_up_alone(self, store: ParameterStore, name: str, together: Iterable[str]) -> CachedParameter:
        entry = self._entries.get(name)
        if entry is not None and self._is_fresh(entry, store):
            return entry
        may_serve_stale = self._allow_stale and entry is not None
        if entry is not None and may_serve_stale and store.clock.now() < self._retry_at:
            return CachedParameter(entry.parameter, entry.read_at, stale=True)
        try:
            self._read(store, [name, *together])
        except ConfigTransientError as error:
            if entry is None or not may_serve_stale:
                raise
            self._retry_at = store.clock.now() + _RETRY_SECONDS
            _LOGGER.warning("Serving configuration values past their time: %s", error)
            return CachedParameter(entry.parameter, entry.read_at, stale=True)
        return self._entries[name]

    def _is_fresh(self, entry: CachedParameter, store: ParameterStore) -> bool:
        return store.clock.now() - entry.read_at < self._ttl_seconds

    def _read(self, store: ParameterStore, names: list[str]) -> None:
        due = [
            name
            for name in dict.fromkeys(names)
            if (entry := self._entries.get(name)) is None or not self._is_fresh(entry, store)
        ]
        found = store.read(due)
        read_at = store.clock.now()
        self._entries.update((name, CachedParameter(found.get(name), read_at)) for name in due)
