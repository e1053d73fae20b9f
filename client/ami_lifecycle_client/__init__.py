"""The consumers' client: the latest image of an environment, its metadata, and its history.

Depends on boto3 alone, and reads Parameter Store alone. The permissions that consumers have anyway
(`ssm:GetParameter` on `latest`, `metadata` and `history/*`) are enough.

    from ami_lifecycle_client import get_latest_ami, get_latest_ami_id, get_latest_ami_metadata

    ami_id = get_latest_ami_id("prod")             # one image, valid now
    metadata = get_latest_ami_metadata("prod")     # describes the image that was just asked for
    ami_id, metadata = get_latest_ami("prod")      # both, from one look

**A pair always matches.** `latest` and `metadata` are two parameters, so for a moment of each publication they
name different images. Then the record of the image in `history/`, which is written before either, is read
instead. And where a thread asks for the id first and for the metadata within `PAIRING_SECONDS`, the metadata
describes that id, even if a newer image was published in between.

**Errors** say what to do, and which kind they are:

    AmiLookupError
    ├── EnvironmentNotFoundError    also a ValueError: nothing is published under this name
    ├── InvalidMetadataError        also a ValueError: what is stored is not what the schema says
    ├── AccessDeniedError           also a PermissionError: a permission or credentials are missing
    └── ServiceUnavailableError     also a ConnectionError: no answer, or throttled to the end
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import boto3
import botocore.exceptions
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

__all__ = [
    "AccessDeniedError",
    "AmiClient",
    "AmiLookupError",
    "EnvironmentNotFoundError",
    "InvalidMetadataError",
    "LatestAmi",
    "ServiceUnavailableError",
    "get_history",
    "get_latest_ami",
    "get_latest_ami_id",
    "get_latest_ami_metadata",
]

DEFAULT_APPLICATION: Final = "comfyui"
DEFAULT_REGION: Final = "us-east-1"
# For so long the metadata belongs to the id that the same thread got before it. The previous image may
# be gone after the grace period of a publication (60 s by default); its record is not.
PAIRING_SECONDS: Final = 60.0
_HISTORY_ONLY: Final = frozenset({"status", "status_reason", "status_since", "superseded_by", "published_by"})
_READ_ATTEMPTS: Final = 4
_READ_PAUSE_SECONDS: Final = 0.2
DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
NOT_ACCEPTED: Final = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_RENEW: Final = (
    "Renew the credentials: `aws sso login --profile PROFILE`, `aws configure`, or what the profile's "
    "credential_process asks for"
)
_NO_LOGIN: Final = (
    SSOError,
    TokenRetrievalError,
    CredentialRetrievalError,
    getattr(botocore.exceptions, "LoginError", SSOError),  # of `aws login`; older boto3 has none
)
# botocore raises a plain RuntimeError where a credential_process gives credentials that have expired.
_STILL_EXPIRED: Final = "refreshed credentials are still expired"
THROTTLES: Final = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
    }
)


class AmiLookupError(Exception):
    """Base of all errors of this module. `environment` and `region` say what was looked up where."""

    def __init__(self, message: str, *, environment: str, region: str) -> None:
        super().__init__(message)
        self.environment = environment
        self.region = region


class EnvironmentNotFoundError(AmiLookupError, ValueError):
    """Nothing is published under this name: the environment does not exist, or has no image yet."""


class InvalidMetadataError(AmiLookupError, ValueError):
    """What a parameter holds is not the JSON object that the metadata schema says."""


class AccessDeniedError(AmiLookupError, PermissionError):
    """AWS refused: a permission is missing, or the credentials are missing, expired or unknown."""


class ServiceUnavailableError(AmiLookupError, ConnectionError):
    """Parameter Store did not answer, or throttled all attempts. Try again later."""


class LatestAmi(NamedTuple):
    """The latest image of an environment, and the metadata that describes exactly this image."""

    ami_id: str
    metadata: dict[str, Any]


class _PairedId(NamedTuple):
    """An id that a thread was given, and when (monotonic seconds)."""

    ami_id: str
    at: float


class Pairing(threading.local):
    """The ids that the current thread was given, by application, Region and environment."""

    def __init__(self) -> None:
        self.paired: dict[tuple[str, str, str], _PairedId] = {}


class AmiClient:
    """Looks images up in one Region. Can be shared by threads.

    Args:
        region: AWS Region.
        application: first part of the parameters' names.
        cache_seconds: for so long a pair that was read is given again without asking AWS. 0 asks every time.
            Keep it well below the environment's grace period, because the image before the latest is
            deregistered after that.
        ssm_client: a boto3 client, for own credentials, endpoints and retries.
        pairing: shared by clients that count as one: the id from one is paired with the metadata from another.
        clock: monotonic seconds; tests pass their own.
    """

    def __init__(
        self,
        region: str = DEFAULT_REGION,
        *,
        application: str = DEFAULT_APPLICATION,
        cache_seconds: float = 0.0,
        ssm_client: Any = None,
        pairing: Pairing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._region = region
        self._application = application
        self._cache_seconds = cache_seconds
        self._given_client = ssm_client
        self._clock = clock
        self._cache: dict[str, tuple[float, LatestAmi]] = {}
        self._pairing = pairing or Pairing()
        self._lock = threading.Lock()

    def get_latest_ami(self, environment: str = "prod") -> LatestAmi:
        """The latest image and its metadata, which always belong together.

        Raises:
            EnvironmentNotFoundError, InvalidMetadataError, AccessDeniedError, ServiceUnavailableError.
        """
        with self._lock:
            cached = self._cache.get(environment)
        if cached is not None and self._clock() - cached[0] < self._cache_seconds:
            return LatestAmi(cached[1].ami_id, dict(cached[1].metadata))
        read_at = self._clock()
        pair = self._read_pair(environment)
        if self._cache_seconds > 0:
            with self._lock:
                self._cache[environment] = (read_at, pair)
            return LatestAmi(pair.ami_id, dict(pair.metadata))
        return pair

    def get_latest_ami_id(self, environment: str = "prod") -> str:
        """Id of the latest image.

        Raises:
            EnvironmentNotFoundError, AccessDeniedError, ServiceUnavailableError.
        """
        cached = self._cache_seconds > 0
        ami_id = self.get_latest_ami(environment).ami_id if cached else self._read_latest(environment)
        self._pairing.paired[self._key(environment)] = _PairedId(ami_id, self._clock())
        return ami_id

    def get_latest_ami_metadata(self, environment: str = "prod") -> dict[str, Any]:
        """Metadata of the latest image; of the one that this thread has just got the id of, if it has.

        Raises:
            EnvironmentNotFoundError, InvalidMetadataError, AccessDeniedError, ServiceUnavailableError.
        """
        paired = self._pairing.paired.pop(self._key(environment), None)
        pair = self.get_latest_ami(environment)
        if paired is None or paired.ami_id == pair.ami_id or self._clock() - paired.at > PAIRING_SECONDS:
            return pair.metadata
        return self._read_record(environment, paired.ami_id) or pair.metadata

    def get_history(self, environment: str = "prod") -> list[dict[str, Any]]:
        """Records of all images that `latest` has named, the newest first. Each has the keys of the metadata,
        and `status` (live, superseded, kept, retired), `status_reason`, `status_since`, `superseded_by`.

        Without the permission `ssm:GetParametersByPath` the records are followed from the latest image back
        through `replaces`, which leaves out what was published under a passing name.

        Raises:
            EnvironmentNotFoundError, InvalidMetadataError, AccessDeniedError, ServiceUnavailableError.
        """
        try:
            records = self._list_records(environment)
        except AccessDeniedError:
            records = list(self._follow_records(environment))
        if not records:
            # Tells an environment without records from one that does not exist.
            self._read_latest(environment)
        return sorted(records, key=_age_key, reverse=True)

    def _key(self, environment: str) -> tuple[str, str, str]:
        return self._application, self._region, environment

    def _read_pair(self, environment: str) -> LatestAmi:
        for attempt in range(_READ_ATTEMPTS):
            ami_id = self._read_latest(environment)
            metadata = self._read_metadata(environment)
            if metadata is not None and metadata.get("ami_id") == ami_id:
                return LatestAmi(ami_id, metadata)
            record = self._read_record(environment, ami_id)
            if record is not None:
                return LatestAmi(ami_id, record)
            if attempt + 1 < _READ_ATTEMPTS:
                time.sleep(_READ_PAUSE_SECONDS)
        if metadata is None:
            raise EnvironmentNotFoundError(
                f"No AMI metadata found for environment: {environment}. {self._name(environment, 'latest')} names "
                f"{ami_id}, but neither `metadata` nor `history` describes it; the next sweep of the service "
                "repairs that",
                environment=environment,
                region=self._region,
            )
        raise InvalidMetadataError(
            f"{self._name(environment, 'metadata')} describes {metadata.get('ami_id')!r}, but `latest` names "
            f"{ami_id}, and history has no record of it; the next sweep of the service repairs that",
            environment=environment,
            region=self._region,
        )

    def _read_latest(self, environment: str) -> str:
        name = self._name(environment, "latest")
        value = self._read(environment, name)
        if value is None:
            raise EnvironmentNotFoundError(
                f"No AMI found for environment: {environment}. There is no parameter {name} in "
                f"{self._region}; check the name and the Region, or push the environment's first image",
                environment=environment,
                region=self._region,
            )
        return value

    def _read_metadata(self, environment: str) -> dict[str, Any] | None:
        name = self._name(environment, "metadata")
        value = self._read(environment, name)
        return None if value is None else self._parse(environment, name, value)

    def _read_record(self, environment: str, ami_id: str) -> dict[str, Any] | None:
        """The metadata in a history record, without what history adds."""
        record = self._read_history(environment, ami_id)
        return record and {key: value for key, value in record.items() if key not in _HISTORY_ONLY}

    def _read_history(self, environment: str, ami_id: str) -> dict[str, Any] | None:
        name = self._name(environment, f"history/{ami_id}")
        value = self._read(environment, name)
        return None if value is None else self._parse(environment, name, value)

    def _follow_records(self, environment: str) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        ami_id: Any = self._read_latest(environment)
        while isinstance(ami_id, str) and ami_id.startswith("ami-") and ami_id not in seen:
            seen.add(ami_id)
            record = self._read_history(environment, ami_id)
            if record is None:
                return
            yield record
            ami_id = record.get("replaces")

    def _list_records(self, environment: str) -> list[dict[str, Any]]:
        path = self._name(environment, "history")
        with self._errors(environment, path):
            pages = self._client().get_paginator("get_parameters_by_path").paginate(Path=path)
            found = [(each["Name"], each["Value"]) for page in pages for each in page["Parameters"]]
        return [self._parse(environment, found_name, value) for found_name, value in found]

    def _read(self, environment: str, name: str) -> str | None:
        with self._errors(environment, name):
            try:
                answer = self._client().get_parameter(Name=name)
            except ClientError as error:
                if _code_of(error) == "ParameterNotFound":
                    return None
                raise
            return str(answer["Parameter"]["Value"])

    def _parse(self, environment: str, name: str, value: str) -> dict[str, Any]:
        try:
            parsed = json.loads(value)
        except ValueError as error:
            raise InvalidMetadataError(
                f"{name} does not hold JSON: {error}; somebody may have changed it by hand. The service writes "
                "it anew with the next publication",
                environment=environment,
                region=self._region,
            ) from error
        if not isinstance(parsed, dict):
            raise InvalidMetadataError(
                f"{name} holds JSON of type {type(parsed).__name__}, not an object; somebody may have changed it",
                environment=environment,
                region=self._region,
            )
        return parsed

    def _name(self, environment: str, leaf: str) -> str:
        return f"/{self._application}/ami/{environment}/{leaf}"

    def _client(self) -> Any:
        with self._lock:
            if self._given_client is None:
                self._given_client = boto3.client(
                    "ssm",
                    region_name=self._region,
                    config=Config(
                        retries={"mode": "standard", "total_max_attempts": 5},
                        connect_timeout=3,
                        read_timeout=5,
                        user_agent_extra="app/ami-lifecycle-client",
                    ),
                )
            return self._given_client

    @contextmanager
    def _errors(self, environment: str, name: str) -> Iterator[None]:
        where: dict[str, str] = {"environment": environment, "region": self._region}
        try:
            yield
        except ClientError as error:
            raise self._translated(error, name, where) from error
        except (NoCredentialsError, PartialCredentialsError, NoRegionError, ProfileNotFound) as error:
            raise AccessDeniedError(
                f"{name} in {self._region} was not read: {error}. Give this process a role, or set AWS_PROFILE",
                **where,
            ) from error
        except _NO_LOGIN as error:
            raise AccessDeniedError(
                f"{name} in {self._region} was not read: {str(error).rstrip('.')}. {_RENEW}", **where
            ) from error
        except RuntimeError as error:
            if _STILL_EXPIRED not in str(error):
                raise
            raise AccessDeniedError(
                f"{name} in {self._region} was not read: {error} {_RENEW}", **where
            ) from error
        except (KeyError, TypeError) as error:
            raise ServiceUnavailableError(
                f"{name} in {self._region} was not read, the answer lacks {error}. Try again; if it lasts, look for a "
                "proxy or an endpoint that changes answers of AWS",
                **where,
            ) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise ServiceUnavailableError(
                f"{name} in {self._region} was not read, Parameter Store did not answer: {error}. "
                "Check network, proxy and Region, and try again",
                **where,
            ) from error

    def _translated(
        self, error: ClientError, name: str, where: dict[str, str]
    ) -> AmiLookupError | ClientError:
        code = _code_of(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        what = f"{name} in {self._region} was not read: {code}: {error.response['Error'].get('Message', '')}"
        if code in DENIED:
            return AccessDeniedError(f"{what} Grant ssm:GetParameter on it", **where)
        if code in NOT_ACCEPTED:
            return AccessDeniedError(f"{what} {_RENEW}", **where)
        # Every error of AWS has a code; where an answer has none, botocore puts the HTTP status in its place.
        if code in THROTTLES or status >= 500 or not code or code.isdecimal():
            return ServiceUnavailableError(f"{what} Try again later", **where)
        if code == "ValidationException":
            return EnvironmentNotFoundError(
                f"No AMI found for environment: {where['environment']}. Parameter Store cannot have such a name: "
                f"{what}",
                **where,
            )
        return error


def get_latest_ami_id(
    environment: str = "prod", region: str = DEFAULT_REGION, *, application: str = DEFAULT_APPLICATION
) -> str:
    """Id of the environment's latest image, as `AmiClient.get_latest_ami_id`.

    Raises:
        EnvironmentNotFoundError: nothing is published under this name (a ValueError).
        AccessDeniedError, ServiceUnavailableError: it could not be read.
    """
    return _module_client(region, application).get_latest_ami_id(environment)


def get_latest_ami_metadata(
    environment: str = "prod", region: str = DEFAULT_REGION, *, application: str = DEFAULT_APPLICATION
) -> dict[str, Any]:
    """Metadata of the environment's latest image, as `AmiClient.get_latest_ami_metadata`.

    Raises:
        EnvironmentNotFoundError: nothing is published under this name (a ValueError).
        InvalidMetadataError: what is stored is not a JSON object (a ValueError).
        AccessDeniedError, ServiceUnavailableError: it could not be read.
    """
    return _module_client(region, application).get_latest_ami_metadata(environment)


def get_latest_ami(
    environment: str = "prod", region: str = DEFAULT_REGION, *, application: str = DEFAULT_APPLICATION
) -> LatestAmi:
    """Id and metadata of the environment's latest image, from one look; raises as the two do."""
    return _module_client(region, application).get_latest_ami(environment)


def get_history(
    environment: str = "prod", region: str = DEFAULT_REGION, *, application: str = DEFAULT_APPLICATION
) -> list[dict[str, Any]]:
    """Records of all images that `latest` has named, the newest first, as `AmiClient.get_history`."""
    return _module_client(region, application).get_history(environment)


_PAIRING: Final = Pairing()


def _module_client(region: str, application: str) -> AmiClient:
    """A client for one call, as credentials and endpoint may change between two calls."""
    return AmiClient(region, application=application, pairing=_PAIRING)


def _code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _age_key(record: dict[str, Any]) -> tuple[int, str, bool, str]:
    number = str(record.get("workflow_run_number", ""))
    return (
        int(number) if number.isdecimal() else 0,
        str(record.get("creation_date", "")),
        # Dates are whole seconds: of two images in one second, the one that replaced the other is newer.
        record.get("status") == "live",
        str(record.get("status_since", "")),
    )
