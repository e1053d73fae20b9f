"""Calls from inside the emulator: services call services as named callers of the account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_emulator.api.disruptions import ProcessHangs, ProcessKilled
from aws_emulator.api.operations import ApiError, Response
from aws_emulator.gateway.gateway import Gateway
from aws_emulator.gateway.identities import Identities


class Api:
    """Makes API calls under the name of a function, role, rule or schedule.

    Strict services are called directly; what moto answers is called over HTTP. Both pass the
    gateway's middlewares and its call log.

    Args:
        endpoint_url: where the gateway is served.
        before_send: a handler of botocore's event of that name, to answer without a connection.
    """

    def __init__(
        self,
        gateway: Gateway,
        identities: Identities,
        endpoint_url: str,
        region: str,
        before_send: Callable[..., Any] | None = None,
    ) -> None:
        self._gateway = gateway
        self._identities = identities
        self._endpoint_url = endpoint_url
        self._session = boto3.session.Session(region_name=region)
        if before_send is not None:
            self._session.events.register("before-send", before_send)
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def call(self, caller: str, service: str, operation: str, parameters: Mapping[str, Any]) -> Response:
        """Make a call; `service` and `operation` as boto3 and the API name them.

        Raises:
            ApiError: the service's error; also where a fault would stop the caller's process, because what
                AWS does on a function's behalf is done in none.
        """
        try:
            return self._call(caller, service, operation, parameters)
        except (ProcessKilled, ProcessHangs) as disruption:
            raise ApiError("InternalFailure", "The request was interrupted.", 500) from disruption

    def _call(self, caller: str, service: str, operation: str, parameters: Mapping[str, Any]) -> Response:
        if (service, operation) in self._gateway.handlers:
            return self._gateway.call(service, operation, parameters, caller)
        client = self._client(caller, service)
        try:
            response: Response = client._make_api_call(operation, dict(parameters))  # noqa: SLF001 - botocore has no public call by operation name
        except ClientError as error:
            details = error.response["Error"]
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            raise ApiError(details["Code"], details.get("Message", ""), status) from error
        return response

    def _client(self, caller: str, service: str) -> Any:
        with self._lock:
            if (caller, service) not in self._clients:
                key = self._identities.issue(caller, self._identities.role_of(caller)).access_key_id
                self._clients[caller, service] = self._session.client(
                    service,
                    endpoint_url=self._endpoint_url,
                    aws_access_key_id=key,
                    aws_secret_access_key="emulated",  # noqa: S106 - the emulator checks no signatures
                    config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
                )
            return self._clients[caller, service]
