"""The HTTP front of the emulated account: one WSGI application for all services."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

from aws_emulator.api.disruptions import Disruption
from aws_emulator.api.errors import unsupported_operation
from aws_emulator.api.operations import ApiError, Handler, Request, Response, handlers_of
from aws_emulator.clock import Clock
from aws_emulator.gateway.calls import OK, CallLog
from aws_emulator.gateway.passthrough import (
    MOTO_OPERATIONS,
    CutAnswer,
    MotoResponse,
    WsgiApp,
    forward,
    is_passed_on,
)
from aws_emulator.gateway.wire import json as json_wire
from aws_emulator.gateway.wire import models, query, rest_xml
from aws_emulator.gateway.wire.http import HttpRequest, HttpResponse
from aws_emulator.gateway.wire.validation import check_constraints, require_members

Middleware = Callable[[Request, Callable[[], Response]], Response]
Route = Callable[[bytes, dict[str, str]], tuple[int, Any]]
_LOGGER: Final = logging.getLogger(__name__)
_REASONS: Final = {200: "OK", 202: "Accepted", 204: "No Content", 400: "Bad Request", 403: "Forbidden"}
# One for all Regions: IAM's calls are signed for us-east-1, and STS answers in every Region for the account.
_GLOBAL_SERVICES: Final = frozenset({"iam", "sts"})
# How AWS answers look-ups in a Region that has nothing.
_MISSES: Final = {("ssm", "GetParameter"): "ParameterNotFound"}
# Which error the services give for a value outside their model's constraints, where it is checked here.
_CONSTRAINT_ERRORS: Final = {
    "ecr": "InvalidParameterException",
    "events": "ValidationException",
    "lambda": "ValidationException",
    "logs": "InvalidParameterException",
    "rbin": "ValidationException",
    "scheduler": "ValidationException",
    "ssm": "ValidationException",
    "stepfunctions": "ValidationException",
    "sts": "ValidationError",
}


class Gateway:
    """Parses requests, dispatches them to handlers, and serializes responses, each in the service's protocol.

    Args:
        handlers: the strict services' handlers by (service, operation).
        fallback: moto's WSGI application, for the operations in the attribute `passed_on`.
        caller_of: gives the name of whom an access key was handed to.
        middlewares: called around each operation, the first one outermost.
        routes: what is served under `/_emulator/` beside the calls, by (method, path).

    Attributes:
        middlewares, routes: as given; a project can add its own.
        passed_on: the operations left to moto by service; names may hold wildcards.
    """

    def __init__(
        self,
        handlers: Mapping[tuple[str, str], Handler],
        fallback: WsgiApp,
        clock: Clock,
        calls: CallLog,
        account_id: str,
        region: str,
        caller_of: Callable[[str], str],
        *,
        middlewares: Iterable[Middleware] = (),
        routes: Mapping[tuple[str, str], Route] = MappingProxyType({}),
    ) -> None:
        self.handlers = dict(handlers)
        self.calls = calls
        self.middlewares = list(middlewares)
        self.passed_on: dict[str, tuple[str, ...]] = dict(MOTO_OPERATIONS)
        self.routes: dict[tuple[str, str], Route] = {
            ("GET", "/_emulator/calls"): self._show_calls,
            ("GET", "/_emulator/health"): lambda _body, _query: (200, {"status": "ok"}),
            **routes,
        }
        self._fallback = fallback
        self._clock = clock
        self._account_id = account_id
        self._region = region
        self._caller_of = caller_of

    def serve(self, *services: object) -> None:
        """Serve further services: those that call others through the gateway, and so are made after it."""
        self.handlers.update(handlers_of(*services))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one HTTP request (WSGI)."""
        request = _http_request(environ)
        if request.path.startswith("/_emulator/"):
            response = self._serve_route(request)
        else:
            response = self._serve_api(environ, request)
        headers = [*response.headers.items(), ("Content-Length", str(len(response.body)))]
        start_response(f"{response.status} {_REASONS.get(response.status, 'Error')}", headers)
        return [response.body]

    def call(self, service: str, operation: str, parameters: Mapping[str, Any], caller: str) -> Response:
        """Make a call from within the emulator, through the middlewares and into the call log.

        Raises:
            ApiError: as the caller would see it; `EmulatorUnsupportedOperation` without a strict handler.
        """
        handler = self.handlers.get((service, operation))
        if handler is None:
            raise unsupported_operation(service, operation)
        try:
            return self.record(self._request(service, operation, parameters, caller, {}), handler)
        except Disruption as disruption:
            # A calling service only sees that there was no response.
            raise ApiError("SdkClientException", disruption.outcome, 500) from disruption

    def record(self, request: Request, handler: Handler) -> Response:
        """Run a handler through the middlewares and write the call to the log.

        Raises:
            ApiError: what the handler or a middleware raised.
        """
        began, started = self._clock.now(), time.perf_counter()
        outcome = OK
        try:
            response = self._through_middlewares(request, handler)
            if isinstance(response, MotoResponse):
                outcome = response.outcome()
        except ApiError as error:
            outcome = error.code
            raise
        except Disruption as disruption:
            outcome = disruption.outcome
            raise
        except Exception:
            outcome = "EmulatorInternalError"
            raise
        finally:
            self._log(request, outcome, began, started)
        return response

    def _log(self, request: Request, outcome: str, began: datetime, started: float) -> None:
        self.calls.record(
            time=began,
            caller=request.caller,
            service=request.service,
            operation=request.operation,
            outcome=outcome,
            duration_ms=(time.perf_counter() - started) * 1000,
            request_id=request.request_id,
            parameters=_loggable(request.parameters),
        )

    def _through_middlewares(self, request: Request, handler: Handler) -> Response:
        def step(index: int) -> Response:
            if index == len(self.middlewares):
                return handler(request)
            return self.middlewares[index](request, lambda: step(index + 1))

        return step(0)

    def _request(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        caller: str,
        headers: Mapping[str, str],
    ) -> Request:
        return Request(
            service=service,
            operation=operation,
            parameters=parameters,
            region=self._region,
            account_id=self._account_id,
            caller=caller,
            request_id=str(uuid.uuid4()),
            headers=headers,
        )

    def _serve_api(self, environ: dict[str, Any], http: HttpRequest) -> HttpResponse:
        service = models.service_of(http)
        if service is None:
            return _plain_error(
                501, "EmulatorUnsupportedOperation", f"no emulated service for {http.method} {http.path}"
            )
        protocol = models.protocol_of(service, http)
        caller = self._caller_of(models.access_key_of(http))
        request = self._request(service, "Unknown", {}, caller, http.headers)
        try:
            operation, labels = models.operation_of(service, http)
            request = replace(request, operation=operation)
            model = models.operation_model(service, operation)
            response = self._answer(environ, http, request, model, labels)
            whole = response.whole if isinstance(response, CutAnswer) else response
            answer = (
                whole.http
                if isinstance(whole, MotoResponse)
                else _encode(protocol, model, whole, request.request_id)
            )
            return _first_half(answer) if isinstance(response, CutAnswer) else answer
        except ApiError as error:
            return _encode_error(protocol, service, error, request.request_id)
        except Exception as error:
            _LOGGER.exception("%s:%s failed inside the emulator", service, request.operation)
            failure = ApiError("EmulatorInternalError", f"{type(error).__name__}: {error}", 500)
            return _encode_error(protocol, service, failure, request.request_id)

    def _answer(
        self,
        environ: dict[str, Any],
        http: HttpRequest,
        request: Request,
        model: Any,
        labels: Mapping[str, str],
    ) -> Response:
        started = time.perf_counter()
        try:
            self._check_region(request.service, request.operation, http)
            protocol = models.protocol_of(request.service, http)
            parameters = _decode(protocol, model, http, labels)
            handler = self._handler(environ, http, request)
            require_members(model, parameters)
            if request.service in _CONSTRAINT_ERRORS:
                check_constraints(model, parameters, _CONSTRAINT_ERRORS[request.service])
        except ApiError as error:
            self._log(request, error.code, self._clock.now(), started)
            raise
        return self.record(_with_parameters(request, parameters), handler)

    def _check_region(self, service: str, operation: str, http: HttpRequest) -> None:
        """Refuse a call that is signed for another Region: on AWS it would see nothing of this one."""
        signed_for = models.region_of(http)
        if signed_for in {"", self._region} or service in _GLOBAL_SERVICES:
            return
        message = (
            f"the emulated account is in {self._region}, and this call to {service} is signed for {signed_for}, where "
            "it would see none of the account's resources; look at region_name, AWS_REGION and the profile"
        )
        if (service, operation) in _MISSES:  # as on AWS in a Region without the resource
            raise ApiError(_MISSES[service, operation], message)
        raise ApiError("EmulatorUnsupportedRegion", message, 501)

    def _handler(self, environ: dict[str, Any], http: HttpRequest, request: Request) -> Handler:
        service, operation = request.service, request.operation
        handler = self.handlers.get((service, operation))
        if handler is not None:
            return handler
        if is_passed_on(self.passed_on, service, operation):
            return lambda _request: forward(self._fallback, environ, http.body, service, operation)
        raise unsupported_operation(service, operation)

    def _serve_route(self, http: HttpRequest) -> HttpResponse:
        route = self.routes.get((http.method, http.path))
        if route is None:
            return _plain_error(404, "NotFound", f"there is no {http.method} {http.path}")
        status, content = route(http.body, dict(parse_qsl(http.query)))
        if isinstance(content, bytes):
            return HttpResponse(status, content, {"Content-Type": "application/octet-stream"})
        return HttpResponse(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _show_calls(self, _body: bytes, parameters: dict[str, str]) -> tuple[int, Any]:
        since = parameters.get("since", "0")
        if not since.isdecimal():
            return 400, {"error": f"since is {since!r}; it must be the number of a call"}
        return 200, self.calls.as_json(int(since))


def _http_request(environ: Mapping[str, Any]) -> HttpRequest:
    if environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read()
    else:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    headers = {
        key[5:].replace("_", "-").lower(): str(value)
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    headers["content-type"] = str(environ.get("CONTENT_TYPE", ""))
    raw = str(environ.get("REQUEST_URI") or environ.get("RAW_URI") or environ.get("PATH_INFO", "/"))
    return HttpRequest(
        method=str(environ["REQUEST_METHOD"]),
        path=raw.partition("?")[0],
        query=str(environ.get("QUERY_STRING", "")),
        headers=headers,
        body=body,
    )


def _first_half(http: HttpResponse) -> HttpResponse:
    """A truncated response, without length or checksum."""
    telling = {"content-length", "x-amz-crc32"}
    headers = {name: value for name, value in http.headers.items() if name.lower() not in telling}
    return HttpResponse(http.status, http.body[: len(http.body) // 2], headers)


def _decode(protocol: str, model: Any, http: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
    match protocol:
        case "ec2" | "query":
            return query.decode(model, http)
        case "json":
            return json_wire.decode(model, http)
        case "rest-json" | "rest-xml":
            return json_wire.decode_rest(model, http, labels)
        case _:
            return {}


def _encode(protocol: str, model: Any, response: Response, request_id: str) -> HttpResponse:
    match protocol:
        case "ec2" | "query":
            return query.encode(model, response, request_id)
        case "rest-json":
            return json_wire.encode_rest(model, response, request_id)
        case "rest-xml":
            return rest_xml.encode(model, response, request_id)
        case _:
            return json_wire.encode(model, response, request_id)


def _encode_error(protocol: str, service: str, error: ApiError, request_id: str) -> HttpResponse:
    model = models.service_model(service)
    if protocol in {"ec2", "query"}:
        return query.encode_error(model, error, request_id)
    if protocol == "rest-xml":
        return rest_xml.encode_error(error, request_id)
    return json_wire.encode_error(model, error, request_id)


def _plain_error(status: int, code: str, message: str) -> HttpResponse:
    body = json.dumps({"__type": code, "message": message}).encode()
    return HttpResponse(status, body, {"Content-Type": "application/json", "x-amzn-ErrorType": code})


def _with_parameters(request: Request, parameters: Mapping[str, Any]) -> Request:
    return replace(request, parameters=parameters)


def _loggable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _loggable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_loggable(item) for item in value]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, datetime):
        return value.isoformat()
    return value
