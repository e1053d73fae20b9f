"""Checks a configuration: its files, the stored values, and whether what they name exists."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from parameter_config.attributes import AttributeChange, read_changes, remedy_for
from parameter_config.aws_errors import translated
from parameter_config.declarations import Declaration
from parameter_config.documents import is_config_file, read_all_documents
from parameter_config.environments import declared_parameters
from parameter_config.errors import (
    AccessDeniedError,
    ConfigError,
    ConfigFileError,
    Location,
    StoreRequestError,
)
from parameter_config.loader import Config
from parameter_config.secrets_manager import SecretStore

Level: TypeAlias = Literal["error", "warning"]
ClientMaker: TypeAlias = Callable[[str], Any]
_FILTER_VALUES: Final = 200


@dataclass(frozen=True)
class Finding:
    """Something that a person should look at.

    `level` is `error` where the configuration cannot work as it is, else `warning`.
    """

    level: Level
    message: str
    remedy: str = ""
    path: str | None = None
    location: Location | None = None


def validate_files(config_dir: str | Path) -> list[Finding]:
    """Everything that is wrong with the files of a directory. Needs no AWS."""
    try:
        documents, problems = read_all_documents(config_dir)
    except ConfigFileError as error:
        return [_finding(error)]
    return [*map(_finding, problems), *_unread_files(documents.directory, documents.tree)]


def _unread_files(directory: Path, namespaces: Iterable[str]) -> Iterator[Finding]:
    """Files that look as if they belonged here, and that nothing reads."""
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() in {".yml", ".yaml"} and not is_config_file(path):
            close = difflib.get_close_matches(path.name, [f"{name}_config.yml" for name in namespaces], n=1)
            yield Finding(
                "warning",
                f"{path} is not read: only files named <name>_config.yml are.",
                f"Is it meant to be {close[0]}?" if close else "Rename it, or move it elsewhere.",
                location=Location(str(path)),
            )


def validate_values(config: Config) -> list[Finding]:
    """Every stored value that is not what its declaration says, and every value that does not exist.

    For the environment that is named, else for all.

    Raises:
        ConfigError: Parameter Store cannot be read.
    """
    declared = list(declared_parameters(config))
    changes = read_changes(config.parameter_store, {name: declaration for _, name, declaration in declared})
    return [
        finding
        for own, name, declaration in declared
        for finding in (
            *_validate_value(own, declaration),
            *_validate_attributes(name, declaration, changes.get(name, [])),
        )
    ]


def _validate_attributes(
    name: str, declaration: Declaration, changes: Sequence[AttributeChange]
) -> Iterator[Finding]:
    for change in changes:
        if change.attribute != "sensitive":  # an error, which `_validate_value` has
            yield Finding(
                "warning",
                f"{name} is stored in another way than declared: {change}.",
                remedy_for(name, [change]),
                declaration.path,
                declaration.location,
            )


def _validate_value(config: Config, declaration: Declaration) -> Iterator[Finding]:
    cached = config.resolver.look_up(declaration)
    if cached.parameter is None and declaration.default is None:
        if declaration.schema.optional:
            return
        missing = config.resolver.missing(declaration.path)
        yield _finding(missing, path=declaration.path)
        return
    if cached.parameter is None:
        return
    if declaration.schema.sensitive and not cached.parameter.sensitive:
        yield Finding(
            "error",
            f"{cached.parameter.name} is declared sensitive and stored as a plain {cached.parameter.type}.",
            "Delete it, wait 30 seconds, and set it again; it is then a SecureString.",
            declaration.path,
            declaration.location,
        )
    try:
        config.resolver.resolve(declaration)
    except ConfigError as error:
        yield _finding(error, path=declaration.path)


def validate_resources(config: Config, client: ClientMaker) -> list[Finding]:
    """Every value that names an AWS resource which does not exist, or could not be looked up.

    Ids of instances, volumes, subnets, security groups, VPCs and images are known by their form; buckets
    and ECR repositories by the last word of their key; secrets by their declaration.

    Args:
        config: the configuration; values that cannot be resolved are passed over.
        client: makes a boto3 client of a service.
    """
    named = list(_named_values(config))
    checks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        *((kind.operation, lambda kind=kind: _missing_ids(kind, named, client)) for kind in _ID_KINDS),
        ("s3:ListBucket", lambda: _missing_buckets(named, client)),
        ("ecr:DescribeRepositories", lambda: _missing_repositories(named, client)),
        ("secretsmanager:DescribeSecret", lambda: _missing_secrets(named, client)),
    ]
    findings: list[Finding] = []
    for action, check in checks:
        try:
            findings += check()
        except ConfigError as error:
            findings.append(Finding("warning", f"Not checked with {action}: {error.message}", error.remedy))
    return findings


@dataclass(frozen=True)
class _Named:
    """A string of the configuration that may name a resource."""

    declaration: Declaration
    value: str

    @property
    def key(self) -> str:
        return self.declaration.path.rsplit(".", 1)[-1]

    def lacks(self, what: str, *, level: Level = "error") -> Finding:
        return Finding(
            level,
            f"{self.declaration.path} names the {what} {self.value!r}, which does not exist here.",
            "Correct the value, or check the account and Region.",
            self.declaration.path,
            self.declaration.location,
        )


def _named_values(config: Config) -> Iterator[_Named]:
    for own, _, declaration in declared_parameters(config):
        try:
            # A message, and the log of another service, would show what is stored encrypted.
            if own.resolver.is_sensitive(declaration):
                continue
            value = own.resolver.resolve(declaration)
        except ConfigError:
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield _Named(declaration, item)


@dataclass(frozen=True)
class _IdKind:
    """A kind of EC2 resource: the form of its id and the call that finds it."""

    what: str
    prefix: str
    operation: str
    method: str
    filter_name: str
    ids: Callable[[dict[str, Any]], Iterable[str]]

    def fits(self, value: str) -> bool:
        return re.fullmatch(rf"{self.prefix}-[0-9a-f]{{8,17}}", value) is not None


def _instances(page: dict[str, Any]) -> Iterator[str]:
    for reservation in page["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] not in {"shutting-down", "terminated"}:
                yield instance["InstanceId"]


def _members(list_name: str, id_name: str) -> Callable[[dict[str, Any]], Iterable[str]]:
    return lambda page: [member[id_name] for member in page[list_name]]


_ID_KINDS: Final = (
    _IdKind("instance", "i", "ec2:DescribeInstances", "describe_instances", "instance-id", _instances),
    _IdKind(
        "volume",
        "vol",
        "ec2:DescribeVolumes",
        "describe_volumes",
        "volume-id",
        _members("Volumes", "VolumeId"),
    ),
    _IdKind(
        "subnet",
        "subnet",
        "ec2:DescribeSubnets",
        "describe_subnets",
        "subnet-id",
        _members("Subnets", "SubnetId"),
    ),
    _IdKind(
        "security group",
        "sg",
        "ec2:DescribeSecurityGroups",
        "describe_security_groups",
        "group-id",
        _members("SecurityGroups", "GroupId"),
    ),
    _IdKind("VPC", "vpc", "ec2:DescribeVpcs", "describe_vpcs", "vpc-id", _members("Vpcs", "VpcId")),
    _IdKind(
        "image", "ami", "ec2:DescribeImages", "describe_images", "image-id", _members("Images", "ImageId")
    ),
)


def _missing_ids(kind: _IdKind, named: list[_Named], client: ClientMaker) -> list[Finding]:
    """Filters, not ids: EC2 refuses a whole call in which one id does not exist."""
    matching = [item for item in named if kind.fits(item.value)]
    ids = sorted({item.value for item in matching})
    found: set[str] = set()
    for start in range(0, len(ids), _FILTER_VALUES):
        values = ids[start : start + _FILTER_VALUES]
        with translated(kind.operation, ", ".join(values)):
            paginator = client("ec2").get_paginator(kind.method)
            for page in paginator.paginate(Filters=[{"Name": kind.filter_name, "Values": values}]):
                found.update(kind.ids(page))
    return [item.lacks(kind.what) for item in matching if item.value not in found]


def _missing_buckets(named: list[_Named], client: ClientMaker) -> Iterator[Finding]:
    for item in named:
        if item.key not in {"bucket", "bucket_name"} and not item.key.endswith("_bucket"):
            continue
        try:
            with translated("s3:ListBucket", item.value):
                client("s3").head_bucket(Bucket=item.value)
        except (StoreRequestError, AccessDeniedError) as error:
            if isinstance(error, StoreRequestError) and error.code in {"404", "NoSuchBucket"}:
                yield item.lacks("bucket")
            else:
                yield Finding(
                    "warning",
                    f"{item.declaration.path}: {error.message}",
                    error.remedy,
                    item.declaration.path,
                )


def _missing_repositories(named: list[_Named], client: ClientMaker) -> Iterator[Finding]:
    for item in named:
        if item.key not in {"repository", "repository_name", "ecr_repository"}:
            continue
        try:
            with translated("ecr:DescribeRepositories", item.value):
                client("ecr").describe_repositories(repositoryNames=[item.value])
        except StoreRequestError as error:
            if error.code != "RepositoryNotFoundException":
                raise
            yield item.lacks("ECR repository")


def _missing_secrets(named: list[_Named], client: ClientMaker) -> Iterator[Finding]:
    store = SecretStore(lambda: client("secretsmanager"))
    return (
        item.lacks("secret")
        for item in named
        if item.declaration.schema.secret and not store.exists(item.value)
    )


def _finding(error: ConfigError, path: str | None = None) -> Finding:
    return Finding("error", error.message, error.remedy, path, error.location)
