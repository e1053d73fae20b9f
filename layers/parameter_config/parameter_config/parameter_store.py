"""SSM Parameter Store, as a configuration needs it: paced, retried, in our own types and errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from parameter_config.aws_errors import translated
from parameter_config.errors import (
    AccessDeniedError,
    ParameterRecentlyDeletedError,
    StoreRequestError,
    ThrottledError,
    VersionNotFoundError,
)
from parameter_config.rate_limit import READS_PER_SECOND, WRITES_PER_SECOND, Clock, MonotonicClock, Pacer

BATCH: Final = 10
PAGE: Final = 50
_THREADS: Final = 8
_ATTEMPTS: Final = 8
_FIRST_DELAY_SECONDS: Final = 0.25
_LONGEST_DELAY_SECONDS: Final = 8.0
_SNAKE = re.compile(r"(?<!^)(?=[A-Z])")
_T = TypeVar("_T")


@dataclass(frozen=True)
class ParameterVersion:
    """One version of a parameter, changed at a time in UTC.

    `text` is hidden from `repr`: it may be a SecureString's.
    """

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


@dataclass(frozen=True)
class StoredAttributes:
    """What a parameter is beside its value (DescribeParameters)."""

    name: str
    type: str
    tier: str
    description: str
    allowed_pattern: str | None
    data_type: str
    key_id: str | None


@dataclass(frozen=True)
class NewParameter:
    """A parameter to create."""

    name: str
    text: str = field(repr=False)
    type: str
    description: str
    tags: Mapping[str, str]
    tier: str = "Standard"
    allowed_pattern: str | None = None
    data_type: str = "text"
    key_id: str | None = None

    def request(self) -> dict[str, Any]:
        """The arguments of PutParameter."""
        request: dict[str, Any] = {
            "Name": self.name,
            "Value": self.text,
            "Type": self.type,
            "Tier": self.tier,
            "Tags": _tag_list(self.tags),
        }
        if self.description:
            request["Description"] = self.description
        if self.allowed_pattern is not None:
            request["AllowedPattern"] = whole_pattern(self.allowed_pattern)
        if self.data_type != "text":
            request["DataType"] = self.data_type
        if self.key_id is not None:
            request["KeyId"] = self.key_id
        return request


def whole_pattern(pattern: str) -> str:
    """A declared pattern as Parameter Store has it: for the whole text."""
    return f"^(?:{pattern})$"


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
        self.clock: Clock = clock or MonotonicClock()
        self._reads = Pacer(READS_PER_SECOND, self.clock)
        self._writes = Pacer(WRITES_PER_SECOND, self.clock)
        self._deletes = Pacer(WRITES_PER_SECOND, self.clock)

    @property
    def _client(self) -> Any:
        if self._made_client is None:
            with translated("ssm:GetParameters", "Parameter Store"):
                self._made_client = self._make_client()
        return self._made_client

    def read(self, names: Iterable[str]) -> dict[str, ParameterVersion]:
        """Read the current versions of parameters, ten to a call; names that do not exist are left out.

        Source: GetParameters takes at most 10 names. Duplicates are asked for once.
        """
        unique = list(dict.fromkeys(names))
        batches = [unique[start : start + BATCH] for start in range(0, len(unique), BATCH)]
        found: dict[str, ParameterVersion] = {}
        for parameters in self._in_parallel(batches):
            found.update((parameter.name, parameter) for parameter in parameters)
        return found

    def read_under(self, prefix: str) -> list[str]:
        """Names of all parameters below a path such as `/fine-tune-slm`."""
        request = {"Path": prefix, "Recursive": True, "MaxResults": BATCH}
        found = self._pages(self._reads, "GetParametersByPath", prefix, request)
        return [parameter["Name"] for parameter in found]

    def read_tagged(self, prefix: str, tags: Mapping[str, str]) -> list[str]:
        """Names of the parameters below a path that carry all of `tags`."""
        filters: list[dict[str, Any]] = [{"Key": "Path", "Option": "Recursive", "Values": [prefix]}]
        filters += [{"Key": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
        request = {"ParameterFilters": filters, "MaxResults": PAGE}
        found = self._pages(self._writes, "DescribeParameters", prefix, request)
        return [parameter["Name"] for parameter in found]

    def read_attributes(self, names: Iterable[str]) -> dict[str, StoredAttributes]:
        """What parameters are beside their values; names that do not exist are left out.

        Source: ParameterStringFilter, Values: at most 50.
        """
        unique = list(dict.fromkeys(names))
        found: dict[str, StoredAttributes] = {}
        for start in range(0, len(unique), PAGE):
            batch = unique[start : start + PAGE]
            request: dict[str, Any] = {
                "ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": batch}],
                "MaxResults": PAGE,
            }
            for each in self._pages(self._writes, "DescribeParameters", ", ".join(batch), request):
                found[each["Name"]] = _attributes(each)
        return found

    def read_history(self, name: str) -> list[ParameterVersion]:
        """The versions of a parameter that Parameter Store still has (the last 100), oldest first.

        Raises:
            VersionNotFoundError: the parameter does not exist. With it went its history.
        """
        request = {"Name": name, "WithDecryption": True, "MaxResults": PAGE}
        with _existing(name):
            found = list(self._pages(self._writes, "GetParameterHistory", name, request))
        return sorted(map(_stored, found), key=lambda version: version.version)

    def read_tags(self, name: str) -> dict[str, str]:
        """The tags of a parameter."""
        with _existing(name):
            response = self._call(
                self._writes,
                "ssm:ListTagsForResource",
                name,
                lambda client: client.list_tags_for_resource(ResourceType="Parameter", ResourceId=name),
            )
        return {tag["Key"]: tag["Value"] for tag in response["TagList"]}

    def create(self, parameter: NewParameter) -> bool:
        """Create a parameter with its tags in one call; False, and no change, where it exists already.

        Raises:
            ParameterRecentlyDeletedError: a parameter of that name was deleted a moment ago.
        """
        try:
            self._call(
                self._writes,
                "ssm:PutParameter",
                parameter.name,
                partial(_create, parameter),
                hidden=parameter.text if parameter.type == "SecureString" else None,
            )
        except StoreRequestError as error:
            if error.code != "ParameterAlreadyExists":
                raise
            return False
        return True

    def overwrite(
        self, current: ParameterVersion, text: str, attributes: Mapping[str, str] | None = None
    ) -> int:
        """Write a new version of an existing parameter; returns its number.

        Args:
            current: the version that is replaced.
            text: the new value.
            attributes: other arguments of PutParameter that change. Tags, and what is left out, stay as they
                are (PutParameter: tags cannot be given with Overwrite, and what is left out is kept). The key of
                a SecureString is not: without KeyId, the default key is used, so the present one is given.
        """
        arguments = {**self._present_key(current), **(attributes or {})}
        response = self._call(
            self._writes,
            "ssm:PutParameter",
            current.name,
            lambda client: client.put_parameter(
                Name=current.name, Value=text, Type=current.type, Overwrite=True, **arguments
            ),
            hidden=text if current.sensitive else None,
        )
        return int(response["Version"])

    def _present_key(self, current: ParameterVersion) -> dict[str, str]:
        if not current.sensitive:
            return {}
        try:
            found = self.read_attributes([current.name]).get(current.name)
        except AccessDeniedError:
            return {}
        return {"KeyId": found.key_id} if found is not None and found.key_id else {}

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Add tags to a parameter."""
        self._call(
            self._writes,
            "ssm:AddTagsToResource",
            name,
            lambda client: client.add_tags_to_resource(
                ResourceType="Parameter", ResourceId=name, Tags=_tag_list(tags)
            ),
        )

    def delete(self, names: Sequence[str]) -> list[str]:
        """Delete parameters, ten to a call; returns the names that existed.

        The history goes with them, and a name cannot be created again for 30 seconds (DeleteParameter).
        """
        deleted: list[str] = []
        for start in range(0, len(names), BATCH):
            deleted += self._delete_batch(list(names[start : start + BATCH]))
        return deleted

    def _delete_batch(self, names: list[str]) -> list[str]:
        response = self._call(
            self._deletes,
            "ssm:DeleteParameters",
            ", ".join(names),
            lambda client: client.delete_parameters(Names=names),
        )
        return list(response["DeletedParameters"])

    def _pages(
        self, pacer: Pacer, operation: str, resource: str, request: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """The parameters of all pages. A page may be empty and still have a token for the next one."""
        method = _SNAKE.sub("_", operation).lower()
        while True:
            found, token = self._call(pacer, f"ssm:{operation}", resource, partial(_page, method, request))
            yield from found
            if not token:
                return
            request = {**request, "NextToken": token}

    def _in_parallel(self, batches: Sequence[list[str]]) -> Iterator[list[ParameterVersion]]:
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

    def _read_batch(self, names: list[str]) -> list[ParameterVersion]:
        return self._call(
            self._reads,
            "ssm:GetParameters",
            ", ".join(names),
            lambda client: [
                _stored(parameter)
                for parameter in client.get_parameters(Names=names, WithDecryption=True)["Parameters"]
            ],
        )

    def _call(
        self,
        pacer: Pacer,
        action: str,
        resource: str,
        request: Callable[[Any], _T],
        *,
        hidden: str | None = None,
    ) -> _T:
        """Make a paced call; wait longer after each throttle, and give up after a number of them."""
        client = self._client
        delay = _FIRST_DELAY_SECONDS
        for attempt in range(1, _ATTEMPTS + 1):
            pacer.wait()
            try:
                with translated(action, resource, hidden=hidden):
                    response = request(client)
            except ThrottledError:
                if attempt == _ATTEMPTS:
                    raise
                pacer.throttled(delay)
                delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
            else:
                pacer.succeeded()
                return response
        raise AssertionError("the last attempt returns or raises")


def _stored(parameter: dict[str, Any]) -> ParameterVersion:
    """botocore gives times in the zone of this machine."""
    changed_at: datetime | None = parameter.get("LastModifiedDate")
    return ParameterVersion(
        name=parameter["Name"],
        text=parameter["Value"],
        version=parameter["Version"],
        type=parameter["Type"],
        changed_at=changed_at and changed_at.astimezone(UTC),
        changed_by=parameter.get("LastModifiedUser", ""),
    )


def _attributes(metadata: dict[str, Any]) -> StoredAttributes:
    return StoredAttributes(
        name=metadata["Name"],
        type=metadata.get("Type", "String"),
        tier=metadata.get("Tier", "Standard"),
        description=metadata.get("Description") or "",
        allowed_pattern=metadata.get("AllowedPattern") or None,
        data_type=metadata.get("DataType") or "text",
        key_id=metadata.get("KeyId"),
    )


def _page(method: str, request: Mapping[str, Any], client: Any) -> tuple[list[dict[str, Any]], str | None]:
    """The parameters of one page, and the token for the next."""
    response: dict[str, Any] = getattr(client, method)(**request)
    found: list[dict[str, Any]] = response["Parameters"]
    for parameter in found:
        parameter["Name"]  # what every caller reads of it, whichever the operation
    return found, response.get("NextToken")


def _create(parameter: NewParameter, client: Any) -> None:
    """After a deletion, 30 seconds must pass before the name is free (DeleteParameter)."""
    try:
        client.put_parameter(**parameter.request())
    except client.exceptions.TooManyUpdates as error:
        raise ParameterRecentlyDeletedError(
            f"{parameter.name} was deleted less than 30 seconds ago; the name is not free yet.",
            remedy="Wait half a minute and run the command again.",
        ) from error


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@contextmanager
def _existing(name: str) -> Iterator[None]:
    try:
        yield
    except StoreRequestError as error:
        if error.code not in {"ParameterNotFound", "InvalidResourceId"}:
            raise
        raise VersionNotFoundError(
            f"The parameter {name} does not exist.", remedy="Create it with `ami-lifecycle config set`."
        ) from error
