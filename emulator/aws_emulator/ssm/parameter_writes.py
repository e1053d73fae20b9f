"""Writing parameters (Systems Manager API reference: PutParameter, DeleteParameter, LabelParameterVersion, ...)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from aws_emulator.api.errors import refuse_unsupported_parameters, validation
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.clock import Clock
from aws_emulator.durations import Durations
from aws_emulator.ec2.allowed_images import may_launch
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.ssm.parameters import (
    IMAGE,
    MAX_PARAMETERS,
    MAX_VERSIONS,
    Parameter,
    ParametersByName,
    ParameterTable,
    Version,
    check_data_type,
    check_name,
    check_value,
    is_label,
    split_selector,
    tier_for,
)
from aws_emulator.ssm.secrets import ReadSecret
from aws_emulator.ssm.throttle import TokenBucket


class ParameterWrites:
    """The parameters and the operations that change them; all hold `lock`.

    `can_describe_images` says whether a caller has `ec2:DescribeImages`: without it a write of data
    type `aws:ec2:image` is accepted and then dropped. `read_secret` reads from Secrets Manager for a caller.
    """

    def __init__(
        self,
        clock: Clock,
        bus: EventBus,
        durations: Durations,
        ec2: Ec2Store,
        *,
        account_id: str,
        region: str,
        table: ParameterTable | None = None,
        can_describe_images: Callable[[str], bool] = lambda _caller: True,
        read_secret: ReadSecret | None = None,
    ) -> None:
        self.clock = clock
        self.bus = bus
        self.durations = durations
        self.ec2 = ec2
        self.account_id = account_id
        self.region = region
        table = table or ParameterTable()
        self.lock = table.lock
        self.parameters = table.by_name
        self.can_describe_images = can_describe_images
        self.read_secret = read_secret
        self._pending = ParametersByName()
        self._deleted: dict[str, float] = {}
        # The standard tier's quota; 100,000 in the advanced one.
        self.most_parameters = MAX_PARAMETERS
        # Default quotas (AWS general reference, Systems Manager endpoints and quotas); the bursts are estimates.
        self.writes = TokenBucket(clock, rate=3, burst=10)
        self.deletes = TokenBucket(clock, rate=3, burst=10)
        self.reads = TokenBucket(clock, rate=40, burst=120)

    def seed_public(self, name: str, value: str, data_type: str = "text") -> None:
        """Set a public parameter under `/aws/service/`, as its owner would; again for a new version."""
        with self.lock:
            parameter = self.parameters.setdefault(name, Parameter(name=name, public=True))
            parameter.issued += 1
            parameter.versions.append(
                Version(
                    number=parameter.issued,
                    value=value,
                    kind="String",
                    data_type=data_type,
                    tier="Standard",
                    modified=self.clock.now(),
                    user="arn:aws:iam::000000000000:root",
                )
            )

    @operation("ssm", "PutParameter")
    def put_parameter(self, request: Request) -> Response:
        """Create a parameter or add a version; a value of type `aws:ec2:image` is checked afterwards."""
        self.writes.take()
        refuse_unsupported_parameters(
            "ssm",
            "PutParameter",
            request.parameters,
            (
                "AllowedPattern",
                "DataType",
                "Description",
                "KeyId",
                "Name",
                "Overwrite",
                "Tags",
                "Tier",
                "Type",
                "Value",
            ),
        )
        with self.lock:
            asked = request.parameters
            if asked.get("Tags") and asked.get("Overwrite"):
                raise validation(
                    "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, "
                    "please remove overwrite flag. To update tags for an existing parameter, please use "
                    "AddTagsToResource or RemoveTagsFromResource."
                )
            name = split_selector(asked["Name"])[0] if asked["Name"].startswith("arn:") else asked["Name"]
            check_name(name)
            if not asked["Value"]:
                raise validation(
                    "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have "
                    "length greater than or equal to 1"
                )
            parameter = self.parameters.get(name)
            if (parameter or self._pending.get(name)) and not asked.get("Overwrite"):
                raise ApiError(
                    "ParameterAlreadyExists",
                    "The parameter already exists. To overwrite this value, set the overwrite option in the request "
                    "to true.",
                )
            if parameter is None:
                self._check_creation(name, asked)
            version = self._version(parameter, asked, request.caller)
            self._require_room(parameter)
            target = parameter or self._pending.get(name) or Parameter(name=name)
            target.issued += 1
            version.number = target.issued
            if parameter is None:
                target.tags |= {tag["Key"]: tag["Value"] for tag in asked.get("Tags", ())}
            if version.data_type == IMAGE:
                self._apply_after_validation(target, version, request.caller)
            else:
                self._apply(target, version)
            return {"Version": version.number, "Tier": version.tier}

    def _check_creation(self, name: str, asked: Mapping[str, Any]) -> None:
        if "Type" not in asked:
            raise validation("A parameter type is required when you create a parameter.")
        deleted = self._deleted.get(name)
        if deleted is not None and self.clock.elapsed() - deleted < self.durations.parameter_recreate:
            raise ApiError(
                "TooManyUpdates", f"The parameter {name} was deleted less than 30 seconds ago; try again."
            )
        own = sum(not parameter.public for parameter in self.parameters.values())
        if own >= self.most_parameters:
            raise ApiError(
                "ParameterLimitExceeded", "You have exceeded the number of parameters for this account."
            )

    def _version(self, parameter: Parameter | None, asked: Mapping[str, Any], caller: str) -> Version:
        """The version as asked for; what is not given stays as it was."""
        before = parameter.latest if parameter else None
        kind = asked.get("Type", before.kind if before else "String")
        # The API reference says that a type cannot change; AWS lets a String become a SecureString (radkawar/stackd,
        # testdata/aws/ssm/write_edges.json), and what the older versions hold stays readable.
        if before is not None and kind != before.kind and (before.kind, kind) != ("String", "SecureString"):
            raise ApiError(
                "HierarchyTypeMismatchException",
                f"The parameter cannot be changed from type {before.kind} to type {kind}; create another one.",
            )
        data_type = asked.get("DataType", before.data_type if before else "text")
        check_data_type(data_type, kind)
        if before is not None and data_type != before.data_type:
            raise validation(
                f"The data type of a parameter cannot be changed from {before.data_type} to {data_type}."
            )
        allowed_pattern = asked.get("AllowedPattern", before.allowed_pattern if before else None)
        check_value(asked["Value"], allowed_pattern)
        return Version(
            number=0,
            value=asked["Value"],
            kind=kind,
            data_type=data_type,
            tier=tier_for(
                asked.get("Tier", before.tier if before else "Standard"),
                before.tier if before else None,
                asked["Value"],
            ),
            modified=self.clock.now(),
            user=f"arn:aws:iam::{self.account_id}:user/{caller}",
            description=asked.get("Description", before.description if before else None),
            allowed_pattern=allowed_pattern,
            key_id=asked.get("KeyId", "alias/aws/ssm") if kind == "SecureString" else None,
        )

    def _require_room(self, parameter: Parameter | None) -> None:
        if parameter is None or len(parameter.versions) < MAX_VERSIONS:
            return
        oldest = parameter.versions[0]
        if oldest.labels:
            raise ApiError(
                "ParameterMaxVersionLimitExceeded",
                f"You attempted to create a new version of {parameter.name} by calling the PutParameter API with the "
                f"overwrite flag. Version {oldest.number}, the oldest version, can't be deleted because it has a label "
                "associated with it. Move the label to another version of the parameter, and try again.",
            )

    def _apply(self, parameter: Parameter, version: Version) -> None:
        operation_name = "Update" if parameter.name in self.parameters else "Create"
        parameter.versions.append(version)
        del parameter.versions[:-MAX_VERSIONS]
        self.parameters[parameter.name] = parameter
        self._pending.pop(parameter.name, None)
        self._notify(operation_name, parameter.name, version)

    def _apply_after_validation(self, parameter: Parameter, version: Version, caller: str) -> None:
        operation_name = "Update" if parameter.name in self.parameters else "Create"
        if operation_name == "Create":
            self._pending[parameter.name] = parameter

        def validate() -> None:
            usable = self._is_available(version.value) and self.can_describe_images(caller)
            dropped = self.ec2.faults.dropped_value(parameter.name) is not None
            with self.lock:
                if usable and not dropped:
                    self._apply(parameter, version)
                    return
                if self._pending.get(parameter.name) is parameter:
                    del self._pending[parameter.name]
                self._notify(operation_name, parameter.name, version, exception="Unable to Describe Resource")

        self.clock.call_later(self.durations.parameter_validation, validate)

    def _is_available(self, image_id: str) -> bool:
        with self.ec2.lock:
            image = self.ec2.images.get(image_id)
            return image is not None and image.state == "available" and may_launch(self.ec2, image)

    def _notify(self, change: str, name: str, version: Version | None, **fields: str) -> None:
        """Emit `Parameter Store Change` (Systems Manager user guide, EventBridge events)."""
        detail: dict[str, Any] = {"operation": change, "name": name}
        if version is not None:
            detail["type"] = version.kind
            if version.description:
                detail["description"] = version.description
            if version.data_type == IMAGE:
                detail["dataType"] = version.data_type
        self.bus.emit("aws.ssm", "Parameter Store Change", detail | fields, [self.arn(name)])

    def arn(self, name: str, *, public: bool = False) -> str:
        """A parameter's ARN."""
        account = "" if public else self.account_id
        return f"arn:aws:ssm:{self.region}:{account}:parameter/{name.removeprefix('/')}"

    def require(self, name: str) -> Parameter:
        """The parameter with a name.

        Raises:
            ApiError: `ParameterNotFound`.
        """
        if name not in self.parameters:
            raise ApiError("ParameterNotFound", f"Parameter {name} not found.")
        return self.parameters[name]

    def require_own(self, name: str) -> Parameter:
        """As `require`, of a parameter of this account.

        Raises:
            ApiError: `ParameterNotFound`.
        """
        parameter = self.require(name)
        if parameter.public:
            raise ApiError("ParameterNotFound", f"Parameter {name} not found.")
        return parameter

    @operation("ssm", "DeleteParameter")
    def delete_parameter(self, request: Request) -> Response:
        """Delete a parameter with all of its versions."""
        self.deletes.take()
        with self.lock:
            self._delete(self.require_own(request.parameters["Name"]))
            return {}

    @operation("ssm", "DeleteParameters")
    def delete_parameters(self, request: Request) -> Response:
        """Delete up to ten parameters; those that do not exist are listed."""
        self.deletes.take()
        with self.lock:
            deleted, invalid = [], []
            for name in dict.fromkeys(request.parameters["Names"]):
                parameter = self.parameters.get(name)
                if parameter is None or parameter.public:
                    invalid.append(name)
                else:
                    self._delete(parameter)
                    deleted.append(name)
            return {"DeletedParameters": deleted, "InvalidParameters": invalid}

    def _delete(self, parameter: Parameter) -> None:
        del self.parameters[parameter.name]
        self._deleted[parameter.name] = self.clock.elapsed()
        self._notify("Delete", parameter.name, parameter.latest)

    @operation("ssm", "LabelParameterVersion")
    def label_parameter_version(self, request: Request) -> Response:
        """Put labels on a version, taking them from others; at most ten on one."""
        self.writes.take()
        with self.lock:
            parameter = self.require_own(request.parameters["Name"])
            number = request.parameters.get("ParameterVersion", parameter.latest.number)
            version = self._require_version(parameter, number)
            labels = list(dict.fromkeys(request.parameters["Labels"]))
            valid = [label for label in labels if is_label(label)]
            if len({*version.labels, *valid}) > 10:
                raise ApiError(
                    "ParameterVersionLabelLimitExceeded",
                    "An error occurred (ParameterVersionLabelLimitExceeded): a parameter version can have at most 10 "
                    "labels.",
                )
            for each in parameter.versions:
                each.labels = [label for label in each.labels if label not in valid]
            version.labels += valid
            if valid:
                self._notify("LabelParameterVersion", parameter.name, version)
            return {
                "InvalidLabels": [each for each in labels if each not in valid],
                "ParameterVersion": number,
            }

    @operation("ssm", "UnlabelParameterVersion")
    def unlabel_parameter_version(self, request: Request) -> Response:
        """Take labels from a version."""
        self.writes.take()
        with self.lock:
            parameter = self.require_own(request.parameters["Name"])
            version = self._require_version(parameter, request.parameters["ParameterVersion"])
            labels = request.parameters["Labels"]
            removed = [label for label in labels if label in version.labels]
            version.labels = [label for label in version.labels if label not in removed]
            return {
                "RemovedLabels": removed,
                "InvalidLabels": [each for each in labels if each not in removed],
            }

    def _require_version(self, parameter: Parameter, number: int) -> Version:
        version = parameter.version(str(number))
        if version is None:
            raise ApiError(
                "ParameterVersionNotFound",
                f"Systems Manager could not find version {number} of {parameter.name}. Verify the version and try "
                "again.",
            )
        return version


def encrypted(version: Version) -> str:
    """What a reader without decryption sees of a SecureString: text that is not the value."""
    return base64.b64encode(f"kms:{version.key_id}:{version.value}".encode()).decode()
