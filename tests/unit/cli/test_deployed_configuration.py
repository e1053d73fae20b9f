"""Reading the configuration that is deployed: over the caller's own certificates, and while a deployment goes on."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.stub import Stubber
from tests.unit.aws_clients import stubbed_clients

from ami_lifecycle_cli.stack import deployed_configuration
from ami_lifecycle_cli.stack.deployed_configuration import (
    DeployedConfigurationError,
    layer_of,
    read_layer,
)
from ami_lifecycle_cli.stack.deployment import Stack

LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:ami-lifecycle-configuration:7"


@pytest.fixture
def functions() -> Iterator[Stubber]:
    with stubbed_clients() as make:
        yield make("lambda")[1]


def an_archive(stubber: Stubber) -> bytes:
    """What is behind the address that Lambda answers with."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("aws_config.yml", "size: 1\n")
    checksum = base64.b64encode(hashlib.sha256(held.getvalue()).digest()).decode()
    content = {"Location": "https://layers.example.com/one", "CodeSha256": checksum}
    stubber.add_response("get_layer_version_by_arn", {"Content": content}, {"Arn": LAYER})
    return held.getvalue()


@pytest.mark.parametrize(
    ("profile", "variables", "trusted"),
    [
        ("company", {}, "/company.pem"),
        ("company", {"REQUESTS_CA_BUNDLE": "/requests.pem"}, "/company.pem"),
        ("company", {"AWS_CA_BUNDLE": "/variable.pem"}, "/variable.pem"),
        (None, {"REQUESTS_CA_BUNDLE": "/requests.pem"}, "/requests.pem"),
        (None, {}, True),
    ],
)
def test_it_is_fetched_with_the_certificates_of_the_profile(
    functions: Stubber,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    profile: str | None,
    variables: dict[str, str],
    trusted: Any,
) -> None:
    (tmp_path / "config").write_text("[profile company]\nca_bundle = /company.pem\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    archive, used = an_archive(functions), []

    class Fetcher:
        def __init__(self, **options: Any) -> None:
            used.append(options["verify"])

        def send(self, _request: Any) -> Any:
            return SimpleNamespace(status_code=200, content=archive)

    monkeypatch.setattr(deployed_configuration, "URLLib3Session", Fetcher)
    assert read_layer(functions.client, LAYER, profile) == {"aws_config.yml": b"size: 1\n"}
    assert used == [trusted]


def test_what_a_deployment_has_replaced_meanwhile_is_named(functions: Stubber) -> None:
    functions.add_client_error("get_function_configuration", "ResourceNotFoundException")
    with pytest.raises(
        DeployedConfigurationError, match=r"no function sweep any more.*deployed a moment ago"
    ):
        layer_of(functions.client, "sweep")
    functions.add_client_error("get_layer_version_by_arn", "ResourceNotFoundException")
    with pytest.raises(DeployedConfigurationError, match=r"configuration:7 any more.*try again"):
        read_layer(functions.client, LAYER)


def test_without_a_readable_configuration_a_stack_says_why(functions: Stubber) -> None:
    target: Any = SimpleNamespace(stack="s", profile=None, client=lambda _service: functions.client)
    stack = Stack(target)
    stack.__dict__["description"] = {
        "Outputs": [{"OutputKey": "SweepFunctionName", "OutputValue": "sweep"}],
    }
    functions.add_client_error("get_function_configuration", "ResourceNotFoundException")
    assert isinstance(stack.configuration_problem, DeployedConfigurationError)
