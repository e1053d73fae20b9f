"""The command line as an operator runs it, against the emulated account of the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.json_contract import check_document
from tests.workflows.service import Service
from typer.testing import CliRunner

from ami_lifecycle_cli.main import app


@dataclass(frozen=True)
class Answer:
    """What a command printed, and how it ended."""

    exit_code: int
    output: str
    notes: str

    def json(self) -> Any:
        assert self.exit_code == 0, self.output + self.notes
        return json.loads(self.output)


@dataclass(frozen=True)
class Operator:
    """Somebody with the command line; what is configured is what is deployed."""

    service: Service

    def run(self, *words: str) -> Answer:
        """Run a command. Whatever it raises, beside the end of the command, fails the test."""
        options: Sequence[str] = (
            "--endpoint-url",
            self.service.endpoint_url,
            "--region",
            "us-east-1",
        )
        environment = {"AWS_ACCESS_KEY_ID": "operator", "AWS_SECRET_ACCESS_KEY": "operator", "COLUMNS": "80"}
        result = CliRunner(env=environment).invoke(app, [*words, *options])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    def ask(self, *words: str) -> Any:
        """The document that a command answers with, which has the form of its contract; it succeeds."""
        document = self.run(*words, "--json").json()
        check_document(command_of(words), document)
        del document["schema_version"]
        return document

    def status(self, environment: str) -> Any:
        """What `status` says of one environment."""
        (found,) = self.ask("status", environment)["environments"]
        return found


def command_of(words: Sequence[str]) -> str:
    """The name of the command among the words of a command line."""
    return " ".join(words[:2]) if words[0] in {"config", "emulator"} else words[0]
