"""A private certificate authority, and the certificate of the machines' AWS endpoints."""

from __future__ import annotations

import ssl
from pathlib import Path

from aws_emulator.machines.commands import run

_DAYS = "3650"


def create_authority(directory: Path, names: list[str]) -> None:
    """Write `ca.crt`, `server.key` and `server.crt`; the authority's own key is not kept.

    Args:
        directory: where to.
        names: DNS names of the server.

    Raises:
        CommandError: openssl is missing or fails.
    """
    ca_key, request = directory / "ca.key", directory / "server.csr"
    extensions = directory / "server.ext"
    alternatives = ",".join(f"DNS:{name}" for name in names)
    extensions.write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth\n", encoding="ascii")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256")
    out, days = str(directory / "ca.crt"), ("-days", _DAYS)
    subject = ("-subj", "/CN=ami-lifecycle emulator")
    run("openssl", "req", "-x509", *key, "-keyout", str(ca_key), "-out", out, *days, *subject)
    subject = ("-subj", "/CN=server")
    run("openssl", "req", *key, "-keyout", str(directory / "server.key"), "-out", str(request), *subject)
    signer = ("-CA", out, "-CAkey", str(ca_key), "-CAcreateserial", *days, "-extfile", str(extensions))
    run("openssl", "x509", "-req", "-in", str(request), *signer, "-out", str(directory / "server.crt"))
    for path in (ca_key, request, extensions, directory / "ca.srl"):
        path.unlink(missing_ok=True)


def server_context(directory: Path) -> ssl.SSLContext:
    """The TLS settings of the server with the certificate from `create_authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    return context
