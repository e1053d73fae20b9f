"""The deployed configuration: the files in the functions' layer, and how local files differ from them."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import get_environ_proxies

from ami_lifecycle.adapters.translation import aws_errors, code_of
from ami_lifecycle.domain.forms import FORMS
from ami_lifecycle.domain.hooks import HOOKS_DIRECTORY
from ami_lifecycle.errors import InputError, ServiceUnavailableError
from parameter_config.documents import is_config_file, load_plain_yaml

_LAYER: Final = "-configuration"
_PATIENCE_SECONDS: Final = 20.0
_NOTHING: Final = object()


class DeployedConfigurationError(InputError):
    """The deployed configuration cannot be found or verified."""


def layer_of(lambda_client: Any, function: str) -> str:
    """ARN of the layer version with the configuration that a function reads.

    Raises:
        DeployedConfigurationError: the function has none, or is no more.
    """
    with _there(f"function {function}"), aws_errors("lambda:GetFunctionConfiguration", function):
        found = lambda_client.get_function_configuration(FunctionName=function)
    arns = [str(each["Arn"]) for each in found.get("Layers", ())]
    arn = next((each for each in arns if each.split(":")[6].endswith(_LAYER)), None)
    if arn is None:
        raise DeployedConfigurationError(
            f"the function {function} has no layer whose name ends in {_LAYER}, so it reads no configuration",
            hint="deploy the stack again: sam deploy",
        )
    return arn


@contextmanager
def _there(what: str) -> Iterator[None]:
    """A deployment replaces the layer, and deletes the version before."""
    try:
        yield
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
        raise DeployedConfigurationError(
            f"Lambda has no {what} any more",
            hint="the stack may have been deployed a moment ago: try again",
        ) from error


def read_layer(lambda_client: Any, arn: str, profile: str | None = None) -> dict[str, bytes]:
    """The configuration files of a layer version, by their names.

    Raises:
        DeployedConfigurationError: the version is no more, or what is delivered is not what Lambda has.
        ServiceUnavailableError: it cannot be fetched.
    """
    with _there(f"layer version {arn}"), aws_errors("lambda:GetLayerVersion", arn):
        content = lambda_client.get_layer_version_by_arn(Arn=arn)["Content"]
    archive = _fetch(content["Location"], arn, profile)
    if base64.b64encode(hashlib.sha256(archive).digest()).decode() != content["CodeSha256"]:
        raise DeployedConfigurationError(
            f"what was fetched of {arn} has another checksum than Lambda says",
            hint="look for a proxy that changes answers",
        )
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        # Functions read what is directly below /opt.
        return {name: opened.read(name) for name in opened.namelist() if _is_read(name)}


def _is_read(name: str) -> bool:
    return (name.count("/") == 0 and is_config_file(Path(name))) or _is_hook(name)


def _is_hook(name: str) -> bool:
    return FORMS["hook_script"].accepts(f"config/{name}")


def _fetch(url: str, arn: str, profile: str | None) -> bytes:
    """What is behind the presigned address (Lambda API reference, LayerVersionContentOutput: valid for 10 minutes)."""
    # As botocore's clients have them: certificates of the profile or the environment, proxies of the environment.
    authorities = Session(profile=profile).get_config_variable("ca_bundle")
    session = URLLib3Session(
        verify=authorities or os.environ.get("REQUESTS_CA_BUNDLE") or True,
        proxies=get_environ_proxies(url),
        timeout=_PATIENCE_SECONDS,
    )
    try:
        answer = session.send(AWSRequest("GET", url).prepare())
        status, content = int(answer.status_code), bytes(answer.content)
    except BotoCoreError as error:
        raise ServiceUnavailableError(
            f"the configuration {arn} cannot be fetched from Amazon S3: {error}",
            hint="check the network and the proxy",
        ) from error
    if status != 200:
        raise ServiceUnavailableError(
            f"the configuration {arn} cannot be fetched: Amazon S3 answers {status}",
            hint="check that S3 can be reached from here",
        )
    return content


@contextmanager
def directory_of(files: Mapping[str, bytes]) -> Iterator[str]:
    """A directory with these files, until they have been read."""
    with tempfile.TemporaryDirectory(prefix="deployed-configuration-") as directory:
        for name, content in files.items():
            path = Path(directory) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        yield directory


def files_of(directory: Path) -> dict[str, bytes]:
    """The configuration files of a directory, by their names."""
    hooks = sorted((directory / HOOKS_DIRECTORY).glob("*"))
    return {
        **{path.name: path.read_bytes() for path in sorted(directory.iterdir()) if is_config_file(path)},
        **{
            name: path.read_bytes()
            for path in hooks
            if path.is_file() and _is_hook(name := f"{HOOKS_DIRECTORY}/{path.name}")
        },
    }


def differences(deployed: Mapping[str, bytes], local: Mapping[str, bytes]) -> Iterator[str]:
    """What differs, key by key: `build_config.yml: environments.prod.tags (deployed nothing, here {...})`."""
    for name in sorted({*deployed, *local}):
        there, here = (_values_of(name, files.get(name)) for files in (deployed, local))
        for path in sorted({*there, *here}):
            before, after = there.get(path, _NOTHING), here.get(path, _NOTHING)
            if before != after:
                yield f"{name}: {path} (deployed {_shown(before)}, here {_shown(after)})"


def _values_of(name: str, content: bytes | None) -> dict[str, Any]:
    """Every value by its dotted path; a file that cannot be read is one value."""
    flat: dict[str, Any] = {}
    if content is not None and _is_hook(name):
        flat["the script"] = f"sha256 {hashlib.sha256(content).hexdigest()[:12]}"
    elif content is not None:
        try:
            _flatten("", load_plain_yaml(content.decode()), flat)
        except (UnicodeDecodeError, yaml.YAMLError):
            flat["the file"] = content
    return flat


def _flatten(path: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            _flatten(f"{path}.{key}" if path else str(key), below, into)
    else:
        into[path or "the file"] = value


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    if isinstance(value, bytes):
        return "unreadable"
    text = str(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 40 else f"{text[:37]}..."
