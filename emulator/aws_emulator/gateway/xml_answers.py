"""Answers of IAM, STS and EC2 as AWS gives them, where moto, which gives them here, gives others.

Sources: their API references; localstack/localstack (validated on AWS), tests/aws/services/iam, sts and ec2.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from botocore.session import get_session

from aws_emulator.api.operations import ApiError, Request, Response
from aws_emulator.gateway.passthrough import MotoResponse
from aws_emulator.gateway.wire.http import HttpResponse

_ZONE: Final = re.compile(r"<zoneId>[^<]*</zoneId>")
_REGIONS: Final = "partitions"
_FIRST_ERROR: Final = 400
_SECOND_MESSAGE: Final = re.compile(r"<message>.*?</message>", re.DOTALL)
_LAST_USED: Final = re.compile(r"<RoleLastUsed>.*?</RoleLastUsed>|<RoleLastUsed\s*/>", re.DOTALL)
_LONGEST_SESSION: Final = re.compile(r"<MaxSessionDuration>\d+</MaxSessionDuration>")
_ATTACHMENTS: Final = re.compile(r"(<AttachmentCount>\d+</AttachmentCount>)(?!<Perm)")
_TRUST: Final = re.compile(r"(<AssumeRolePolicyDocument>)(.*?)(</AssumeRolePolicyDocument>)", re.DOTALL)
_PACKED: Final = re.compile(r"<PackedPolicySize>\d+</PackedPolicySize>")
# What makes a session's packed policy.
_PACKING: Final = ("Policy", "PolicyArns", "Tags")


def as_recorded(request: Request, proceed: Callable[[], Response]) -> Response:
    """The gateway's middleware around what moto answers for IAM and STS."""
    if request.service == "ec2" and request.operation == "DescribeAvailabilityZones":
        return _with_zone_groups(request.region, proceed())
    if request.service not in {"iam", "sts"}:
        return proceed()
    policy = request.parameters.get("PolicyArn")
    if policy is not None and not policy.startswith("arn:"):
        raise ApiError("ValidationError", "Invalid ARN:  Could not be parsed!")
    response = proceed()
    if not isinstance(response, MotoResponse):
        return response
    http = response.http
    text = _SECOND_MESSAGE.sub("", http.body.decode())
    if http.status < _FIRST_ERROR:
        text = _corrected(request.operation, request.parameters, text)
    return MotoResponse(HttpResponse(http.status, text.encode(), http.headers))


def _with_zone_groups(region: str, response: Response) -> Response:
    if not isinstance(response, MotoResponse):
        return response
    known = (each["regions"] for each in get_session().get_data(_REGIONS)["partitions"])
    name = next((regions[region]["description"] for regions in known if region in regions), region)
    more = (
        f"<groupName>{region}-zg-1</groupName><groupLongName>{name} 1</groupLongName>"
        f"<networkBorderGroup>{region}</networkBorderGroup><optInStatus>opt-in-not-required</optInStatus>"
    )
    text = _ZONE.sub(lambda match: match[0] + more, response.http.body.decode())
    return MotoResponse(HttpResponse(response.http.status, text.encode(), response.http.headers))


def _corrected(operation: str, asked: Any, text: str) -> str:
    match operation:
        case "CreateRole":
            text = _LAST_USED.sub("", text)
            return text if "MaxSessionDuration" in asked else _LONGEST_SESSION.sub("", text)
        case "CreatePolicy":
            return _ATTACHMENTS.sub(
                r"\1<PermissionsBoundaryUsageCount>0</PermissionsBoundaryUsageCount>", text
            )
        case "ListRoles":
            return _TRUST.sub(_encoded, text)
        case "AssumeRole" if not any(asked.get(each) for each in _PACKING):
            return _PACKED.sub("", text)
        case "GetFederationToken" if not any(asked.get(each) for each in _PACKING):
            return _PACKED.sub("<PackedPolicySize>0</PackedPolicySize>", text)
    return text


def _encoded(match: re.Match[str]) -> str:
    """A policy as IAM writes every one: percent-encoded, so that what is encoded inside stays so."""
    opening, document, closing = match.groups()
    return f"{opening}{quote(html.unescape(document))}{closing}"
