"""The instances that Systems Manager manages: those whose agent has reported (DescribeInstanceInformation)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from aws_emulator.api.errors import validation
from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.api.paging import page
from aws_emulator.clock import Clock
from aws_emulator.ec2.model import Instance
from aws_emulator.ec2.store import Ec2Store

_FILTERS: Final = frozenset({"AgentVersion", "InstanceIds", "PingStatus", "PlatformTypes", "ResourceType"})


class Fleet:
    """The managed instances of the account."""

    clock: Clock
    ec2: Ec2Store

    def is_online(self, instance_id: str) -> bool:
        """Whether an instance's agent can take a command."""
        instance = self.ec2.instances.get(instance_id)
        return instance is not None and instance.state == "running" and instance.agent_online

    @operation("ssm", "DescribeInstanceInformation")
    def describe_instance_information(self, request: Request) -> Response:
        """Describe the instances whose agent has reported; others are not listed, without an error."""
        parameters = request.parameters
        with self.ec2.lock:
            instances = [
                each for each in self.ec2.instances.values() if each.state == "running" and each.agent_since
            ]
            filters = [(each["Key"], each["Values"]) for each in parameters.get("Filters", ())]
            filters += [
                (each["key"], each["valueSet"])
                for each in parameters.get("InstanceInformationFilterList", ())
            ]
            if parameters.get("Filters") and parameters.get("InstanceInformationFilterList"):
                raise validation("Filters and InstanceInformationFilterList cannot be used together.")
            for key, values in filters:
                if key not in _FILTERS and not key.startswith("tag:"):
                    raise ApiError("InvalidFilterKey", f"The emulator does not emulate the filter {key}.")
                instances = [each for each in instances if _information(each, key) in values]
            shown, token = page(
                instances, parameters.get("NextToken"), parameters.get("MaxResults"), default=10
            )
            now = self.clock.now()
            return {
                "InstanceInformationList": [_shown_information(each, now) for each in shown],
                "NextToken": token,
            }


def _information(instance: Instance, key: str) -> str | None:
    values = {
        "InstanceIds": instance.instance_id,
        "PingStatus": _ping_status(instance),
        "PlatformTypes": "Linux",
        "AgentVersion": instance.agent_version,
        "ResourceType": "EC2Instance",
    }
    if key.startswith("tag:"):
        return instance.tags.get(key.removeprefix("tag:"))
    return values[key]


def _ping_status(instance: Instance) -> str:
    return "Online" if instance.agent_online else "ConnectionLost"


def _shown_information(instance: Instance, now: datetime) -> dict[str, Any]:
    return {
        "InstanceId": instance.instance_id,
        "PingStatus": _ping_status(instance),
        "LastPingDateTime": now if instance.agent_online else instance.agent_since,
        "AgentVersion": instance.agent_version,
        "IsLatestVersion": True,
        "PlatformType": "Linux",
        "PlatformName": "Ubuntu",
        "PlatformVersion": "22.04",
        "ResourceType": "EC2Instance",
        "IPAddress": instance.private_ip,
        "ComputerName": f"ip-{instance.private_ip.replace('.', '-')}",
        "SourceId": instance.instance_id,
        "SourceType": "AWS::EC2::Instance",
    }
