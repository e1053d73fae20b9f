"""Uploading and finding layers (ECR API reference: InitiateLayerUpload, BatchCheckLayerAvailability, ...)."""

from __future__ import annotations

import base64
import hashlib
import uuid

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ecr.model import Repository
from aws_emulator.ecr.repositories import Repositories


class Layers(Repositories):
    """The operations with which a Docker client pushes and pulls blobs."""

    @operation("ecr", "InitiateLayerUpload")
    def initiate_layer_upload(self, request: Request) -> Response:
        """Begin an upload."""
        with self.lock:
            repository = self.require_repository(self.supported(request, "repositoryName")["repositoryName"])
            upload_id = str(uuid.uuid4())
            repository.uploads[upload_id] = bytearray()
            return {"uploadId": upload_id, "partSize": 10 * 2**20}

    @operation("ecr", "UploadLayerPart")
    def upload_layer_part(self, request: Request) -> Response:
        """Take the next part; parts come in order, without gaps."""
        with self.lock:
            parameters = self.supported(
                request, "layerPartBlob", "partFirstByte", "partLastByte", "repositoryName", "uploadId"
            )
            repository = self.require_repository(parameters["repositoryName"])
            upload = self._require_upload(repository, parameters["uploadId"])
            blob, first, last = (
                parameters["layerPartBlob"],
                parameters["partFirstByte"],
                parameters["partLastByte"],
            )
            if first != len(upload) or last - first + 1 != len(blob):
                raise ApiError(
                    "InvalidLayerPartException",
                    f"The layer part does not continue at byte {len(upload)}",
                    registryId=self.account_id,
                    repositoryName=repository.name,
                    uploadId=parameters["uploadId"],
                    lastValidByteReceived=len(upload) - 1,
                )
            upload.extend(blob)
            return {
                "registryId": self.account_id,
                "repositoryName": repository.name,
                "uploadId": parameters["uploadId"],
                "lastByteReceived": len(upload) - 1,
            }

    @operation("ecr", "CompleteLayerUpload")
    def complete_layer_upload(self, request: Request) -> Response:
        """End an upload; the digest must be that of the bytes."""
        with self.lock:
            parameters = self.supported(request, "layerDigests", "repositoryName", "uploadId")
            repository = self.require_repository(parameters["repositoryName"])
            upload = self._require_upload(repository, parameters["uploadId"])
            if not upload:
                raise ApiError("EmptyUploadException", "The layer upload has no parts")
            digest = f"sha256:{hashlib.sha256(upload).hexdigest()}"
            if digest not in parameters["layerDigests"]:
                raise ApiError(
                    "InvalidLayerException",
                    f"Layer digest {parameters['layerDigests'][0]} does not match {digest}",
                )
            del repository.uploads[parameters["uploadId"]]
            if digest in repository.layers:
                raise ApiError("LayerAlreadyExistsException", f"The layer {digest} already exists")
            repository.layers[digest] = bytes(upload)
            return {
                "registryId": self.account_id,
                "repositoryName": repository.name,
                "uploadId": parameters["uploadId"],
                "layerDigest": digest,
            }

    def _require_upload(self, repository: Repository, upload_id: str) -> bytearray:
        if upload_id not in repository.uploads:
            raise ApiError("UploadNotFoundException", f"The upload with id '{upload_id}' does not exist")
        return repository.uploads[upload_id]

    @operation("ecr", "BatchCheckLayerAvailability")
    def batch_check_layer_availability(self, request: Request) -> Response:
        """Say which layers are here."""
        with self.lock:
            parameters = self.supported(request, "layerDigests", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            layers: list[dict[str, object]] = []
            for digest in parameters["layerDigests"]:
                blob = repository.layers.get(digest)
                if blob is None:
                    layers.append({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"})
                else:
                    layers.append(
                        {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": len(blob)}
                    )
            return {"layers": layers, "failures": []}

    @operation("ecr", "GetDownloadUrlForLayer")
    def get_download_url_for_layer(self, request: Request) -> Response:
        """Give a URL with the layer's bytes: here a `data:` URL, which holds them itself."""
        with self.lock:
            parameters = self.supported(request, "layerDigest", "repositoryName")
            repository = self.require_repository(parameters["repositoryName"])
            digest = parameters["layerDigest"]
            if digest not in repository.layers:
                raise ApiError(
                    "LayersNotFoundException",
                    f"The layer with digest '{digest}' does not exist in the repository with name '{repository.name}'",
                )
            content = base64.b64encode(repository.layers[digest]).decode()
            return {"downloadUrl": f"data:application/octet-stream;base64,{content}", "layerDigest": digest}
