"""Small Docker images, built here and pushed as any client pushes: manifests by digest, an index, attestations."""

import base64
import hashlib
import http.client
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
# A first process ignores what it does not handle, so that stopping it politely takes its whole time.
CONTAINER = {"Env": ["PATH=/bin"], "StopSignal": "SIGKILL"}
SERVE = ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]


def digest_of(content: bytes) -> str:
    """The digest that names content in a registry."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class OciImage:
    """A manifest or an index, with all that it refers to."""

    manifest: bytes
    media_type: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    children: "list[OciImage]" = field(default_factory=list)
    platform: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return digest_of(self.manifest)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        """What an index says about it."""
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": len(self.manifest),
            "platform": self.platform,
            **more,
        }


def an_image(
    busybox: Path,
    page: str = "it works",
    *,
    labels: dict[str, str] | None = None,
    command: list[str] | None = None,
    architecture: str = "amd64",
    system: str = "linux",
    filler_layers: int = 0,
    filler_bytes: int = 0,
) -> OciImage:
    """An image whose program is a web server that serves one page; fillers make it large."""
    layers = [
        _layer({"bin/busybox": (busybox.read_bytes(), 0o755), "bin/sh": "busybox", "tmp/": "", "www/": ""}),
        _layer({"www/index.html": (f"{page}\n".encode(), 0o644)}),
    ]
    for number in range(filler_layers):
        content = hashlib.shake_256(f"{page} {number}".encode()).digest(filler_bytes)
        layers.append(_layer({f"filler/{number}": (content, 0o644)}))
    config = _json({
        "architecture": architecture,
        "os": system,
        "created": "2026-11-01T00:00:00Z",
        "config": CONTAINER | {"Cmd": command or SERVE, "Labels": labels or {}},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created_by": f"layer {number}"} for number in range(len(layers))],
    })  # fmt: skip
    platform = {"os": system, "architecture": architecture}
    return _assemble(config, CONFIG, [(LAYER, layer) for layer in layers], platform)


def a_chart() -> OciImage:
    """What `helm push` leaves in a registry: a manifest, and no image."""
    content = ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"a chart")
    return _assemble(_json({"name": "chart"}), "application/vnd.cncf.helm.config.v1+json", [content], {})


def an_index(*images: OciImage) -> OciImage:
    """A multi-architecture index with an attestation for each image, as BuildKit pushes it."""
    children, descriptors = [], []
    for image in images:
        children.append(image)
        descriptors.append(image.descriptor())
        statement = _json(
            {"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": image.digest}]}
        )
        unknown = {"os": "unknown", "architecture": "unknown"}
        attestation = _assemble(
            _json(unknown), CONFIG, [("application/vnd.in-toto+json", statement)], unknown
        )
        children.append(attestation)
        annotations = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image.digest,
        }
        descriptors.append(attestation.descriptor(annotations=annotations))
    manifest = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors})
    return OciImage(manifest, INDEX, children=children)


def _assemble(
    config: bytes, config_type: str, layers: list[tuple[str, bytes]], platform: dict[str, str]
) -> OciImage:
    def blob(media_type: str, content: bytes) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}

    manifest = _json({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(config_type, config),
        "layers": [blob(media_type, content) for media_type, content in layers],
    })  # fmt: skip
    blobs = {digest_of(content): content for content in [config, *(content for _, content in layers)]}
    return OciImage(manifest, MANIFEST, blobs, platform=platform)


def _layer(entries: dict[str, tuple[bytes, int] | str]) -> bytes:
    """A layer: files with content and permissions; text is the target of a link; a final slash is a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, entry in entries.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            elif isinstance(entry, str):
                info.type, info.linkname = tarfile.SYMTYPE, entry
                archive.addfile(info)
            else:
                content, info.mode = entry
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class PushError(RuntimeError):
    """The registry did not take something."""


def push(registry_url: str, repository: str, image: OciImage, reference: str, token: str) -> None:
    """Push an image under a tag or its digest; what an index refers to goes first, by digest."""
    client = _Client(registry_url, repository, token)
    for child in image.children:
        push(registry_url, repository, child, child.digest, token)
    for digest, content in image.blobs.items():
        client.blob(digest, content)
    client.send("PUT", f"/manifests/{reference}", image.manifest, image.media_type)


class _Client:
    def __init__(self, registry_url: str, repository: str, token: str) -> None:
        self._address = urlsplit(registry_url).netloc
        self._prefix = f"/v2/{repository}"
        self._authorization = "Basic " + base64.b64encode(f"AWS:{token}".encode()).decode()

    def blob(self, digest: str, content: bytes) -> None:
        location = self.send("POST", "/blobs/uploads/", b"")
        parts = urlsplit(location)
        separator = "&" if parts.query else "?"
        path = parts.path.removeprefix(self._prefix) + (f"?{parts.query}" if parts.query else "")
        self.send("PUT", f"{path}{separator}digest={digest}", content)

    def send(self, method: str, path: str, body: bytes, media_type: str = "application/octet-stream") -> str:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        headers = {"Authorization": self._authorization, "Content-Type": media_type}
        connection.request(method, self._prefix + path, body, headers)
        answer = connection.getresponse()
        words = answer.read()
        connection.close()
        if answer.status not in {201, 202}:
            raise PushError(f"{method} {path} was answered with {answer.status}: {words!r}")
        return answer.getheader("Location") or ""
