"""What `make build` makes: the layers' size and content, as Lambda will mount them below /opt."""

from __future__ import annotations

import ast
import gzip
import json
import platform
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3]
BUILT = next(
    (each for each in (PROJECT / ".aws-sam" / name for name in ("local", "build")) if each.is_dir()), None
)
SOURCES = PROJECT / "layers" / "ami_lifecycle" / "ami_lifecycle"
LIBRARY = PROJECT / "layers" / "parameter_config" / "parameter_config"
MIB = 2**20
# The flags of a .pyc that is trusted without a look at its source (PEP 552).
UNCHECKED_HASH = 0b01
PYTHON_3_13_MAGIC = 3571
needs_build = pytest.mark.skipif(BUILT is None, reason="nothing is built; run make build")


def layer(name: str) -> Path:
    assert BUILT is not None
    return BUILT / name


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in files(directory))


@cache
def operations() -> dict[str, list[str]]:
    """The operations that are left in botocore's models."""
    loaded: dict[str, list[str]] = json.loads(
        (PROJECT / "layers" / "dependencies" / "operations.json").read_text()
    )
    return loaded


def called_methods(directory: Path) -> set[str]:
    """Names of client methods in the source: `client.describe_images(...)`, `get_paginator("scan")`."""
    found: set[str] = set()
    for path in directory.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                if node.func.attr == "get_paginator" and isinstance(node.args[0], ast.Constant):
                    found.add(str(node.args[0].value))
                elif re.fullmatch(r"(self\._)?(client|ec2|autoscaling|ssm|sns|events)", owner):
                    found.add(node.func.attr)
    return found - {"get_paginator"}


def snake_case(operation: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower()


def test_every_operation_that_adapters_call_is_kept() -> None:
    kept = {snake_case(operation) for names in operations().values() for operation in names}
    called = called_methods(SOURCES / "adapters")
    assert len(called) > 20
    assert called - kept == set()


def test_nothing_is_kept_that_no_code_calls() -> None:
    # GetParameters, ... GetSecretValue are called by name, or by what reads configuration.
    text = "\n".join(path.read_text() for path in (*SOURCES.rglob("*.py"), *LIBRARY.rglob("*.py")))
    unused = {
        operation
        for names in operations().values()
        for operation in names
        if snake_case(operation) not in text and operation not in text
    }
    assert unused == set()


def test_every_service_that_a_function_makes_a_client_of_is_kept() -> None:
    texts = [
        path.read_text() for path in (*PROJECT.glob("functions/*/app.py"), *SOURCES.rglob("adapters/**/*.py"))
    ]
    services = {service for text in texts for service in re.findall(r'client\(\s*"(\w+)"', text)}
    assert services
    assert services - set(operations()) == set()


@needs_build
def test_the_layers_are_at_most_30_mib_unpacked() -> None:
    total = sum(
        size(layer(name)) for name in ("DependenciesLayer", "AmiLifecycleLayer", "ParameterConfigLayer")
    )
    assert total <= 30 * MIB


@needs_build
def test_the_dependencies_are_the_pinned_ones_and_no_others() -> None:
    text = (PROJECT / "layers" / "dependencies" / "requirements.txt").read_text()
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", text, re.MULTILINE))
    names = [path.stem for path in (layer("DependenciesLayer") / "python").glob("*.dist-info")]
    installed = {
        re.sub(r"[-_.]+", "-", name).lower(): version
        for name, _, version in (each.rpartition("-") for each in names)
    }
    assert installed == pinned


@needs_build
def test_nothing_of_tests_or_type_stubs_is_in_a_layer() -> None:
    unwanted = re.compile(r"(^|/)(tests?|testing|examples)/|\.pyi$|(^|/)py\.typed$|(^|/)bin/")
    for name in ("DependenciesLayer", "AmiLifecycleLayer", "ParameterConfigLayer"):
        root = layer(name) / "python"
        names = [path.relative_to(root).as_posix() for path in files(root)]
        # Type information of our own package is for those who import it elsewhere.
        found = [each for each in names if unwanted.search(each) and each.split("/")[-1] != "py.typed"]
        assert found == []


@needs_build
@pytest.mark.parametrize("name", ["DependenciesLayer", "AmiLifecycleLayer", "ParameterConfigLayer"])
def test_every_module_has_bytecode_that_needs_no_look_at_its_source(name: str) -> None:
    root = layer(name) / "python"
    for source in root.rglob("*.py"):
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        assert compiled.is_file(), f"{source} is not compiled"
        header = compiled.read_bytes()[:16]
        assert int.from_bytes(header[:2], "little") == PYTHON_3_13_MAGIC
        assert int.from_bytes(header[4:8], "little") == UNCHECKED_HASH


@needs_build
def test_bytecode_names_the_paths_of_the_runtime() -> None:
    compiled = layer("AmiLifecycleLayer") / "python/ami_lifecycle/__pycache__/errors.cpython-313.pyc"
    content = compiled.read_bytes()
    assert b"/opt/python/ami_lifecycle/errors.py" in content
    assert str(PROJECT).encode() not in content


@needs_build
def test_binaries_are_for_one_architecture_of_lambda() -> None:
    built: Any = yaml.safe_load((layer("DependenciesLayer").parent / "template.yaml").read_text())
    assert built["Resources"]["DependenciesLayer"]["Properties"]["CompatibleRuntimes"] == ["python3.13"]
    libraries = [path.name for path in files(layer("DependenciesLayer")) if path.suffix == ".so"]
    machines = {
        match[1] for each in libraries if (match := re.search(r"cpython-313-(\w+)-linux-gnu\.so$", each))
    }
    assert libraries
    assert machines in ({"aarch64"}, {"x86_64"})


@needs_build
def test_botocore_holds_the_services_that_are_called_and_their_newest_models() -> None:
    data = layer("DependenciesLayer") / "python" / "botocore" / "data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == set(operations())
    for name, kept in operations().items():
        (version,) = [path for path in (data / name).iterdir() if path.is_dir()]
        model = json.loads(gzip.decompress((version / "service-2.json.gz").read_bytes()))
        assert sorted(model["operations"]) == sorted(kept)
        assert (version / "endpoint-rule-set-1.json.gz").is_file()
        assert "documentation" not in {key for shape in model["shapes"].values() for key in shape}


IMPORT_ALL = """
import importlib.util, pathlib, sys
for app in sorted(pathlib.Path(sys.argv[1]).glob("*/app.py")):
    spec = importlib.util.spec_from_file_location(app.parent.name, app)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
from ami_lifecycle.adapters.clients import client
assert client("ec2").meta.endpoint_url == "https://ec2.us-east-1.amazonaws.com"
assert client("ec2").can_paginate("describe_images") is True
assert "boto3" not in sys.modules
"""


@needs_build
def test_every_function_starts_with_nothing_but_the_layers() -> None:
    python = subprocess.run(  # noqa: S603 - a script of this project
        [str(PROJECT / "scripts" / "python_3_13.sh")], capture_output=True, text=True, check=True
    ).stdout.strip()
    libraries = [path.name for path in files(layer("DependenciesLayer")) if path.suffix == ".so"]
    if not python or not any(platform.machine() in name for name in libraries):
        pytest.skip("no Python 3.13 here, or the layers are for another processor")
    layers = [
        str(layer(name) / "python")
        for name in ("DependenciesLayer", "AmiLifecycleLayer", "ParameterConfigLayer")
    ]
    environment = {
        "PYTHONPATH": ":".join(layers),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    done = subprocess.run(  # noqa: S603 - the interpreter, and functions of this project
        [python, "-S", "-c", IMPORT_ALL, str(PROJECT / "functions")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
