"""What can be wrong with a configuration, each with the file, the line and the remedy.

    ConfigError
    ├── ConfigInputError                a person must change something
    │   ├── ConfigFileError             no directory, no file, unreadable file
    │   ├── YamlSyntaxError             the file is not YAML, or not the YAML we accept
    │   ├── DuplicateKeyError           a key is written twice in one mapping, or two values have one path
    │   ├── InvalidKeyError             a key that cannot be reached, or that is a name of `Config` itself
    │   ├── AmbiguousValueError         a plain word that YAML takes for something else than text
    │   ├── DuplicateParameterError     two keys with one ssm_param
    │   ├── UnknownFieldError           a declaration has a field that does not exist
    │   ├── InvalidDeclarationError     a field has a value that it cannot have
    │   ├── PlaceholderError            unknown or unfilled placeholder in ssm_param
    │   ├── InvalidParameterNameError   Parameter Store would refuse the name
    │   │   └── ReservedPrefixError     the name begins with `aws` or `ssm`
    │   ├── ValueTypeError              the value is not of the declared type
    │   ├── ValueNotAllowedError        allowed_pattern or allowed_values excludes the value
    │   ├── ValueTooLongError           more characters than the tier holds
    │   ├── MissingValueError           neither a stored value nor a default
    │   ├── SecretNotFoundError         Secrets Manager has no secret of that name
    │   ├── VersionNotFoundError        a parameter, or one version of it, is not there
    │   ├── ParameterRecentlyDeletedError  the name was deleted within the last 30 seconds
    │   ├── CredentialsError            no, expired or unknown credentials, no Region, or no such endpoint
    │   └── StoreRequestError           the store refused the request for another reason
    ├── ConfigTransientError            worth another attempt later
    │   ├── ThrottledError              the account's request rate was exceeded to the end
    │   └── ServiceUnavailableError     no answer, or an answer of the 5xx kind
    └── ConfigRefusedError              a safety stop: a person decides
        ├── AccessDeniedError           the caller lacks an IAM permission
        └── ForeignParameterError       the parameter does not carry our tags

`ConfigTransientError` may pass when it is tried again; nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, order=True)
class Location:
    """A place in a configuration file; lines and columns count from 1, and 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class ConfigError(Exception):
    """A configuration that cannot be read, resolved or written.

    Args:
        message: what is wrong, with the name of the thing that is wrong. Never holds a sensitive value.
        remedy: what the reader should do about it.
        location: the file and line that declare it.
    """

    def __init__(self, message: str, *, remedy: str = "", location: Location | None = None) -> None:
        self.message = message
        self.remedy = remedy
        self.location = location
        where = f"{location}: " if location else ""
        super().__init__(f"{where}{message}" + (f" {remedy}" if remedy else ""))


class ConfigInputError(ConfigError):
    """Files, values or permissions that a person must change; a retry cannot help."""


class ConfigTransientError(ConfigError):
    """AWS did not answer in time; the same request may succeed later."""


class ConfigRefusedError(ConfigError):
    """A safety stop: the change is possible, and a person must want it."""


class ConfigFileError(ConfigInputError):
    """The configuration directory or one of its files cannot be used."""


class YamlSyntaxError(ConfigInputError):
    """A file is not valid YAML, or holds what a configuration cannot hold."""


class DuplicateKeyError(ConfigInputError):
    """One mapping has the same key twice, or two values have one path, so that one would be lost."""


class InvalidKeyError(ConfigInputError):
    """A key that no path or attribute could reach."""


class AmbiguousValueError(ConfigInputError):
    """A plain word that one reader of YAML takes for a number or a truth value, and another for text."""


class DuplicateParameterError(ConfigInputError):
    """Two keys declare the same parameter."""


class UnknownFieldError(ConfigInputError):
    """A declaration has a field that the pattern does not know."""


class InvalidDeclarationError(ConfigInputError):
    """A field of a declaration has a value that it cannot have."""


class PlaceholderError(ConfigInputError):
    """A placeholder of `ssm_param` is unknown, malformed, or has nothing to be filled with."""


class InvalidParameterNameError(ConfigInputError):
    """Parameter Store would refuse this name."""


class ReservedPrefixError(InvalidParameterNameError):
    """Names that begin with `aws` or `ssm` belong to AWS."""


class ValueTypeError(ConfigInputError):
    """A value cannot be read as the declared type."""


class ValueNotAllowedError(ConfigInputError):
    """A value is of the right type and excluded by the declaration, or by Parameter Store."""


class ValueTooLongError(ConfigInputError):
    """A value has more characters than its parameter tier holds."""


class ModelMismatchError(ConfigInputError):
    """The values do not fit the model that they are bound to."""


class MissingValueError(ConfigInputError):
    """A value is needed and exists nowhere."""


class SecretNotFoundError(ConfigInputError):
    """A parameter names a Secrets Manager secret that does not exist."""


class VersionNotFoundError(ConfigInputError):
    """A parameter, or the wanted version of it, does not exist."""


class AccessDeniedError(ConfigRefusedError):
    """The caller may not perform an action on a resource.

    Attributes:
        action: the IAM action, such as `ssm:GetParameters`.
        resource: the ARN or the name that the action was refused for.
    """

    def __init__(self, action: str, resource: str) -> None:
        super().__init__(
            f"Access denied: {action} on {resource}.",
            remedy=f"Allow {action} on that resource in the policy of the caller "
            "(`aws sts get-caller-identity` says who that is).",
        )
        self.action = action
        self.resource = resource


class CredentialsError(ConfigInputError):
    """The AWS credentials, the Region or the endpoint are missing or not accepted."""


class StoreRequestError(ConfigInputError):
    """AWS, or botocore on the way there, refused a request for a reason that has no class of its own.

    Attributes:
        code: the AWS error code; the name of botocore's error where the request did not reach AWS.
    """

    def __init__(self, code: str, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.code = code


class ThrottledError(ConfigTransientError):
    """AWS throttled every attempt."""


class ServiceUnavailableError(ConfigTransientError):
    """AWS did not answer, or answered with a server error."""


class ParameterRecentlyDeletedError(ConfigInputError):
    """The name was deleted less than 30 seconds ago and cannot be created yet."""


class ForeignParameterError(ConfigRefusedError):
    """A parameter that does not carry our tags would be changed."""


# What concerns one parameter alone: whoever works on several reports it, and goes on with the others.
OF_ONE_PARAMETER: Final = (
    AccessDeniedError,
    ForeignParameterError,
    ParameterRecentlyDeletedError,
    StoreRequestError,
    VersionNotFoundError,
)
