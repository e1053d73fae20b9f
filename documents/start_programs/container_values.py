"""Fetch what the container gets at each start, secrets and what tells instances apart, into a file in memory."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request
from typing import Any, Callable

# These are for tests; on an instance they are not set.
root = pathlib.Path(os.environ.get("AMI_LIFECYCLE_ROOT") or "/")
METADATA = os.environ.get("AMI_LIFECYCLE_METADATA", "http://169.254.169.254")
ENDPOINT = os.environ.get("AMI_LIFECYCLE_ENDPOINT", "https://{service}.{region}.{domain}")
ATTEMPTS, TIMEOUT_SECONDS = 5, 10
# The metadata are never behind a proxy, whatever the environment says.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):  # noqa: N818 - what is wrong, and what to do, in words
    """A value that this instance does not get."""

    __slots__ = ()


def ask(opener: Any, request: urllib.request.Request) -> bytes:
    """What is answered, in several attempts: the network may only be coming up, and AWS may throttle."""
    pause = 1
    for attempt in range(1, ATTEMPTS + 1):
        try:
            try:
                with opener(request, timeout=TIMEOUT_SECONDS) as answer:
                    return bytes(answer.read())
            except urllib.error.HTTPError as error:
                error.msg = text = error.read().decode(errors="replace")
                passing = error.code >= 500 or "Throttl" in text or "TooManyRequests" in text
                if attempt == ATTEMPTS or not passing:
                    raise
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException) as error:
            # HTTPException: an answer that ends before its end.
            if attempt == ATTEMPTS:
                reason = getattr(error, "reason", error)
                raise Refused(
                    f"{request.host} does not answer ({reason}); check the subnet's way to it"
                ) from None
        time.sleep(pause)
        pause *= 2
    raise AssertionError


def metadata(path: str) -> str | None:
    """A value of the instance metadata service, by a session; None where there is none of this name."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    session = urllib.request.Request(f"{METADATA}/latest/api/token", method="PUT", headers=lifetime)  # noqa: S310
    try:
        known = {"X-aws-ec2-metadata-token": ask(direct.open, session).decode()}
        wanted = urllib.request.Request(f"{METADATA}/latest/{path}", headers=known)  # noqa: S310
        # User data may be anything, such as compressed.
        return ask(direct.open, wanted).decode(errors="replace")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        # EC2 user guide, "Use the Instance Metadata Service": 403 where it is turned off.
        raise Refused(
            f"the instance metadata answer {path} with status {error.code}; launch the instance with "
            "HttpEndpoint=enabled"
        ) from None


def call(service: str, region: str, target: str, content: dict[str, Any]) -> Any:
    """An API call with the credentials of the instance's role (IAM user guide, "Create a signed AWS API request")."""
    path = "meta-data/iam/security-credentials/"
    role = (metadata(path) or "").split()
    if not role:
        raise Refused("the instance has no role; launch it with an instance profile that may read it")
    keys = json.loads(metadata(path + role[0]) or "{}")
    if "Token" not in keys:
        # IAM user guide, "Troubleshoot IAM and Amazon EC2": `Code` says why there are none.
        raise Refused(
            f"the instance gets no keys of its role {role[0]} ({keys.get('Code')}); let ec2.amazonaws.com assume it"
        )
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    address = ENDPOINT.format(service=service, region=region, domain=domain)
    body, now = json.dumps(content).encode(), dt.datetime.now(dt.timezone.utc)
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": address.partition("://")[2],
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
        "x-amz-security-token": keys["Token"],
        "x-amz-target": target,
    }
    signed = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"POST\n/\n\n{lines}\n{signed}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{now:%Y%m%d}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{keys['SecretAccessKey']}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={signed}, Signature={key.hex()}"
    )
    return json.loads(
        ask(urllib.request.urlopen, urllib.request.Request(f"{address}/", data=body, headers=headers))  # noqa: S310
    )


# By service: what its secrets are called, the call, its content, and the permission that it needs.
SERVICES: dict[str, tuple[str, str, str, str]] = {
    "ssm": ("parameter", "AmazonSSM.GetParameter", "Name", "ssm:GetParameter"),
    "secretsmanager": (
        "secret",
        "secretsmanager.GetSecretValue",
        "SecretId",
        "secretsmanager:GetSecretValue",
    ),
}


def secret(source: str) -> str:
    """The value of `ssm:NAME` or `secretsmanager:NAME`; the latter may end in `#KEY`, a key of its JSON object."""
    service, _, name = source.partition(":")
    kind, target, field, action = SERVICES[service]
    key = ""
    if service == "secretsmanager":
        name, _, key = name.partition("#")
    region = name.split(":")[3] if name.startswith("arn:") else metadata("meta-data/placement/region") or ""
    what = f"the {kind} {name} in {region}"
    try:
        answer = call(
            service, region, target, {field: name, **({"WithDecryption": True} if service == "ssm" else {})}
        )
    except urllib.error.HTTPError as error:
        try:
            said = json.loads(error.msg)
        except ValueError:
            said = {}
        code = str(said.get("__type", error.code)).rpartition("#")[2]
        if code in ("ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException"):
            raise Refused(f"{what} does not exist; create it, or correct the name") from None
        if code.startswith("AccessDenied"):
            raise Refused(
                f"the instance's role may not read {what}; grant it {action}, and kms:Decrypt of its key"
            ) from None
        words = said.get("message") or said.get("Message") or ""
        raise Refused(f"{what} cannot be read, {code} {words}".rstrip()) from None
    value = answer["Parameter"]["Value"] if service == "ssm" else answer.get("SecretString")
    if value is None:
        raise Refused(f"{what} has no text; store it as a string")
    if key:
        try:
            value = json.loads(value)[key]
        except (ValueError, KeyError, TypeError):
            raise Refused(f"{what} is no JSON object with {key}; correct the key, or store one") from None
        value = value if isinstance(value, str) else json.dumps(value)
    return str(value)


def variable(source: str) -> str:
    """The value of `tag:KEY` or `imds:PATH`; after `|` stands what is taken where the instance has none."""
    kind, _, rest = source.partition(":")
    name, otherwise, default = rest.partition("|")
    value = metadata(f"meta-data/tags/instance/{name}" if kind == "tag" else f"meta-data/{name}")
    if value is not None:
        return value
    if otherwise:
        return default
    if kind == "tag":
        raise Refused(
            f"the instance metadata have no tag {name}; set the tag, and InstanceMetadataTags to enabled"
        )
    raise Refused(
        f"the instance metadata have nothing at meta-data/{name}; correct the path, or name a default after |"
    )


def attempted(read: Callable[[str], str], source: str) -> tuple[str, str]:
    """A value, or why there is none."""
    try:
        value = read(source)
    except Refused as problem:
        return "", str(problem)
    return value, "its value has a zero byte, which no variable can hold" if "\0" in value else ""


if sys.argv[1:] == ["condition"]:
    # On a builder, which boots an image that is updated, the application gets nothing (user data of the launch).
    try:
        sys.exit(int("\n# ami-lifecycle builder\n" in (metadata("user-data") or "")))
    except Refused as unknown:
        print(unknown, file=sys.stderr)
        # systemd.service(5), "ExecCondition=": with 1 to 254 the unit is skipped, and nothing starts it again.
        sys.exit(255)
asked = json.loads((root / "etc/ami-lifecycle/container-values.json").read_text(encoding="utf-8"))
values, problems = {}, []
for part, read in (("secrets", secret), ("instance_variables", variable)):
    for name, source in asked.get(part, {}).items():
        value, problem = attempted(read, source)
        values[name] = value
        if problem:
            problems.append(f"no {name} for the container, because {problem}")
if problems:
    print("\n".join(problems), file=sys.stderr)
    sys.exit(1)
os.umask(0o077)
run = root / "run/ami-lifecycle"
run.mkdir(parents=True, exist_ok=True)
new = run / "container-values.json.new"
new.write_text(json.dumps(values), encoding="utf-8")
new.replace(run / "container-values.json")
