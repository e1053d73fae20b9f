"""A Parameter Store for consumers, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError


def record(ami_id: str, **values: Any) -> dict[str, Any]:
    """Metadata of an image."""
    return {"ami_id": ami_id, "docker_image": f"registry/comfyui:{ami_id}", "environment": "prod", **values}


def refusal(code: str, operation: str = "GetParameter", status: int = 400) -> ClientError:
    """What boto3 raises for an error code."""
    return ClientError(
        {"Error": {"Code": code, "Message": "because."}, "ResponseMetadata": {"HTTPStatusCode": status}},
        operation,
    )


class FakeStore:
    """Answers as the low-level SSM client. `before` is called with each name before it is read."""

    def __init__(self, **published: dict[str, Any]) -> None:
        self.values: dict[str, str] = {}
        self.reads: list[str] = []
        self.faults: dict[str, Exception] = {}
        self.before: Callable[[str], None] = lambda _name: None
        for environment, metadata in published.items():
            self.publish(metadata, environment)

    def publish(self, metadata: dict[str, Any], environment: str = "prod") -> None:
        """Publish as the service does: history of both images, then metadata, then `latest`."""
        prefix = f"/comfyui/ami/{environment}"
        history = {**metadata, "status": "live", "status_reason": "published"}
        self.values[f"{prefix}/history/{metadata['ami_id']}"] = json.dumps(history)
        replaced = f"{prefix}/history/{self.values.get(f'{prefix}/latest')}"
        if replaced in self.values:
            record = {**json.loads(self.values[replaced]), "status": "superseded"}
            self.values[replaced] = json.dumps({**record, "superseded_by": metadata["ami_id"]})
        self.values[f"{prefix}/metadata"] = json.dumps(metadata)
        self.values[f"{prefix}/latest"] = metadata["ami_id"]

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803 - AWS's own name
        self.before(Name)
        self.reads.append(Name.rsplit("/", 1)[-1])
        if fault := self.faults.get("GetParameter"):
            raise fault
        if Name not in self.values:
            raise refusal("ParameterNotFound")
        return {"Parameter": {"Name": Name, "Value": self.values[Name]}}

    def get_paginator(self, _operation: str) -> FakeStore:
        return self

    def paginate(self, *, Path: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - AWS's own name
        if fault := self.faults.get("GetParametersByPath"):
            raise fault
        found = [
            {"Name": name, "Value": value}
            for name, value in self.values.items()
            if name.startswith(f"{Path}/")
        ]
        yield {"Parameters": found[:1]}
        yield {"Parameters": found[1:]}
