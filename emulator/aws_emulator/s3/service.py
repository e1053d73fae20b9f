"""The operations of S3 that are emulated, as its API reference has them.

A bucket's settings (encryption, public access, lifecycle, policy) are taken from a template and not acted on: objects
are not encrypted here, nothing expires, and calls come without TLS.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.clock import Clock
from aws_emulator.s3.buckets import Buckets, StoredObject

# S3 user guide, General purpose bucket naming rules.
_BUCKET: Final = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]")
# S3 user guide, Naming Amazon S3 objects; PutObject: 5 GB in one request.
_MOST_KEY_BYTES: Final = 1024
_MOST_BYTES: Final = 5 * 2**30
# What an ETag and ContentMD5 are; neither protects anything.
_md5: Final = partial(hashlib.md5, usedforsecurity=False)
_DIGESTS: Final[Mapping[str, Callable[[bytes], Any]]] = {"ContentMD5": _md5, "ChecksumSHA256": hashlib.sha256}


class S3:
    """Buckets of one Region."""

    def __init__(self, clock: Clock, buckets: Buckets) -> None:
        self._clock = clock
        self._buckets = buckets

    @operation("s3", "CreateBucket")
    def create_bucket(self, request: Request) -> Response:
        """Make an empty bucket."""
        refuse_unsupported_parameters("s3", "CreateBucket", request.parameters, ("Bucket",))
        name = request.parameters["Bucket"]
        if not _BUCKET.fullmatch(name):
            raise ApiError("InvalidBucketName", "The specified bucket is not valid.", 400, BucketName=name)
        with self._buckets.lock:
            if name in self._buckets.by_name:
                message = "Your previous request to create the named bucket succeeded and you already own it."
                raise ApiError("BucketAlreadyOwnedByYou", message, 409, BucketName=name)
            self._buckets.by_name[name] = {}
        return {"Location": f"/{name}"}

    @operation("s3", "PutObject")
    def put_object(self, request: Request) -> Response:
        """Write an object in the place of one that is there."""
        parameters = request.parameters
        refuse_unsupported_parameters(
            "s3",
            "PutObject",
            parameters,
            (
                "Body",
                "Bucket",
                "ChecksumAlgorithm",
                "ChecksumCRC32",
                "ChecksumSHA256",
                "ContentLength",
                "ContentMD5",
                "ContentType",
                "Key",
            ),
        )
        key, body = parameters["Key"], parameters.get("Body", b"")
        if len(key.encode()) > _MOST_KEY_BYTES:
            raise ApiError("KeyTooLongError", "Your key is too long", 400)
        if len(body) > _MOST_BYTES:
            message = "Your proposed upload exceeds the maximum allowed size"
            raise ApiError("EntityTooLarge", message, 400)
        checksums = _checked(parameters, body)
        kind = parameters.get("ContentType") or "binary/octet-stream"
        with self._buckets.lock:
            self._objects(parameters["Bucket"])[key] = StoredObject(body, self._clock.now(), kind, checksums)
        return {"ETag": _etag(body), "ServerSideEncryption": "AES256", **checksums}

    @operation("s3", "GetObject")
    def get_object(self, request: Request) -> Response:
        """Read an object."""
        parameters = request.parameters
        refuse_unsupported_parameters("s3", "GetObject", parameters, ("Bucket", "ChecksumMode", "Key"))
        with self._buckets.lock:
            found = self._objects(parameters["Bucket"]).get(parameters["Key"])
        if found is None:
            message = "The specified key does not exist."
            raise ApiError("NoSuchKey", message, 404, Key=parameters["Key"])
        return {
            "Body": found.body,
            "ContentLength": len(found.body),
            "ContentType": found.content_type,
            "ETag": _etag(found.body),
            "LastModified": found.written,
            "ServerSideEncryption": "AES256",
            **(found.checksums if parameters.get("ChecksumMode") == "ENABLED" else {}),
        }

    @operation("s3", "DeleteObject")
    def delete_object(self, request: Request) -> Response:
        """Delete an object; the answer is the same where there is none (API reference, DeleteObject)."""
        refuse_unsupported_parameters("s3", "DeleteObject", request.parameters, ("Bucket", "Key"))
        with self._buckets.lock:
            self._objects(request.parameters["Bucket"]).pop(request.parameters["Key"], None)
        return {}

    def _objects(self, bucket: str) -> dict[str, StoredObject]:
        found = self._buckets.by_name.get(bucket)
        if found is None:
            message = "The specified bucket does not exist"
            raise ApiError("NoSuchBucket", message, 404, BucketName=bucket)
        return found


def _checked(parameters: Mapping[str, Any], body: bytes) -> dict[str, str]:
    """The checksums that were sent, once they are those of the body (S3 user guide, Checking object integrity)."""
    own = {"ChecksumCRC32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()}
    own |= {name: base64.b64encode(algorithm(body).digest()).decode() for name, algorithm in _DIGESTS.items()}
    for name, value in own.items():
        if parameters.get(name) not in {None, value}:
            what = name.removeprefix("Checksum").removeprefix("Content")
            raise ApiError(
                "BadDigest", f"The {what} you specified did not match the calculated checksum.", 400
            )
    return {name: own[name] for name in own if name in parameters and name != "ContentMD5"}


def _etag(body: bytes) -> str:
    return f'"{_md5(body).hexdigest()}"'
