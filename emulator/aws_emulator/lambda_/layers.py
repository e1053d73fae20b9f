"""Versions of layers, as the Lambda API shows them (Lambda API reference, GetLayerVersion)."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from aws_emulator.api.operations import ApiError, Request, Response, operation

DOWNLOAD_PATH: Final = "/_emulator/layer"
# The earliest time that an archive can have: files have their own in a checkout, which is of no interest here.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class LayerVersion:
    """A version of a layer. Its files are those of a directory of this machine, as functions find them below /opt."""

    arn: str
    directory: Path
    description: str = ""
    created: str = ""

    def archive(self) -> bytes:
        """The archive that Lambda keeps; the same files are the same bytes."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(self.directory.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    name = str(path.relative_to(self.directory))
                    archive.writestr(zipfile.ZipInfo(name, _NO_TIME), path.read_bytes())
        return content.getvalue()


class Layers:
    """The versions of layers of an account.

    Args:
        endpoint_url: where archives can be fetched.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._versions: dict[str, LayerVersion] = {}

    def add(self, version: LayerVersion) -> None:
        """Deploy a version."""
        self._versions[version.arn] = version

    def download(self, query: dict[str, str]) -> tuple[int, Any]:
        """The archive at the address that a version names; no credentials are asked for, as at a presigned URL."""
        version = self._versions.get(query.get("arn", ""))
        if version is None:
            return 404, {"error": f"there is no layer version '{query.get('arn', '')}'"}
        return 200, version.archive()

    @operation("lambda", "GetLayerVersionByArn")
    def get_layer_version_by_arn(self, request: Request) -> Response:
        """Describe a version by its ARN, with the address of its archive."""
        return self._shown(str(request.parameters["Arn"]))

    @operation("lambda", "GetLayerVersion")
    def get_layer_version(self, request: Request) -> Response:
        """Describe a version by its layer's name or ARN, with the address of its archive."""
        name = str(request.parameters["LayerName"])
        layer = (
            name
            if name.startswith("arn:")
            else f"arn:aws:lambda:{request.region}:{request.account_id}:layer:{name}"
        )
        return self._shown(f"{layer}:{request.parameters['VersionNumber']}")

    def _shown(self, arn: str) -> Response:
        version = self._versions.get(arn)
        if version is None:
            raise ApiError(
                "ResourceNotFoundException", "The resource you requested does not exist.", 404, Type="User"
            )
        content = version.archive()
        layer, _, number = arn.rpartition(":")
        return {
            "Content": {
                "Location": f"{self._endpoint_url}{DOWNLOAD_PATH}?arn={quote(arn, safe='')}",
                "CodeSha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
                "CodeSize": len(content),
            },
            "LayerArn": layer,
            "LayerVersionArn": arn,
            "Description": version.description,
            "CreatedDate": version.created,
            "Version": int(number),
        }
