"""Cut installed packages down to what the functions use: run by this directory's Makefile.

botocore carries the models of all AWS services. A client parses its service's model when it is made, and EC2's
is 4 MB of JSON: that is most of a cold start. So only the services and operations of `operations.json` are
kept, without their documentation. A test holds that file against the calls in the code.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# For people, type checkers and tests. boto3's resources and transfers are interfaces that no function uses.
UNUSED_DIRECTORIES = ("boto3/data", "boto3/examples")
# botocore writes documentation into the methods of clients when somebody asks for it. Its writer takes a third of the
# time to import botocore, so these stand in for it.
DOCUMENTATION = {
    "__init__.py": "",
    "docstring.py": (
        "class LazyLoadedDocstring(str):\n"
        "    def __new__(cls, *args, **kwargs):\n"
        "        return str.__new__(cls)\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        pass\n"
        "ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = LazyLoadedDocstring\n"
    ),
}
UNUSED_FILES = ("*.pyi", "py.typed")
SERVICE, PAGINATORS, WAITERS = "service-2.json.gz", "paginators-1.json", "waiters-2.json"
KEPT_FILES = {SERVICE, PAGINATORS, "paginators-1.sdk-extras.json", "endpoint-rule-set-1.json.gz"}


def prune(packages: Path, operations: dict[str, list[str]]) -> None:
    """Prune a directory of installed packages in place; raises SystemExit for an operation that is unknown."""
    for name in UNUSED_DIRECTORIES:
        shutil.rmtree(packages / name, ignore_errors=True)
    for pattern in UNUSED_FILES:
        for path in packages.rglob(pattern):
            path.unlink()
    _replace_documentation(packages / "botocore" / "docs")
    _prune_endpoints(packages / "botocore" / "data" / "endpoints.json", operations)
    for directory in (packages / "botocore" / "data").iterdir():
        if directory.is_dir():
            _prune_service(directory, operations.get(directory.name))
    missing = [name for name in operations if not (packages / "botocore" / "data" / name).is_dir()]
    if missing:
        raise SystemExit(f"operations.json: botocore has no service {', '.join(missing)}")


def _replace_documentation(directory: Path) -> None:
    kept = directory / "utils.py"
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != kept:
            path.unlink()
    for name, text in DOCUMENTATION.items():
        (directory / name).write_text(text)


def _prune_endpoints(path: Path, services: Iterable[str]) -> None:
    """Keep the endpoints of our services in all partitions; they are listed by the prefix of their host names."""
    prefixes = {*services, "sts"} | {"states", "api.ecr"}
    content = json.loads(path.read_text())
    for partition in content["partitions"]:
        partition["services"] = {key: each for key, each in partition["services"].items() if key in prefixes}
    path.write_text(_dense(content))


def _prune_service(directory: Path, operations: list[str] | None) -> None:
    """Keep the newest API version of a service, with the given operations."""
    versions = sorted(each for each in directory.iterdir() if each.is_dir())
    if operations is None:
        shutil.rmtree(directory)
        return
    for version in versions[:-1]:
        shutil.rmtree(version)
    newest = versions[-1]
    for path in newest.iterdir():
        if path.name not in KEPT_FILES:
            path.unlink()
    _prune_model(newest / SERVICE, operations)
    for path in newest.glob("paginators-1*.json"):
        paginators = json.loads(path.read_text())
        key = "pagination" if "pagination" in paginators else "merge"
        if key == "pagination":
            kept = {name: each for name, each in paginators[key].items() if name in operations}
            path.write_text(_dense({key: kept}))
        else:
            # Extras are merged into paginators that may be gone.
            path.unlink()


def _prune_model(path: Path, operations: list[str]) -> None:
    model = _without_documentation(json.loads(gzip.decompress(path.read_bytes())))
    unknown = [name for name in operations if name not in model["operations"]]
    if unknown:
        raise SystemExit(f"operations.json: {path.parent.parent.name} has no operation {', '.join(unknown)}")
    kept = {name: model["operations"][name] for name in sorted(operations)}
    shapes = _reachable(model["shapes"], kept.values())
    model |= {"operations": kept, "shapes": {name: model["shapes"][name] for name in sorted(shapes)}}
    # No time stamp in the archive: the same input gives the same layer.
    path.write_bytes(gzip.compress(_dense(model).encode(), mtime=0))


def _without_documentation(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_documentation(item)
            for key, item in value.items()
            if not (key == "documentation" and isinstance(item, str))
        }
    return [_without_documentation(item) for item in value] if isinstance(value, list) else value


def _reachable(shapes: dict[str, Any], operations: Iterable[Any]) -> set[str]:
    """Names of the shapes that operations use, through any number of members; botocore asks for errors too."""
    found: set[str] = set()
    waiting = [name for operation in operations for name in _names(operation)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_names(shapes[name]))
    return found


def _names(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if isinstance(value.get("shape"), str):
            yield value["shape"]
        for item in value.values():
            yield from _names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)


def _dense(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


if __name__ == "__main__":
    prune(Path(sys.argv[1]), json.loads(Path(__file__).with_name("operations.json").read_text()))
