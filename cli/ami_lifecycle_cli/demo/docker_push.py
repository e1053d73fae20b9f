"""A minimal `docker push` with Docker's own calls to ECR."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any, Final

_MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"


def push_image(ecr: Any, repository: str, tag: str, *, revision: str, branch: str) -> str:
    """Push an image with the labels of a commit; returns its digest.

    The same revision and branch are the same image, so they push the same digest again.
    """
    layer = _upload(ecr, repository, f"the files of {revision}".encode())
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Labels": {
                "ami-lifecycle.commit": revision,
                "ami-lifecycle.branch": branch,
            }
        },
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    described = _upload(ecr, repository, json.dumps(config).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": {"mediaType": _CONFIG_TYPE, **described},
        "layers": [{"mediaType": _LAYER_TYPE, **layer}],
    }
    text = json.dumps(manifest)
    with contextlib.suppress(ecr.exceptions.ImageAlreadyExistsException):
        ecr.put_image(
            repositoryName=repository,
            imageManifest=text,
            imageManifestMediaType=_MANIFEST_TYPE,
            imageTag=tag,
        )
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _upload(ecr: Any, repository: str, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    found = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest])["layers"]
    if not any(layer["layerAvailability"] == "AVAILABLE" for layer in found):
        upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
        ecr.upload_layer_part(
            repositoryName=repository,
            uploadId=upload,
            partFirstByte=0,
            partLastByte=len(content) - 1,
            layerPartBlob=content,
        )
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])
    return {"digest": digest, "size": len(content)}
