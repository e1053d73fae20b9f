"""A configuration directory and its command line, run as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.contract.config.parameter_account import CREDENTIALS, ParameterAccount
from tests.json_contract import check_document
from typer.testing import CliRunner, Result

from ami_lifecycle_cli.commands.config import app

# A secret value that no output may show.
PLANTED = "planted-51c9"
_MAIN = "from ami_lifecycle_cli.main import main; main()"
PROGRAM = (sys.executable, "-c", _MAIN, "config")
AWS = """
    ec2:
      instance_id:
        ssm_param: /{name}/ec2/instance-id
        description: The instance
        allowed_pattern: 'i-[0-9a-f]{{8,17}}'
      instance_type: {{ssm_param: /{name}/ec2/instance-type, default: g4dn.xlarge}}
    size: {{ssm_param: /{name}/size, default: 100}}
    key: {{ssm_param: /{name}/key, sensitive: true}}
    stage: {{ssm_param: '/{name}/{{environment}}/stage', default: none}}
    """


class Project:
    """A configuration directory of its own names, and its command line."""

    def __init__(self, directory: Path, account: ParameterAccount, name: str) -> None:
        self.account = account
        self.name = name
        self.directory = directory
        self.ssm = account.client("ssm")
        self.write(AWS)
        (directory / "training_config.yml").write_text("lora: {r: 16}\n")

    def write(self, text: str) -> None:
        (self.directory / "aws_config.yml").write_text(dedent(text).format(name=self.name))

    def run(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        shared = ["--config-dir", str(self.directory), "--endpoint-url", self.account.endpoint_url]
        rest = ["-e", "prod", *shared]
        words = (
            (*words[: words.index("--")], *rest, *words[words.index("--") :])
            if "--" in words
            else (*words, *rest)
        )
        result = CliRunner().invoke(app, list(words), input=stdin, env=CREDENTIALS)
        assert result.exit_code == code, result.output
        assert PLANTED not in result.output
        return result

    def json(self, *words: str, code: int = 0, stdin: str | None = None) -> Any:
        """The document of a command, which has the form of its contract."""
        document = json.loads(self.run(*words, "--json", code=code, stdin=stdin).stdout)
        check_document(f"config {words[0]}", document)
        del document["schema_version"]
        return document

    def run_process(
        self, *words: str, program: Sequence[str] = PROGRAM, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line as a process with pipes."""
        place = ["--config-dir", str(self.directory), "-e", "prod"]
        inherited = {name: value for name, value in self.account.environ.items() if name != "COLUMNS"}
        return subprocess.run(  # noqa: S603  # our own command
            [*program, *words[:1], *place, *words[1:]],
            env=inherited | environ,
            capture_output=True,
            text=True,
            check=True,
        )

    def text(self, key: str) -> str:
        found = self.ssm.get_parameter(Name=f"/{self.name}/{key}", WithDecryption=True)
        return str(found["Parameter"]["Value"])
