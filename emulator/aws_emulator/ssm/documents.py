"""Systems Manager documents (API reference: CreateDocument, UpdateDocument, GetDocument, ...)."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import yaml

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import page
from aws_emulator.clock import Clock
from aws_emulator.durations import Durations
from aws_emulator.ssm.document_content import DocumentContent, parse

_RESERVED: Final = ("aws", "amazon", "amzn", "awsec2", "awsconfigremediation", "awssupport")
# AWS's own document for a shell script, as far as commands need it.
_RUN_SHELL_SCRIPT: Final = {
    "schemaVersion": "2.2",
    "description": "Run a shell script or specify the commands to run.",
    "parameters": {
        "commands": {"type": "StringList", "description": "The commands to run."},
        "workingDirectory": {"type": "String", "default": "", "description": "The working directory."},
        "executionTimeout": {
            "type": "String",
            "default": "3600",
            "allowedPattern": "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)",
            "description": "Seconds until the command is ended.",
        },
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "runShellScript",
            "inputs": {"runCommand": "{{ commands }}", "timeoutSeconds": "{{ executionTimeout }}"},
        }
    ],
}


@dataclass
class DocumentVersion:
    """One version of a document."""

    number: int
    text: str
    format: str
    content: DocumentContent
    created: datetime
    created_elapsed: float
    version_name: str | None = None


@dataclass
class Document:
    """A document with its versions by number."""

    name: str
    owner: str
    target_type: str | None
    versions: dict[int, DocumentVersion]
    default_version: int = 1
    tags: dict[str, str] = field(default_factory=dict)
    document_type: str = "Command"

    @property
    def latest_version(self) -> int:
        """The highest version number."""
        return max(self.versions)


class Documents:
    """The documents of the account, and AWS's own `AWS-RunShellScript`; all operations hold `lock`."""

    def __init__(self, clock: Clock, durations: Durations, *, account_id: str, region: str) -> None:
        self.clock = clock
        self.durations = durations
        self.account_id = account_id
        self.region = region
        self.lock = threading.RLock()
        self.documents: dict[str, Document] = {}
        version = self._new_version(1, {"Content": json.dumps(_RUN_SHELL_SCRIPT)})
        version.created_elapsed -= durations.document_active
        self.documents["AWS-RunShellScript"] = Document("AWS-RunShellScript", "Amazon", None, {1: version})

    def _new_version(self, number: int, parameters: Mapping[str, Any]) -> DocumentVersion:
        document_format = parameters.get("DocumentFormat", "JSON")
        return DocumentVersion(
            number=number,
            text=parameters["Content"],
            format=document_format,
            content=parse(parameters["Content"], document_format),
            created=self.clock.now(),
            created_elapsed=self.clock.elapsed(),
            version_name=parameters.get("VersionName"),
        )

    def add_document(self, owner: str, name: str, content: str, document_type: str = "Command") -> str:
        """Seed a document that is there and active: of another account, which shares it, or of a type that the emulator
        does not make; returns what it goes by. One of another account goes by its ARN alone (Systems Manager user
        guide, "Using shared SSM documents").
        """
        version = DocumentVersion(1, content, "JSON", DocumentContent("", {}, ()), self.clock.now(), 0.0)
        if document_type == "Command":
            version = self._new_version(1, {"Content": content})
        version.created_elapsed = self.clock.elapsed() - self.durations.document_active
        known_as = name if owner == self.account_id else f"arn:aws:ssm:{self.region}:{owner}:document/{name}"
        self.documents[known_as] = Document(known_as, owner, None, {1: version}, document_type=document_type)
        return known_as

    def require_document(self, name: str) -> Document:
        """The document with a name or ARN; of this Region, and of another account only if that shares it.

        Raises:
            ApiError: `InvalidDocument`.
        """
        plain = name.removeprefix(f"arn:aws:ssm:{self.region}:{self.account_id}:document/")
        if plain not in self.documents:
            raise ApiError("InvalidDocument", f"Document with name {name} does not exist.")
        return self.documents[plain]

    def require_version(self, document: Document, requested: str | None) -> DocumentVersion:
        """A document's version by number, `$LATEST` or `$DEFAULT`.

        Raises:
            ApiError: `InvalidDocumentVersion`.
        """
        if requested in {None, "$DEFAULT"}:
            return document.versions[document.default_version]
        if requested == "$LATEST":
            return document.versions[document.latest_version]
        number = int(requested) if requested and requested.isdecimal() else 0
        if number not in document.versions:
            raise ApiError(
                "InvalidDocumentVersion", f"Document version {requested} is not valid for {document.name}."
            )
        return document.versions[number]

    def is_active(self, version: DocumentVersion) -> bool:
        """Whether a version can be used yet."""
        return self.clock.elapsed() - version.created_elapsed >= self.durations.document_active

    @operation("ssm", "CreateDocument")
    def create_document(self, request: Request) -> Response:
        """Create a Command document; it is `Creating` for a moment."""
        with self.lock:
            parameters = request.parameters
            refuse_unsupported_parameters(
                "ssm",
                "CreateDocument",
                parameters,
                (
                    "Content",
                    "DisplayName",
                    "DocumentFormat",
                    "DocumentType",
                    "Name",
                    "Tags",
                    "TargetType",
                    "VersionName",
                ),
            )
            name = parameters["Name"]
            if parameters.get("DocumentType", "Command") != "Command":
                raise ApiError("EmulatorUnsupportedParameter", "the emulator emulates Command documents", 501)
            if name.lower().startswith(_RESERVED):
                raise ApiError(
                    "ValidationException", f"The document name {name} begins with a reserved prefix."
                )
            if name in self.documents:
                raise ApiError("DocumentAlreadyExists", "The specified document already exists.")
            document = Document(
                name,
                self.account_id,
                parameters.get("TargetType"),
                {1: self._new_version(1, parameters)},
                tags={tag["Key"]: tag["Value"] for tag in parameters.get("Tags", ())},
            )
            self.documents[name] = document
            return {"DocumentDescription": self._described(document, document.versions[1])}

    @operation("ssm", "UpdateDocument")
    def update_document(self, request: Request) -> Response:
        """Add a version; unchanged content is refused, and the default version stays."""
        with self.lock:
            parameters = request.parameters
            refuse_unsupported_parameters(
                "ssm",
                "UpdateDocument",
                parameters,
                (
                    "Content",
                    "DisplayName",
                    "DocumentFormat",
                    "DocumentVersion",
                    "Name",
                    "TargetType",
                    "VersionName",
                ),
            )
            document = self.require_document(parameters["Name"])
            requested = parameters.get("DocumentVersion", "$LATEST")
            if self.require_version(document, requested).number != document.latest_version:
                raise ApiError("InvalidDocumentVersion", "The document version is not the latest version.")
            version = self._new_version(document.latest_version + 1, parameters)
            if any(each.text == version.text for each in document.versions.values()):
                raise ApiError(
                    "DuplicateDocumentContent",
                    "The content of the association document matches another document. Change the content of the "
                    "document and try again.",
                )
            document.versions[version.number] = version
            document.target_type = parameters.get("TargetType", document.target_type)
            return {"DocumentDescription": self._described(document, version)}

    @operation("ssm", "UpdateDocumentDefaultVersion")
    def update_document_default_version(self, request: Request) -> Response:
        """Choose the version that is used unless another is named."""
        with self.lock:
            document = self.require_document(request.parameters["Name"])
            version = self.require_version(document, request.parameters["DocumentVersion"])
            document.default_version = version.number
            return {"Description": {"Name": document.name, "DefaultVersion": str(version.number)}}

    @operation("ssm", "DescribeDocument")
    def describe_document(self, request: Request) -> Response:
        """Describe a document's version."""
        with self.lock:
            document = self.require_document(request.parameters["Name"])
            version = self.require_version(document, request.parameters.get("DocumentVersion"))
            return {"Document": self._described(document, version)}

    @operation("ssm", "GetDocument")
    def get_document(self, request: Request) -> Response:
        """Get the content of a version, in the format asked for."""
        with self.lock:
            document = self.require_document(request.parameters["Name"])
            version = self.require_version(document, request.parameters.get("DocumentVersion"))
            requested = request.parameters.get("DocumentFormat", "JSON")
            return {
                "Name": document.name,
                "CreatedDate": version.created,
                "DocumentVersion": str(version.number),
                "Status": self._status(version),
                "Content": _converted(version, requested),
                "DocumentType": document.document_type,
                "DocumentFormat": requested,
            }

    @operation("ssm", "DeleteDocument")
    def delete_document(self, request: Request) -> Response:
        """Delete a document, or one version that is not the default."""
        with self.lock:
            document = self.require_document(request.parameters["Name"])
            if document.owner == "Amazon":
                raise ApiError("InvalidDocument", "Documents of Amazon cannot be deleted.")
            requested = request.parameters.get("DocumentVersion")
            if requested is None:
                del self.documents[document.name]
                return {}
            version = self.require_version(document, requested)
            if version.number == document.default_version:
                raise ApiError(
                    "InvalidDocumentOperation", "The default version of the document cannot be deleted."
                )
            del document.versions[version.number]
            return {}

    @operation("ssm", "ListDocuments")
    def list_documents(self, request: Request) -> Response:
        """List documents by name prefix, owner, type or tag, in pages."""
        with self.lock:
            parameters = request.parameters
            found = sorted(self.documents.values(), key=lambda each: each.name)
            filters = [(each["Key"], each.get("Values", [])) for each in parameters.get("Filters", ())]
            filters += [(each["key"], [each["value"]]) for each in parameters.get("DocumentFilterList", ())]
            for key, values in filters:
                found = [each for each in found if self._matches(each, key, values)]
            shown, token = page(found, parameters.get("NextToken"), parameters.get("MaxResults"), default=50)
            return {
                "DocumentIdentifiers": [
                    {
                        "Name": each.name,
                        "Owner": each.owner,
                        "PlatformTypes": ["Linux"],
                        "DocumentVersion": str(each.default_version),
                        "DocumentType": each.document_type,
                        "SchemaVersion": "2.2",
                        "DocumentFormat": each.versions[each.default_version].format,
                        "TargetType": each.target_type,
                        "Tags": [{"Key": key, "Value": value} for key, value in each.tags.items()],
                    }
                    for each in shown
                ],
                "NextToken": token,
            }

    def _matches(self, document: Document, key: str, values: list[str]) -> bool:
        if key == "Name":
            return document.name.startswith(tuple(values))
        if key == "Owner":
            owners = {"Self": self.account_id, "Amazon": "Amazon"}
            return document.owner in {owners.get(value, value) for value in values} or "All" in values
        if key == "DocumentType":
            return document.document_type in values
        if key == "PlatformTypes":
            return "Linux" in values
        if key.startswith("tag:"):
            return document.tags.get(key.removeprefix("tag:")) in values
        raise ApiError("InvalidFilterKey", f"The specified key is not valid: {key}")

    def _status(self, version: DocumentVersion) -> str:
        if self.is_active(version):
            return "Active"
        return "Creating" if version.number == 1 else "Updating"

    def _described(self, document: Document, version: DocumentVersion) -> dict[str, Any]:
        return {
            "Hash": hashlib.sha256(version.text.encode()).hexdigest(),
            "HashType": "Sha256",
            "Name": document.name,
            "VersionName": version.version_name,
            "Owner": document.owner,
            "CreatedDate": version.created,
            "Status": self._status(version),
            "DocumentVersion": str(version.number),
            "Description": version.content.description,
            "Parameters": [
                {
                    "Name": name,
                    "Type": definition["type"],
                    "Description": definition.get("description"),
                    "DefaultValue": _shown_default(definition.get("default")),
                }
                for name, definition in version.content.parameters.items()
            ],
            "PlatformTypes": ["Linux"],
            "DocumentType": document.document_type,
            "SchemaVersion": "2.2",
            "LatestVersion": str(document.latest_version),
            "DefaultVersion": str(document.default_version),
            "DocumentFormat": version.format,
            "TargetType": document.target_type,
            "Tags": [{"Key": key, "Value": value} for key, value in document.tags.items()],
        }


def _shown_default(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _converted(version: DocumentVersion, requested: str) -> str:
    if requested == version.format:
        return version.text
    content = yaml.safe_load(version.text)
    return json.dumps(content, indent=2) if requested == "JSON" else yaml.safe_dump(content, sort_keys=False)
