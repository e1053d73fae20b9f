"""The form of each value that people write, defined once.

The settings use these; the stack's parameters, the documents and their shell scripts repeat the patterns, because
CloudFormation, Systems Manager and bash read no Python, and tests hold them to these. So patterns keep to what Rust,
Python, Java, Go and bash read alike: no `(?:`, no `\\d`, no repetition above 1,000.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, StrictStr

PORT: Final = (
    "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"  # 1 to 65535
)
PORT_MAPPING: Final = f"{PORT}(:{PORT})?"
VOLUME_MAPPING: Final = "/[A-Za-z0-9._/-]*:/[A-Za-z0-9._/-]*(:ro)?"
# docker/go-units, ulimit.go: names of limits and values of 64 bits, -1 for none.
_LIMIT: Final = "(-1|[0-9]{1,18})"
ULIMIT: Final = (
    "(core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack)"
    f"={_LIMIT}(:{_LIMIT})?"
)
DEVICE: Final = "/dev/[A-Za-z0-9._/-]+(:/[A-Za-z0-9._/-]+)?(:(r|w|m|rw|rm|wm|rwm))?"
RESTART: Final = "no|always|unless-stopped|on-failure"
# Systems Manager API reference, GetParameter: names, with a version or label behind a colon, or ARNs.
_PARAMETER: Final = "(arn:aws[a-z-]*:ssm:[a-z0-9-]+:[0-9]{12}:parameter)?/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*"
# Secrets Manager API reference, CreateSecret and GetSecretValue; behind # a key of the secret's JSON object.
_AT_SECRETS_MANAGER: Final = (
    "(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}"
)
_WORD: Final = "[A-Za-z0-9_.-]{1,128}"
SECRET_SOURCE: Final = f"(ssm:{_PARAMETER}(:{_WORD})?|secretsmanager:{_AT_SECRETS_MANAGER}(#{_WORD})?)"
# EC2 refuses other keys where instance metadata have the tags, in these words: "Tag keys must match pattern
# ([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name ('.', '..', '_index')".
METADATA_TAG: Final = "[A-Za-z0-9_+=,.@:-]{1,128}"
VARIABLE_SOURCE: Final = f"(tag:{METADATA_TAG}|imds:[a-z0-9][A-Za-z0-9._:/-]{{0,200}})([|][ -~]{{0,256}})?"
NVIDIA_DRIVER: Final = "[0-9]{3}(-server)?(-open)?"
IMAGE_TAG: Final = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
DIGEST: Final = "sha256:[0-9a-f]{64}"
NAME: Final = "[a-z]([a-z0-9-]{0,30}[a-z0-9])?"
BASE64: Final = "[A-Za-z0-9+/]+={0,2}"
REPOSITORY: Final = "[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*"
# Characters of the encoded environment, or command: an agent hands each on as one environment variable, of which
# Linux takes 128 KiB (execve(2)), and Systems Manager the whole command in one request.
ENCODED_CHARACTERS: Final = 16_384
LISTED_CHARACTERS: Final = 2_048

# systemd.service(5), Docker's --env-file: neither has a way to write these, and systemd drops a line that holds a
# code point which is no character (systemd, utf8.c, unichar_is_valid).
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef]")
# systemd units of Ubuntu's images and of installed packages, whose names the container's unit must not take.
_UNITS: Final = frozenset(
    {
        *(
            "apparmor",
            "apport",
            "atd",
            "chrony",
            "cloud-config",
            "cloud-final",
            "cloud-init",
            "cloud-init-local",
        ),
        *(
            "containerd",
            "cron",
            "dbus",
            "docker",
            "ec2-instance-connect",
            "emergency",
            "irqbalance",
            "multipathd",
        ),
        *(
            "networkd-dispatcher",
            "nvidia-persistenced",
            "polkit",
            "rescue",
            "rsyslog",
            "snapd",
            "ssh",
            "sshd",
        ),
        *("udev", "udisks2", "ufw", "unattended-upgrades", "uuidd"),
    }
)


class Form(NamedTuple):
    """A pattern for the whole text, and what to write, in words that follow `write`."""

    pattern: str
    words: str
    shortest: int = 1
    longest: int = 1_000

    def accepts(self, text: str) -> bool:
        """Whether a text has this form."""
        fits = self.shortest <= len(text) <= self.longest
        return fits and re.fullmatch(self.pattern, text) is not None

    def check(self, text: str) -> str:
        """The text. Raises `ValueError` with these words and the value."""
        return _refuse(text, None if self.accepts(text) else f"write {self.words}")


_NAME_WORDS: Final = (
    "lower-case letters, digits and hyphens, at most 32, with a letter at the start and no hyphen at the end"
)
_PART: Final = "([A-Za-z0-9_.-]|[{]architecture[}]|[{]dpkg_architecture[}])+"
FORMS: Final[dict[str, Form]] = {
    "name": Form(NAME, _NAME_WORDS),
    # ECR API reference, PutImage. Docker before 23 takes 255 characters with the registry's name (distribution,
    # reference.go, NameTotalLengthMax), which leaves 200.
    "repository": Form(
        REPOSITORY, "the repository's name as ECR shows it, 2 to 200 characters", shortest=2, longest=200
    ),
    "image_tag": Form(IMAGE_TAG, "a Docker tag: letters, digits, _ . -, at most 128, no . or - at the start"),
    # EC2 API reference, CreateImage: 3 to 128 characters; the name of a candidate adds up to 48.
    "image_name": Form(
        r"[A-Za-z0-9()\[\] ./'@_-]{3,80}", "3 to 80 letters, digits, spaces or ( ) [ ] . / - ' @ _"
    ),
    # EC2 API reference, DescribeImages, Owners.
    "base_owner": Form(
        "[0-9]{12}|self|amazon|aws-marketplace|aws-backup-vault",
        "the 12 digits of an account in quotes, self, amazon, aws-marketplace or aws-backup-vault",
    ),
    "base_image_id": Form("ami-([0-9a-f]{8}|[0-9a-f]{17})", "the id of an image, ami-0123456789abcdef0"),
    # EC2 API reference, CreateImage, Name, and the wildcards of filters.
    "base_image_name": Form(
        r"[A-Za-z0-9()\[\] ./'@_*?-]{3,128}",
        "the name of images, with * and ? for what differs: 'golden-base-*'",
    ),
    # Systems Manager API reference, GetParameter, Name: with a version or a label behind a colon.
    "base_parameter": Form(
        f"/?{_PART}(/{_PART})*(:[A-Za-z0-9_.-]+)?",
        "the name of a parameter, in which only {architecture} and {dpkg_architecture} stand in braces: "
        "/golden/base/{architecture}",
    ),
    "subnet": Form("subnet-([0-9a-f]{8}|[0-9a-f]{17})", "the id of a subnet, subnet-0123456789abcdef0"),
    "instance_type": Form(r"[a-z0-9-]+\.[a-z0-9-]+", "an instance type, m7i.large"),
    "port_mapping": Form(
        PORT_MAPPING, "host:container or one port, each from 1 to 65535, in quotes: '8188:8188'"
    ),
    "volume_mapping": Form(
        VOLUME_MAPPING,
        "/host/directory:/container/directory, and :ro behind it where it is not written to",
        longest=512,
    ),
    "ulimit": Form(ULIMIT, "a limit as `docker run --ulimit` takes it: 'memlock=-1', 'nofile=65536:65536'"),
    "device": Form(
        DEVICE, "a device as `docker run --device` takes it: '/dev/fuse', '/dev/sda:/dev/disk:r'", longest=512
    ),
    "restart": Form(
        RESTART,
        "no, always, unless-stopped or on-failure; systemd counts starts and not failures, so it takes no number",
    ),
    "nvidia_driver": Form(NVIDIA_DRIVER, "a branch of Ubuntu's driver packages in quotes: '580-server'"),
    "variable": Form(
        "[A-Za-z_][A-Za-z0-9_]*",
        "a variable's name: letters, digits and _, no digit at the start",
        longest=256,
    ),
    # Systems Manager API reference, PutParameter, Name: 15 levels, 1,011 characters.
    "parameter_path": Form(
        "/|(/[A-Za-z0-9_.-]+){1,15}",
        "a path of parameters with no / at its end, /fleet, or / for the whole account",
    ),
    # CloudWatch API reference, PutMetricAlarm, AlarmName; EventBridge user guide, Wildcard matching: no two in a row,
    # and a backslash stands before what is none.
    "alarm_pattern": Form(
        r"[*]?[ -)+-\[\]-~]+([*][ -)+-\[\]-~]+)*[*]?",
        "the name of an alarm in at most 255 ASCII characters without backslashes, in which * stands for any, but not "
        "twice in a row and not alone: 'prod-comfyui-*'",
        longest=255,
    ),
    "clock_time": Form(
        "([01][0-9]|2[0-3]):[0-5][0-9]", "a time of day from 00:00 to 23:59, in quotes: '02:00'"
    ),
    "hook_script": Form(
        r"config/hooks/[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        "a file directly below config/hooks/, of letters, digits, . _ -: config/hooks/agent.sh",
    ),
    # Systems Manager API reference, CreateDocument, Name; a document that another account shares goes by its ARN.
    "hook_document": Form(
        r"(arn:aws(-[a-z]+)*:ssm:[a-z0-9-]+:[0-9]{12}:document/)?[A-Za-z0-9_.-]{3,128}",
        "the name of a Command document of this account, of 3 to 128 letters, digits, _ - . or the ARN of one that "
        "another account shares",
    ),
    "secret_source": Form(
        SECRET_SOURCE,
        "ssm:NAME of a parameter, or secretsmanager:NAME of a secret, each by name or ARN; a secret's may end in #KEY "
        "of its JSON object",
    ),
    "variable_source": Form(
        VARIABLE_SOURCE,
        "tag:KEY of a tag of the instance, or imds:PATH below meta-data of the instance metadata, as tag:Shard or "
        "imds:placement/availability-zone; a default may stand behind |, as tag:Shard|0",
    ),
    # As Inspector and ECR name what they find: CVE-2024-3094, GHSA-..., ALAS2023-2024-123.
    "vulnerability_id": Form(
        "[A-Z][A-Z0-9]*(-[A-Za-z0-9:.]+)+",
        "the id that the scan gives the vulnerability, as CVE-2024-3094",
        longest=100,
    ),
    "package_name": Form(
        "[A-Za-z0-9@][A-Za-z0-9@/:._+~-]*",
        "the name that the scan gives the package, as libssl3, without its version",
        longest=200,
    ),
    "health_path": Form(
        "/[A-Za-z0-9._~/?=&%-]{0,200}", "a path from / on, with at most 200 letters, digits, ._~/?=&%-"
    ),
}


def name_problem(text: str, *, is_application: bool = False) -> str | None:
    """What is wrong with the name of an environment or of the application; None when nothing is.

    The application's also begins parameter names and names the container's unit.
    """
    if not FORMS["name"].accepts(text):
        return f"write {FORMS['name'].words}"
    if is_application and text.startswith(("aws", "ssm")):
        # SSM API reference, PutParameter, Name.
        return "Parameter Store takes no name that begins with aws or ssm; write another application name"
    if is_application and (text in _UNITS or text.startswith("systemd-")):
        return f"{text}.service is a unit of Ubuntu's own, which would be replaced; write another application name"
    return None


def _named(text: str) -> str:
    return _refuse(text, name_problem(text))


def _named_application(text: str) -> str:
    return _refuse(text, name_problem(text, is_application=True))


def _zone(text: str) -> str:
    """The name of a time zone that the IANA database has."""
    if text == "UTC" or text in _zones():
        return text
    return _refuse(text, "write the name of a time zone of the IANA database: Europe/Berlin, or UTC")


@cache
def _zones() -> frozenset[str]:
    """The names of the database that we ship. A machine's own has others, such as localtime and posix/Europe/Berlin."""
    # Loaded where somebody names one: most functions never do.
    from importlib.resources import files  # noqa: PLC0415

    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


def _day(text: str) -> str:
    """A date of the calendar."""
    try:
        written = date.fromisoformat(text).isoformat() if len(text) == len("2026-01-31") else None
    except ValueError:
        written = None
    return _refuse(text, None if written == text else "write a date of the calendar, as 2026-01-31")


def _plain(text: str) -> str:
    """One line of characters, for systemd's unit and Docker's file of variables."""
    found = CONTROL.search(text) or next((each for each in text if ord(each) & 0xFFFE == 0xFFFE), None)
    return _refuse(text, "leave out line breaks, tabs and other control characters" if found else None)


def _script(text: str) -> str:
    """Text for a shell; may have several lines."""
    control = CONTROL.search(text.replace("\n", "").replace("\t", ""))
    return _refuse(text, "leave out control characters other than tabs and line breaks" if control else None)


def _refuse(text: str, problem: str | None) -> str:
    if problem is not None:
        raise ValueError(f"{problem} (got {text!r:.120})")
    return text


# Strict: what YAML reads as a number is refused, since its text is not what was written (2122:22 is 127342).
EnvironmentName = Annotated[StrictStr, AfterValidator(_named)]
ApplicationName = Annotated[StrictStr, AfterValidator(_named_application)]
RepositoryName = Annotated[StrictStr, AfterValidator(FORMS["repository"].check)]
ImageTag = Annotated[StrictStr, AfterValidator(FORMS["image_tag"].check)]
ImageName = Annotated[StrictStr, AfterValidator(FORMS["image_name"].check)]
SubnetId = Annotated[StrictStr, AfterValidator(FORMS["subnet"].check)]
InstanceType = Annotated[StrictStr, AfterValidator(FORMS["instance_type"].check)]
PortMapping = Annotated[StrictStr, AfterValidator(FORMS["port_mapping"].check)]
VolumeMapping = Annotated[StrictStr, AfterValidator(FORMS["volume_mapping"].check)]
Ulimit = Annotated[StrictStr, AfterValidator(FORMS["ulimit"].check)]
Device = Annotated[StrictStr, AfterValidator(FORMS["device"].check)]
Restart = Annotated[StrictStr, AfterValidator(FORMS["restart"].check)]
SecretSource = Annotated[StrictStr, AfterValidator(FORMS["secret_source"].check)]
VariableSource = Annotated[StrictStr, AfterValidator(FORMS["variable_source"].check)]
NvidiaDriver = Annotated[StrictStr, AfterValidator(FORMS["nvidia_driver"].check)]
VariableName = Annotated[StrictStr, AfterValidator(FORMS["variable"].check)]
ParameterPath = Annotated[StrictStr, AfterValidator(FORMS["parameter_path"].check)]
ClockTime = Annotated[StrictStr, AfterValidator(FORMS["clock_time"].check)]
TimeZone = Annotated[StrictStr, AfterValidator(_zone)]
BaseOwner = Annotated[StrictStr, AfterValidator(FORMS["base_owner"].check)]
BaseImageId = Annotated[StrictStr, AfterValidator(FORMS["base_image_id"].check)]
BaseImageName = Annotated[StrictStr, AfterValidator(FORMS["base_image_name"].check)]
BaseParameter = Annotated[StrictStr, AfterValidator(FORMS["base_parameter"].check)]
VulnerabilityId = Annotated[StrictStr, AfterValidator(FORMS["vulnerability_id"].check)]
PackageName = Annotated[StrictStr, AfterValidator(FORMS["package_name"].check)]
Day = Annotated[StrictStr, AfterValidator(_day)]
HealthPath = Annotated[StrictStr, AfterValidator(FORMS["health_path"].check)]
PlainText = Annotated[StrictStr, AfterValidator(_plain)]
ScriptText = Annotated[StrictStr, AfterValidator(_script)]


def _list_of(pattern: str) -> str:
    return f"^(-|{pattern}(,{pattern})*)$"


_IMAGE_URI: Final = "^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$"
_ENCODED: Final = f"^(-|{BASE64})$"
# A pattern for the range of ports is long; the scripts compare numbers, before anything is pulled.
_DIGITS: Final = "[0-9]{1,5}"
_SWITCH: Final = "^(true|false)$"
_BOTH: Final = {
    "ImageUri": _IMAGE_URI,
    "ImageDigest": f"^{DIGEST}$",
    "Region": "^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$",
    "Application": f"^{NAME}$",
    "Environment": f"^{NAME}$",
    "RunId": "^[A-Za-z0-9._-]{1,128}$",
    "Hooks": _ENCODED,
    "MinimumFreeGiB": "^[0-9]{1,5}$",
}
# The patterns that documents declare for their parameters, and check again in their scripts. `-` stands for nothing.
DOCUMENT_PATTERNS: Final = {
    **_BOTH,
    "ImageTag": f"^(-|{IMAGE_TAG})$",
    "ImageSizeBytes": "^[0-9]{1,15}$",
    "Mode": "^(fresh|update)$",
    "ContainerPorts": _list_of(f"{_DIGITS}(:{_DIGITS})?"),
    "ContainerEnvironment": _ENCODED,
    "ContainerCommand": _ENCODED,
    "ContainerVolumes": _list_of(VOLUME_MAPPING),
    "ContainerShmMiB": "^[0-9]{1,6}$",
    "ContainerIpc": "^(-|private|shareable|host|none)$",
    "ContainerNetwork": "^(-|bridge|host|none)$",
    # Which names there are, the settings know.
    "ContainerUlimits": _list_of("[a-z]{3,10}=-?[0-9]{1,18}(:-?[0-9]{1,18})?"),
    "ContainerDevices": _list_of("/dev/[A-Za-z0-9._/:-]+"),
    "ContainerRestart": f"^({RESTART})$",
    "ContainerValues": _ENCODED,
    "ContainerPrograms": _ENCODED,
    "GpuEnabled": _SWITCH,
    "NvidiaToolkit": _SWITCH,
    "NvidiaDriver": f"^(none|{NVIDIA_DRIVER})$",
    "HealthCheck": "^(none|http|command)$",
    "HealthPort": f"^{_DIGITS}$",
    "HealthPath": f"^{FORMS['health_path'].pattern}$",
    "HealthCommand": _ENCODED,
    "BuiltFor": f"^(-|{NAME})$",
    "HealthTimeoutSeconds": "^[0-9]{1,4}$",
}
