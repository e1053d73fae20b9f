"""The `json` and `rest-json` protocols."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from botocore.utils import parse_timestamp

from aws_emulator.api.operations import ApiError, Members
from aws_emulator.api.strict_json import strict_json
from aws_emulator.gateway.wire.http import HttpRequest, HttpResponse
from aws_emulator.gateway.wire.scalars import epoch_seconds, iso8601

_EXPECTED: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
    "blob": (str,),
}


def decode(operation: Any, request: HttpRequest) -> dict[str, Any]:
    """Read the parameters of a JSON request.

    Raises:
        ApiError: `SerializationException` for a body that is no JSON object, a member that the
            operation does not have, or a value of the wrong type.
    """
    values = _load(request.body)
    if operation.input_shape is None:
        return {}
    decoded: dict[str, Any] = _value(operation.input_shape, values, "")
    return decoded


def _load(body: bytes) -> Any:
    if not body:
        return {}
    try:
        return strict_json(body)
    except ValueError as error:
        raise ApiError("SerializationException", f"the request's body is no JSON: {error}") from error


def _value(shape: Any, value: Any, path: str) -> Any:
    kind = shape.type_name
    if kind == "structure" and getattr(shape, "is_document_type", False):
        return value
    _expect(kind, value, path)
    match kind:
        case "structure":
            decoded: Any = _structure(shape, value, path)
        case "list":
            decoded = [_value(shape.member, item, f"{path}.{index}") for index, item in enumerate(value, 1)]
        case "map":
            given = {key: item for key, item in value.items() if item is not None}
            decoded = {key: _value(shape.value, item, f"{path}.{key}") for key, item in given.items()}
        case "timestamp":
            number = isinstance(value, int | float)
            decoded = datetime.fromtimestamp(value, UTC) if number else parse_timestamp(value)
        case "blob":
            decoded = base64.b64decode(value)
        case _:
            decoded = value
    return decoded


def _expect(kind: str, value: Any, path: str) -> None:
    expected = _EXPECTED.get(kind)
    if expected is None:
        return
    if not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean"):
        raise ApiError("SerializationException", f"{path or 'the request'} must be of type {kind}")


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> dict[str, Any]:
    names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
    decoded = {}
    for wire_name, item in value.items():
        where = f"{path}.{wire_name}" if path else wire_name
        if wire_name not in names:
            raise ApiError("SerializationException", f"{where} is not a parameter of this operation")
        if item is not None:
            name = names[wire_name]
            decoded[name] = _value(shape.members[name], item, where)
    return Members("ValidationException", decoded)


def decode_rest(operation: Any, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
    """Read the parameters of a REST request from its path, query, headers and body.

    Raises:
        ApiError: `SerializationException` as `decode`.
    """
    shape = operation.input_shape
    if shape is None:
        return {}
    return Members(
        "ValidationException", _outside_body(shape, request, labels) | _inside_body(shape, request)
    )


def _outside_body(shape: Any, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
    query = parse_qs(request.query, keep_blank_values=True)
    values: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire_name = member.serialization.get("name", name)
        location = member.serialization.get("location")
        if location == "uri" and wire_name in labels:
            values[name] = _from_text(member, unquote(labels[wire_name]))
        elif location == "querystring" and wire_name in query:
            texts = query[wire_name]
            values[name] = texts if member.type_name == "list" else _from_text(member, texts[0])
        elif location == "header" and wire_name.lower() in request.headers:
            values[name] = _from_text(member, request.headers[wire_name.lower()])
    return values


def _inside_body(shape: Any, request: HttpRequest) -> dict[str, Any]:
    payload = shape.serialization.get("payload")
    if payload is None:
        members = {
            name: member for name, member in shape.members.items() if not member.serialization.get("location")
        }
        body = _load(request.body) if members else {}
        _expect("structure", body, "")
        return _structure(_Members(members), body, "")
    if not request.body:
        return {}
    member = shape.members[payload]
    as_is = member.type_name in {"blob", "string"}
    return {payload: request.body if as_is else _value(member, _load(request.body), payload)}


class _Members:
    """The part of a shape that travels in the body."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = members


def _from_text(shape: Any, text: str) -> Any:
    match shape.type_name:
        case "integer" | "long":
            return int(text)
        case "boolean":
            return text.lower() == "true"
        case "timestamp":
            return parse_timestamp(text)
        case _:
            return text


def encode(operation: Any, result: Mapping[str, Any], request_id: str) -> HttpResponse:
    """Write a result as the service's JSON."""
    version = operation.service_model.metadata.get("jsonVersion", "1.1")
    shape = operation.output_shape
    body = {} if shape is None else _plain(shape, result)
    return HttpResponse(
        200,
        json.dumps(body).encode(),
        {"Content-Type": f"application/x-amz-json-{version}", "x-amzn-RequestId": request_id},
    )


def encode_rest(operation: Any, result: Mapping[str, Any], request_id: str) -> HttpResponse:
    """Write a result as a REST response: status, headers and body where the model puts them."""
    headers = {"Content-Type": "application/json", "x-amzn-RequestId": request_id}
    status = int(operation.http.get("responseCode", 200))
    shape = operation.output_shape
    if shape is None:
        return HttpResponse(status, b"", headers)
    in_body: dict[str, Any] = {}
    for name, value in result.items():
        member = shape.members[name]
        location = member.serialization.get("location")
        if value is None:
            continue
        if location == "statusCode":
            status = int(value)
        elif location == "header":
            headers[member.serialization["name"]] = str(value)
        else:
            in_body[name] = value
    payload = shape.serialization.get("payload")
    if payload is not None:
        content = in_body.get(payload, b"")
        if not isinstance(content, bytes | str):
            content = json.dumps(_plain(shape.members[payload], content))
        return HttpResponse(status, content.encode() if isinstance(content, str) else content, headers)
    return HttpResponse(status, json.dumps(_plain(shape, in_body)).encode(), headers)


def _plain(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure" and not getattr(shape, "is_document_type", False):
        return {
            shape.members[name].serialization.get("name", name): _plain(shape.members[name], item)
            for name, item in value.items()
            if item is not None
        }
    if kind == "list":
        return [_plain(shape.member, item) for item in value]
    if kind == "map":
        return {key: _plain(shape.value, item) for key, item in value.items()}
    if isinstance(value, datetime):
        iso = shape.serialization.get("timestampFormat") == "iso8601"
        return iso8601(value) if iso else epoch_seconds(value)
    if kind == "blob":
        return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode()
    return value


def encode_error(service: Any, error: ApiError, request_id: str) -> HttpResponse:
    """Write an error so that SDKs find its code, its message and its own members."""
    body = {"__type": error.code, "message": error.message, "Message": error.message, **error.fields}
    headers = {
        "Content-Type": f"application/x-amz-json-{service.metadata.get('jsonVersion', '1.1')}",
        "x-amzn-RequestId": request_id,
        "x-amzn-ErrorType": error.code,
    }
    if "awsQueryCompatible" in service.metadata:
        headers["x-amzn-query-error"] = f"{error.code};{'Sender' if error.status < 500 else 'Receiver'}"
    return HttpResponse(error.status, json.dumps(body).encode(), headers)
