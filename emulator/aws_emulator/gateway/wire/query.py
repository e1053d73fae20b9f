"""The `ec2` and `query` protocols: form parameters in, XML out."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.utils import parse_timestamp

from aws_emulator.api.operations import ApiError, Members
from aws_emulator.gateway.wire.http import HttpRequest, HttpResponse
from aws_emulator.gateway.wire.scalars import iso8601

_NOT_PARAMETERS: Final = frozenset({"Action", "Version"})
_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def form_of(request: HttpRequest) -> list[tuple[str, str]]:
    """The pairs of a form-encoded request.

    Raises:
        ApiError: `MalformedQueryString` (EC2 API reference, Error codes).
    """
    try:
        return parse_qsl((request.body or request.query.encode()).decode(), keep_blank_values=True)
    except UnicodeDecodeError as error:
        raise ApiError(
            "MalformedQueryString", f"The query string contains a syntax error: {error}"
        ) from error


def decode(operation: Any, request: HttpRequest) -> dict[str, Any]:
    """Read the parameters of a form-encoded request.

    Raises:
        ApiError: `UnknownParameter` (EC2's) or `ValidationError` for a parameter that the operation
            does not have, `InvalidParameterValue` for a value of the wrong type.
    """
    tree: dict[str, Any] = {}
    for name, value in form_of(request):
        if name not in _NOT_PARAMETERS:
            _insert(tree, name, value)
    if operation.input_shape is None:
        return {}
    ec2 = operation.service_model.metadata["protocol"] == "ec2"
    return _Decoder(ec2).structure(operation.input_shape, tree, "")


def _insert(tree: dict[str, Any], name: str, value: str) -> None:
    node = tree
    *parents, leaf = name.split(".")
    for part in parents:
        below = node.setdefault(part, {})
        if not isinstance(below, dict):
            raise ApiError("InvalidParameterCombination", f"the parameter {name} is given twice")
        node = below
    node[leaf] = value


class _Decoder:
    def __init__(self, ec2: bool) -> None:
        self._ec2 = ec2

    def structure(self, shape: Any, node: Any, path: str) -> dict[str, Any]:
        names = _wire_names(shape, self._ec2)
        values = {}
        for wire_name, below in _children(node, path).items():
            where = f"{path}.{wire_name}" if path else wire_name
            if wire_name not in names:
                raise self._unknown(where)
            member, member_shape = names[wire_name]
            values[member] = self._value(member_shape, below, where)
        return Members("MissingParameter" if self._ec2 else "ValidationError", values)

    def _unknown(self, name: str) -> ApiError:
        if self._ec2:
            return ApiError("UnknownParameter", f"The parameter {name} is not recognized")
        return ApiError("ValidationError", f"The parameter {name} is not recognized")

    def _value(self, shape: Any, node: Any, path: str) -> Any:
        if shape.type_name == "structure":
            return self.structure(shape, node, path)
        if shape.type_name == "list":
            return self._list(shape, node, path)
        if shape.type_name == "map":
            return self._map(shape, node, path)
        if isinstance(node, dict):
            raise self._unknown(f"{path}.{next(iter(node))}")
        return _scalar(shape.type_name, node, path)

    def _list(self, shape: Any, node: Any, path: str) -> list[Any]:
        if node == "":
            return []
        if not self._ec2 and not shape.serialization.get("flattened"):
            node = _children(node, path).get(shape.member.serialization.get("name", "member"), {})
        items = sorted(_children(node, path).items(), key=lambda item: int(item[0]))
        return [self._value(shape.member, below, f"{path}.{index}") for index, below in items]

    def _map(self, shape: Any, node: Any, path: str) -> dict[str, Any]:
        entries = _children(node, path)
        if not shape.serialization.get("flattened"):
            entries = _children(entries.get("entry", {}), path)
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        return {
            entry[key_name]: self._value(shape.value, entry.get(value_name, ""), path)
            for _, entry in sorted(entries.items(), key=lambda item: int(item[0]))
        }


def _children(node: Any, path: str) -> Mapping[str, Any]:
    if isinstance(node, dict):
        return node
    if node == "":
        return {}
    raise ApiError("InvalidParameterValue", f"Value ({node}) for parameter {path} is invalid.")


def _scalar(type_name: str, text: str, path: str) -> Any:
    try:
        match type_name:
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "timestamp":
                return parse_timestamp(text)
            case "blob":
                return base64.b64decode(text, validate=True)
            case _:
                return text
    except (KeyError, ValueError) as error:
        raise ApiError("InvalidParameterValue", f"Value ({text}) for parameter {path} is invalid.") from error


def _wire_names(shape: Any, ec2: bool) -> dict[str, tuple[str, Any]]:
    cached: dict[str, tuple[str, Any]] | None = getattr(shape, "_emulator_wire_names", None)
    if cached is None:
        cached = {_wire_name(name, member, ec2): (name, member) for name, member in shape.members.items()}
        shape._emulator_wire_names = cached  # noqa: SLF001 - botocore shapes carry no cache of their own
    return cached


def _wire_name(name: str, shape: Any, ec2: bool) -> str:
    if not ec2:
        return str(shape.serialization.get("name", name))
    if "queryName" in shape.serialization:
        return str(shape.serialization["queryName"])
    wire = str(shape.serialization.get("name", name))
    return wire[0].upper() + wire[1:]


def encode(operation: Any, result: Mapping[str, Any], request_id: str) -> HttpResponse:
    """Write a result as the service's XML."""
    metadata = operation.service_model.metadata
    parts: list[str] = []
    if metadata["protocol"] == "ec2":
        namespace = f"http://ec2.amazonaws.com/doc/{metadata['apiVersion']}/"
        if operation.output_shape is not None:
            _write_members(parts, operation.output_shape, result)
        body = (
            f'{_XML}<{operation.name}Response xmlns="{namespace}"><requestId>{request_id}</requestId>'
            f"{''.join(parts)}</{operation.name}Response>"
        )
    else:
        if operation.output_shape is not None:
            wrapper = operation.output_shape.serialization.get("resultWrapper", f"{operation.name}Result")
            parts.append(f"<{wrapper}>")
            _write_members(parts, operation.output_shape, result)
            parts.append(f"</{wrapper}>")
        body = (
            f'{_XML}<{operation.name}Response xmlns="{metadata["xmlNamespace"]}">{"".join(parts)}'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
        )
    return HttpResponse(
        200, body.encode(), {"Content-Type": "text/xml;charset=UTF-8", "x-amzn-RequestId": request_id}
    )


def _write_members(parts: list[str], shape: Any, value: Mapping[str, Any]) -> None:
    members = shape.members
    for name, item in value.items():
        if item is not None:
            member = members[name]
            _write(parts, member, str(member.serialization.get("name", name)), item)


def _write(parts: list[str], shape: Any, tag: str, value: Any) -> None:
    if shape.type_name == "list" and shape.serialization.get("flattened"):
        for item in value:
            _write(parts, shape.member, tag, item)
        return
    parts.append(f"<{tag}>")
    if shape.type_name == "structure":
        _write_members(parts, shape, value)
    elif shape.type_name == "list":
        item_tag = str(shape.member.serialization.get("name", "member"))
        for item in value:
            _write(parts, shape.member, item_tag, item)
    elif shape.type_name == "map":
        for key, item in value.items():
            parts.append("<entry>")
            _write(parts, shape.key, str(shape.key.serialization.get("name", "key")), key)
            _write(parts, shape.value, str(shape.value.serialization.get("name", "value")), item)
            parts.append("</entry>")
    else:
        parts.append(_text(value))
    parts.append(f"</{tag}>")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return iso8601(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return escape(str(value))


def encode_error(service: Any, error: ApiError, request_id: str) -> HttpResponse:
    """Write an error in the protocol's XML."""
    code, message = escape(error.code), escape(error.message)
    if service.metadata["protocol"] == "ec2":
        body = (
            f"{_XML}<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    else:
        kind = "Sender" if error.status < 500 else "Receiver"
        body = (
            f'{_XML}<ErrorResponse xmlns="{service.metadata.get("xmlNamespace", "")}"><Error><Type>{kind}</Type>'
            f"<Code>{code}</Code><Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return HttpResponse(
        error.status,
        body.encode(),
        {"Content-Type": "text/xml;charset=UTF-8", "x-amzn-RequestId": request_id},
    )
