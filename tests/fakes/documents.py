"""Documents of Systems Manager in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.faults import Faulty, port_call

from ami_lifecycle.ports import StoredDocument


class FakeDocuments(Faulty):
    """Versions of documents by name, the first being the default one unless `default` says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.all: dict[str, list[StoredDocument]] = {}
        self.default: dict[str, int] = {}

    def add(
        self,
        name: str,
        *lines: str,
        parameters: Mapping[str, Any] | None = None,
        steps: Sequence[Mapping[str, Any]] | None = None,
        kind: str = "Command",
        status: str = "Active",
    ) -> int:
        """Store a version, which runs these lines; returns its number."""
        step = {"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": list(lines)}}
        content = {"schemaVersion": "2.2", "mainSteps": [step] if steps is None else steps}
        if parameters is not None:
            content["parameters"] = parameters
        versions = self.all.setdefault(name, [])
        versions.append(StoredDocument(len(versions) + 1, kind, status, json.dumps(content)))
        return len(versions)

    @port_call
    def get(self, name: str, version: int | None) -> StoredDocument | None:
        """A version of a document."""
        number = self.default.get(name, 1) if version is None else version
        return next((each for each in self.all.get(name, ()) if each.version == number), None)
