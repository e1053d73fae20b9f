"""SSM Parameter Store, as a configuration needs it: paced, retried, in our own types and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from ami_lifecycle.config.aws_errors import translated
from ami_lifecycle.config.errors import ThrottledError
from ami_lifecycle.config.pacing import READS_PER_SECOND, WRITES_PER_SECOND, Clock, Pacer, SystemClock

BATCH: Final = 10
_THREADS: Final = 8
_ATTEMPTS: Final = 8
_FIRST_DELAY_SECONDS: Final = 0.25
_LONGEST_DELAY_SECONDS: Final = 8.0
_T = TypeVar("_T")


@dataclass(frozen=True)
class StoredParameter:
    """One version of a parameter. `text` is hidden from `repr`: it may be a SecureString's."""

    name: str
    text: str = field(repr=False)
    version: int
    type: str
    changed_at: datetime | None = None
    changed_by: str = ""

    @property
    def sensitive(self) -> bool:
        """Whether the value is stored encrypted, and so must not be shown."""
        return self.type == "SecureString"


class ParameterStore:
    """Reads and writes parameters within the account's request rates.

    Args:
        client: a boto3 SSM client, or a function that makes one when it is first needed.
        clock: the time to pace by.

    All methods raise `AccessDeniedError`, `ThrottledError`, `ServiceUnavailableError`,
    `CredentialsError` and `StoreRequestError` of `errors`.
    """

    def __init__(self, client: Callable[[], Any], clock: Clock | None = None) -> None:
        self._make_client = client
        self._made_client: Any = None
        self.clock: Clock = clock or SystemClock()
        self._reads = Pacer(READS_PER_SECOND, self.clock)
        self._writes = Pacer(WRITES_PER_SECOND, self.clock)
        self._deletes = Pacer(WRITES_PER_SECOND, self.clock)

    @property
    def _client(self) -> Any:
        if self._made_client is None:
            with translated("ssm:GetParameters", "Parameter Store"):
                self._made_client = self._make_client()
        return self._made_client

    def read(self, names: Iterable[str]) -> dict[str, StoredParameter]:
        """Read the current versions of parameters, ten to a call; names that do not exist are left out.

        Source: GetParameters takes at most 10 names. Duplicates are asked for once.
        """
        unique = list(dict.fromkeys(names))
        batches = [unique[start : start + BATCH] for start in range(0, len(unique), BATCH)]
        found: dict[str, StoredParameter] = {}
        for parameters in self._in_parallel(batches):
            found.update((parameter.name, parameter) for parameter in parameters)
        return found

    def _in_parallel(self, batches: Sequence[list[str]]) -> Iterator[list[StoredParameter]]:
        """One call at a time takes a round trip each, which is slower than the account's rate allows."""
        if len(batches) < 2:
            yield from map(self._read_batch, batches)
            return
        _ = self._client
        with ThreadPoolExecutor(min(_THREADS, len(batches)), "parameter-store") as pool:
            try:
                yield from pool.map(self._read_batch, batches)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _read_batch(self, names: list[str]) -> list[StoredParameter]:
        response = self._call(
            self._reads,
            "ssm:GetParameters",
            ", ".join(names),
            lambda client: client.get_parameters(Names=names, WithDecryption=True),
        )
        return [_stored(parameter) for parameter in response["Parameters"]]

    def _call(
        self,
        pacer: Pacer,
        action: str,
        resource: str,
        request: Callable[[Any], _T],
        attempts: int = _ATTEMPTS,
    ) -> _T:
        """Make a paced call; wait longer after each throttle, and give up after a number of them."""
        client = self._client
        delay = _FIRST_DELAY_SECONDS
        for attempt in range(1, attempts + 1):
            pacer.wait()
            try:
                with translated(action, resource):
                    response = request(client)
            except ThrottledError:
                if attempt == attempts:
                    raise
                pacer.throttled(delay)
                delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
            else:
                pacer.succeeded()
                return response
        raise AssertionError("the last attempt returns or raises")


def _stored(parameter: dict[str, Any]) -> StoredParameter:
    return StoredParameter(
        name=parameter["Name"],
        text=parameter["Value"],
        version=parameter["Version"],
        type=parameter["Type"],
        changed_at=parameter.get("LastModifiedDate"),
        changed_by=parameter.get("LastModifiedUser", ""),
    )
