"""Documents of Systems Manager behind the port `Documents`."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.ports import StoredDocument

# SSM API reference, GetDocument, Errors.
_MISSING: Final = frozenset({"InvalidDocument", "InvalidDocumentVersion"})


class SsmDocuments:
    """Documents through a low-level SSM client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @calls("ssm:GetDocument")
    def get(self, name: str, version: int | None) -> StoredDocument | None:
        """A version of a document, as JSON whatever it was written in; None when it does not exist."""
        asked = {} if version is None else {"DocumentVersion": str(version)}
        with aws_errors("ssm:GetDocument", name):
            try:
                answer = self._client.get_document(Name=name, DocumentFormat="JSON", **asked)
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                raise
            return StoredDocument(
                int(answer["DocumentVersion"]), answer["DocumentType"], answer["Status"], answer["Content"]
            )
