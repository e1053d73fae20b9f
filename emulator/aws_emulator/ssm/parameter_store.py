"""Reading parameters (Systems Manager API reference: GetParameter, GetParametersByPath, DescribeParameters, ...)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aws_emulator.api.errors import unsupported_operation, validation
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import page
from aws_emulator.ssm.parameter_writes import ParameterWrites, encrypted
from aws_emulator.ssm.parameters import IMAGE, Parameter, Version, check_read_name, split_selector
from aws_emulator.ssm.secrets import PREFIX as SECRETS
from aws_emulator.ssm.secrets import secret_parameter

# What GetParameters lists as invalid; all else fails the whole request.
_MISSES: Final = ("ParameterNotFound", "ParameterVersionNotFound")
Test = Callable[[str, list[str]], bool]
_OPTIONS: Final[Mapping[str, Test]] = {
    "Equals": lambda text, values: text in values,
    "BeginsWith": lambda text, values: text.startswith(tuple(values)),
    "Contains": lambda text, values: any(value in text for value in values),
}


class ParameterStore(ParameterWrites):
    """The account's Parameter Store.

    It also answers EC2's questions: which image a parameter names, and which parameters name an image.
    """

    def resolve_image(self, name: str) -> str:
        """The image id in a parameter given as `name`, `name:version`, `name:label` or ARN.

        It must be a String of data type `aws:ec2:image` (EC2 user guide, Use a Systems Manager parameter
        instead of an AMI ID).

        Raises:
            ApiError: `InvalidParameterValue`.
        """
        with self.lock:
            path, selector = split_selector(name)
            parameter = self.parameters.get(path)
            version = None
            if parameter is not None:
                version = parameter.version(selector) if selector else parameter.latest
            if version is None:
                raise ApiError("InvalidParameterValue", f"The parameter {name} does not exist")
            if version.kind != "String" or version.data_type != IMAGE:
                raise ApiError(
                    "InvalidParameterValue",
                    "Unsupported data type. The following parameter data types are supported: aws:ec2:image",
                )
            return version.value

    def arns_naming(self, image_id: str) -> list[str]:
        """The ARNs of this account's parameters of type `aws:ec2:image` whose newest version names an image."""
        with self.lock:
            return [
                self.arn(parameter.name)
                for parameter in self.parameters.values()
                if not parameter.public
                and parameter.latest.data_type == IMAGE
                and parameter.latest.value == image_id
            ]

    @operation("ssm", "GetParameter")
    def get_parameter(self, request: Request) -> Response:
        """Get the newest version, or that with a number or label."""
        self.reads.take()
        name, decrypt = request.parameters["Name"], request.parameters.get("WithDecryption", False)
        if name.startswith(SECRETS):
            return {"Parameter": self._secret(request, name, decrypt=decrypt)}
        with self.lock:
            check_read_name(split_selector(name)[0])
            return {"Parameter": self._read(name, decrypt=decrypt)}

    @operation("ssm", "GetParameters")
    def get_parameters(self, request: Request) -> Response:
        """Get up to ten parameters by name in alphabetical order; duplicates once; misses are listed."""
        self.reads.take()
        decrypt = request.parameters.get("WithDecryption", False)
        names = sorted(set(request.parameters["Names"]))
        for name in names:
            if not name.startswith(SECRETS):
                check_read_name(split_selector(name)[0])
        found, invalid = [], []
        for name in names:
            try:
                if name.startswith(SECRETS):
                    found.append(self._secret(request, name, decrypt=decrypt))
                else:
                    with self.lock:
                        found.append(self._read(name, decrypt=decrypt))
            except ApiError as error:
                if error.code not in _MISSES:
                    raise
                invalid.append(name)
        return {"Parameters": found, "InvalidParameters": invalid}

    def _secret(self, request: Request, name: str, *, decrypt: bool) -> dict[str, Any]:
        if self.read_secret is None:
            raise unsupported_operation("ssm", f"{request.operation} of secrets")
        return secret_parameter(self.read_secret, request.caller, name, decrypt=decrypt)

    def _read(self, name: str, *, decrypt: bool) -> dict[str, Any]:
        path, selector = split_selector(name)
        parameter = self.require(path)
        # Shown as it was asked for; an ARN has another form.
        shown_name = parameter.name if name.startswith("arn:") else path
        if selector is None:
            return self._shown(parameter, parameter.latest, decrypt=decrypt) | {"Name": shown_name}
        version = parameter.version(selector)
        if version is None:
            raise ApiError(
                "ParameterVersionNotFound",
                f"Systems Manager could not find version {selector} of {path}. Verify the version and try again.",
            )
        shown = self._shown(parameter, version, decrypt=decrypt)
        return shown | {"Name": shown_name, "Selector": f":{selector}"}

    def _shown(self, parameter: Parameter, version: Version, *, decrypt: bool) -> dict[str, Any]:
        hidden = version.kind == "SecureString" and not decrypt
        return {
            "Name": parameter.name,
            "Type": version.kind,
            "Value": encrypted(version) if hidden else version.value,
            "Version": version.number,
            "LastModifiedDate": version.modified,
            "ARN": self.arn(parameter.name, public=parameter.public),
            "DataType": version.data_type,
        }

    @operation("ssm", "GetParametersByPath")
    def get_parameters_by_path(self, request: Request) -> Response:
        """Get the parameters of a hierarchy, one level of it or all, in pages of at most ten."""
        self.reads.take()
        with self.lock:
            asked = request.parameters
            path = asked["Path"]
            if not path.startswith("/"):
                raise validation(
                    "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a "
                    'forward slash "/".'
                )
            recursive = asked.get("Recursive", False)
            found = [each for each in self._sorted() if _is_under(each.name, path, recursive=recursive)]
            label, filters = _label_filter(asked.get("ParameterFilters", ()))
            tests = [_metadata_test(each, allowed=("Type", "KeyId", "DataType")) for each in filters]
            versions = [
                (each, each.latest if label is None else each.version(label))
                for each in found
                if all(test(each) for test in tests)
            ]
            with_label = [(each, version) for each, version in versions if version is not None]
            shown, token = page(with_label, asked.get("NextToken"), asked.get("MaxResults"), default=10)
            decrypt = asked.get("WithDecryption", False)
            return {
                "Parameters": [self._shown(each, version, decrypt=decrypt) for each, version in shown],
                "NextToken": token,
            }

    def _sorted(self) -> list[Parameter]:
        return sorted(self.parameters.values(), key=lambda each: each.name)

    @operation("ssm", "GetParameterHistory")
    def get_parameter_history(self, request: Request) -> Response:
        """Get the kept versions, oldest first, in pages of at most 50."""
        self.writes.take()
        with self.lock:
            asked = request.parameters
            parameter = self.require_own(asked["Name"])
            decrypt = asked.get("WithDecryption", False)
            shown, token = page(
                parameter.versions, asked.get("NextToken"), asked.get("MaxResults"), default=50
            )
            return {
                "Parameters": [
                    _shown_metadata(parameter, each)
                    | {
                        "Value": encrypted(each)
                        if each.kind == "SecureString" and not decrypt
                        else each.value,
                        "Labels": list(each.labels),
                    }
                    for each in shown
                ],
                "NextToken": token,
            }

    @operation("ssm", "DescribeParameters")
    def describe_parameters(self, request: Request) -> Response:
        """Describe this account's parameters by filters, in pages of at most 50."""
        self.writes.take()
        with self.lock:
            asked = request.parameters
            if "Filters" in asked and "ParameterFilters" in asked:
                raise validation("You can use either Filters or ParameterFilters in a single request.")
            tests = [_metadata_test(each) for each in asked.get("ParameterFilters", ())]
            tests += [
                _metadata_test({"Key": each["Key"], "Option": "BeginsWith", "Values": each["Values"]})
                for each in asked.get("Filters", ())
            ]
            found = [each for each in self._sorted() if not each.public and all(test(each) for test in tests)]
            shown, token = page(found, asked.get("NextToken"), asked.get("MaxResults"), default=10)
            return {
                "Parameters": [
                    _shown_metadata(each, each.latest) | {"ARN": self.arn(each.name)} for each in shown
                ],
                "NextToken": token,
            }


def _shown_metadata(parameter: Parameter, version: Version) -> dict[str, Any]:
    return {
        "Name": parameter.name,
        "Type": version.kind,
        "KeyId": version.key_id,
        "LastModifiedDate": version.modified,
        "LastModifiedUser": version.user,
        "Description": version.description,
        "AllowedPattern": version.allowed_pattern,
        "Version": version.number,
        "Tier": version.tier,
        "Policies": [],
        "DataType": version.data_type,
    }


def _is_under(name: str, path: str, *, recursive: bool) -> bool:
    prefix = path if path.endswith("/") else f"{path}/"
    if not name.startswith(prefix):
        return False
    return recursive or "/" not in name.removeprefix(prefix)


def _label_filter(
    filters: Sequence[Mapping[str, Any]],
) -> tuple[str | None, list[Mapping[str, Any]]]:
    """The label whose versions are asked for, and the other filters.

    Raises:
        ApiError: `InvalidFilterValue` for more than one (radkawar/stackd, testdata/aws/ssm/selector_edges.json).
    """
    labels = [each for each in filters if each["Key"] == "Label"]
    others = [each for each in filters if each["Key"] != "Label"]
    values = [value for each in labels for value in each.get("Values", ())]
    if labels and len(values) != 1:
        raise ApiError("InvalidFilterValue", "The following filter Label can have only one value")
    return (values[0] if values else None), others


def _metadata_test(
    each: Mapping[str, Any], allowed: tuple[str, ...] | None = None
) -> Callable[[Parameter], bool]:
    key, values = str(each["Key"]), list(each.get("Values", ()))
    if allowed is not None and key not in allowed:
        raise ApiError("InvalidFilterKey", f"The following filter key is not valid: {key}.")
    if key == "Path":
        return _path_test(each.get("Option", "OneLevel"), values)
    option = each.get("Option", "Equals")
    if option not in _OPTIONS:
        raise ApiError("InvalidFilterOption", f"The following filter option is not valid: {option}.")
    matches = _OPTIONS[option]
    if key.startswith("tag:"):
        return lambda parameter: matches(parameter.tags.get(key.removeprefix("tag:"), ""), values)
    if key == "Label":
        return lambda parameter: any(matches(label, values) for label in parameter.latest.labels)
    readers: dict[str, Callable[[Parameter], str]] = {
        "Name": lambda parameter: parameter.name,
        "Type": lambda parameter: parameter.latest.kind,
        "KeyId": lambda parameter: parameter.latest.key_id or "",
        "Tier": lambda parameter: parameter.latest.tier,
        "DataType": lambda parameter: parameter.latest.data_type,
    }
    read = readers[key]
    return lambda parameter: matches(read(parameter), values)


def _path_test(option: str, values: list[str]) -> Callable[[Parameter], bool]:
    if option not in {"OneLevel", "Recursive"}:
        raise ApiError("InvalidFilterOption", f"The following filter option is not valid: {option}.")
    recursive = option == "Recursive"
    return lambda parameter: any(_is_under(parameter.name, value, recursive=recursive) for value in values)
