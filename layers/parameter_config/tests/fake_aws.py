"""A Parameter Store and a Secrets Manager in memory, with boto3's methods, faults and a clock of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds


def client_error(
    code: str, message: str = "", status: int = 400, operation: str = "Operation"
) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        operation,
    )


class _TooManyUpdatesError(ClientError):  # type: ignore[misc]  # botocore has no types
    """As boto3 has it in `client.exceptions`."""


TOO_MANY_UPDATES = _TooManyUpdatesError(client_error("TooManyUpdates").response, "PutParameter")
THROTTLED = client_error("ThrottlingException", "Rate exceeded")
UNREACHABLE = EndpointConnectionError(endpoint_url="https://ssm.us-east-1.amazonaws.com/")


@dataclass
class _Parameter:
    type: str
    versions: list[tuple[str, datetime]]
    tags: dict[str, str]
    first_version: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)


class FakeSsm:
    """SSM's parameter operations. `faults` are raised one after the other, before a call has any effect.

    A fault that is None lets its call through. `per_second` makes the store throttle as AWS does.
    """

    def __init__(self, clock: FakeClock | None = None, per_second: float | None = None) -> None:
        self.clock = clock or FakeClock()
        self.parameters: dict[str, _Parameter] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[BaseException | None] = []
        self.after_call: Callable[[int], None] = lambda _: None
        self._per_second = per_second
        self._tokens = 1.0
        self._filled_at = self.clock.now()
        self._lock = threading.Lock()

    class exceptions:  # noqa: N801  # boto3's name
        TooManyUpdates = _TooManyUpdatesError

    # what tests prepare and look at

    def put(self, name: str, text: str, kind: str = "String", tags: dict[str, str] | None = None) -> None:
        self.parameters[name] = _Parameter(
            kind, [(text, datetime(2026, 11, 1, tzinfo=UTC))], dict(tags or {})
        )

    def text(self, name: str) -> str:
        return self.parameters[name].versions[-1][0]

    def texts(self) -> dict[str, str]:
        return {name: self.text(name) for name in self.parameters}

    def count(self, operation: str) -> int:
        return sum(called == operation for called, _ in self.calls)

    # boto3's methods

    def get_parameters(self, **request: Any) -> dict[str, Any]:
        self._begin("GetParameters", request)
        if len(request["Names"]) > 10:
            raise client_error("ValidationException", "at most 10 names")
        known = [name for name in sorted(set(request["Names"])) if name in self.parameters]
        unknown = [name for name in request["Names"] if name not in self.parameters]
        return self._end({"Parameters": [self._shape(name) for name in known], "InvalidParameters": unknown})

    def get_parameters_by_path(self, **request: Any) -> dict[str, Any]:
        self._begin("GetParametersByPath", request)
        prefix = request["Path"].rstrip("/") + "/"
        names = sorted(name for name in self.parameters if name.startswith(prefix))
        return self._end(self._page(names, request, limit=10))

    def describe_parameters(self, **request: Any) -> dict[str, Any]:
        self._begin("DescribeParameters", request)
        names = sorted(self.parameters)
        for found in request.get("ParameterFilters", []):
            names = [name for name in names if self._matches(name, found)]
        page = self._page(names, request, limit=50)
        for shape in page["Parameters"]:
            kept = self.parameters[shape["Name"]].attributes
            told = ("Tier", "Description", "AllowedPattern", "DataType", "KeyId")
            shape |= {key: kept[key] for key in told if key in kept}
            del shape["Value"]
        return self._end(page)

    def get_parameter_history(self, **request: Any) -> dict[str, Any]:
        self._begin("GetParameterHistory", request)
        parameter = self._existing(request["Name"])
        shapes = [
            self._shape(request["Name"], index) | {"LastModifiedUser": "arn:aws:iam::123456789012:user/ana"}
            for index in range(len(parameter.versions))
        ]
        start = int(request.get("NextToken", 0))
        limit = request.get("MaxResults", 50)
        response: dict[str, Any] = {"Parameters": shapes[start : start + limit]}
        if start + limit < len(shapes):
            response["NextToken"] = str(start + limit)
        return self._end(response)

    def put_parameter(self, **request: Any) -> dict[str, Any]:
        self._begin("PutParameter", request)
        name, overwrite = request["Name"], request.get("Overwrite", False)
        if overwrite and request.get("Tags"):
            raise client_error("ValidationException", "tags and overwrite can't be used together")
        now = datetime.now(UTC)
        if name not in self.parameters:
            tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
            attributes = {key: value for key, value in request.items() if key not in {"Value", "Tags"}}
            self.parameters[name] = _Parameter(
                request["Type"], [(request["Value"], now)], tags, attributes=attributes
            )
            return self._end({"Version": 1, "Tier": "Standard"})
        if not overwrite:
            raise client_error("ParameterAlreadyExists", "The parameter already exists.")
        parameter = self.parameters[name]
        told = {key: value for key, value in request.items() if key not in {"Value", "Tags", "Overwrite"}}
        if parameter.attributes.get("Tier") == "Advanced" and told.get("Tier") == "Standard":
            raise client_error("ValidationException", "You can't downgrade a parameter")
        parameter.attributes |= told
        parameter.versions.append((request["Value"], now))
        if len(parameter.versions) > 100:
            parameter.versions.pop(0)
            parameter.first_version += 1
        version = parameter.first_version + len(parameter.versions) - 1
        return self._end({"Version": version, "Tier": "Standard"})

    def delete_parameters(self, **request: Any) -> dict[str, Any]:
        self._begin("DeleteParameters", request)
        names = request["Names"]
        if len(names) > 10:
            raise client_error("ValidationException", "at most 10 names")
        deleted = [name for name in names if self.parameters.pop(name, None) is not None]
        unknown = [name for name in names if name not in deleted]
        return self._end({"DeletedParameters": deleted, "InvalidParameters": unknown})

    def list_tags_for_resource(self, **request: Any) -> dict[str, Any]:
        self._begin("ListTagsForResource", request)
        if request["ResourceId"] not in self.parameters:
            raise client_error("InvalidResourceId", "no such parameter")
        tags = self.parameters[request["ResourceId"]].tags
        return self._end({"TagList": [{"Key": key, "Value": value} for key, value in tags.items()]})

    def add_tags_to_resource(self, **request: Any) -> dict[str, Any]:
        self._begin("AddTagsToResource", request)
        tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        self._existing(request["ResourceId"]).tags.update(tags)
        return self._end({})

    def _begin(self, operation: str, request: dict[str, Any]) -> None:
        with self._lock:
            self.calls.append((operation, request))
            fault = self.faults.pop(0) if self.faults else None
            throttled = self._per_second is not None and not self._take_token(self._per_second)
        if fault is not None:
            raise fault
        if throttled:
            raise THROTTLED

    def _end(self, response: dict[str, Any]) -> dict[str, Any]:
        self.after_call(len(self.calls))
        return response

    def _take_token(self, per_second: float) -> bool:
        now = self.clock.now()
        self._tokens = min(1.0, self._tokens + (now - self._filled_at) * per_second)
        self._filled_at = now
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens -= 1
        return True

    def _existing(self, name: str) -> _Parameter:
        if name not in self.parameters:
            raise client_error("ParameterNotFound", "")
        return self.parameters[name]

    def _shape(self, name: str, index: int = -1) -> dict[str, Any]:
        parameter = self.parameters[name]
        text, written = parameter.versions[index]
        position = range(len(parameter.versions))[index]
        return {
            "Name": name,
            "Value": text,
            "Type": parameter.type,
            "Version": parameter.first_version + position,
            "LastModifiedDate": written,
        }

    def _page(self, names: list[str], request: dict[str, Any], limit: int) -> dict[str, Any]:
        start = int(request.get("NextToken", 0))
        size = min(request.get("MaxResults", limit), limit)
        response: dict[str, Any] = {"Parameters": [self._shape(name) for name in names[start : start + size]]}
        if start + size < len(names):
            response["NextToken"] = str(start + size)
        return response

    def _matches(self, name: str, found: dict[str, Any]) -> bool:
        key, values = found["Key"], found["Values"]
        if key == "Name":
            return name in values
        if key == "Path":
            return any(name.startswith(value.rstrip("/") + "/") for value in values)
        if key.startswith("tag:"):
            return self.parameters[name].tags.get(key.removeprefix("tag:")) in values
        raise client_error("InvalidFilterKey", key)


class FakeSecretsManager:
    """Secrets by name."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = {name.replace("__", "/"): value for name, value in secrets.items()}
        self.calls = 0

    def get_secret_value(self, **request: Any) -> dict[str, Any]:
        self.calls += 1
        return {"SecretString": self._existing(request["SecretId"])}

    def describe_secret(self, **request: Any) -> dict[str, Any]:
        self._existing(request["SecretId"])
        return {"Name": request["SecretId"]}

    def _existing(self, name: str) -> str:
        if name not in self.secrets:
            raise client_error(
                "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
            )
        return self.secrets[name]


def declared_names(count: int) -> Iterator[str]:
    """Parameter names of a large configuration."""
    return (f"/large/group-{index // 100}/value-{index:04}" for index in range(count))
