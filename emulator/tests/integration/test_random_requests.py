"""Well-formed requests of every served operation, at random: each is answered or refused by name, none fails inside.

More of them: AWS_EMULATOR_RANDOM_REQUESTS=5000 (of each service), and others with AWS_EMULATOR_RANDOM_SEED=7.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import hypothesis
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from emulator.tests.integration.conftest import PROJECT, WithRepository
from hypothesis import strategies as st

from aws_emulator.gateway.passthrough import is_passed_on
from aws_emulator.gateway.wire.models import SERVICES, operation_model, service_model
from aws_emulator.server import Emulator

REQUESTS = int(os.environ.get("AWS_EMULATOR_RANDOM_REQUESTS", "40"))
SEED = int(os.environ.get("AWS_EMULATOR_RANDOM_SEED", "0"))
INTERNAL = {"EmulatorInternalError", "InternalError", "InternalFailure", "InternalServerError"}
# They wait as long as they are told, or hold this machine's processes.
SLOW = {("lambda", "Invoke")}
DEEPEST = 4
TEXTS = (
    "a",
    "prod",
    "/a/b",
    "x" * 64,
    "ä",
    "$LATEST",
    "true",
    "1",
    "2026-01-01T00:00:00Z",
    "{}",
    "[",
    "*",
    "-1",
)
NUMBERS = (0, 1, 2, 5, 60, 900, -1)


@pytest.fixture(scope="module")
def account() -> Iterator[Emulator]:
    with Emulator(WithRepository(PROJECT), time_scale=0.01) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def known(account: Emulator) -> dict[str, list[str]]:
    """Names and ids that exist, by the end of the member's name that takes them."""
    physical = [
        created.created.physical_id
        for created in account.stack.resources.values()
        if created.created is not None
    ]
    arns = [name for name in physical if name.startswith("arn:")]
    ec2 = client(account, "ec2")
    images = [each["ImageId"] for each in ec2.describe_images()["Images"]]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]]
    instances = ec2.run_instances(ImageId=images[0], InstanceType="t3.large", MinCount=1, MaxCount=1)[
        "Instances"
    ]
    ssm = client(account, "ssm")
    ssm.put_parameter(Name="/a/b", Value="v", Type="String")
    return {
        "imageid": images,
        "subnetid": subnets,
        "instanceid": [each["InstanceId"] for each in instances],
        "arn": arns,
        "name": [*physical, "/a/b", "application"],
        "key": ["Name", "tag:Name", "image-id", "source", "Path", "Label"],
    }


def client(account: Emulator, service: str) -> Any:
    return boto3.client(
        service,
        region_name=account.region,
        endpoint_url=account.endpoint_url,
        aws_access_key_id="tester",
        aws_secret_access_key="secret",
        config=Config(
            retries={"total_max_attempts": 1},
            parameter_validation=False,
            read_timeout=60,
            inject_host_prefix=False,
        ),
    )


def served(account: Emulator, service: str) -> list[str]:
    """The operations of a service that are not refused as a whole."""
    return [
        name
        for name in service_model(service).operation_names
        if (service, name) not in SLOW
        and (
            (service, name) in account.gateway.handlers
            or is_passed_on(account.gateway.passed_on, service, name)
        )
    ]


SCALARS = {
    "boolean": st.booleans(),
    "blob": st.sampled_from([b"{}", b"", b"\xff\x00"]),
    "double": st.sampled_from([0.0, 1.5, 60.0]),
    "float": st.sampled_from([0.0, 1.5, 60.0]),
    "timestamp": st.sampled_from(
        [datetime(2026, 1, 1, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, tzinfo=UTC)]
    ),
}


def values(shape: Any, name: str, known: dict[str, list[str]], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that fit a shape of a service's model."""
    kind, low, high = shape.type_name, shape.metadata.get("min"), shape.metadata.get("max")
    if kind == "structure":
        found = structures(shape, known, depth)
    elif kind == "list":
        least = min(low or 0, 3)
        items = values(shape.member, name, known, depth + 1)
        found = st.lists(items, min_size=least, max_size=max(least, min(high or 2, 2)))
    elif kind == "map":
        keys, items = values(shape.key, "Key", known, depth + 1), values(shape.value, name, known, depth + 1)
        found = st.dictionaries(keys, items, min_size=min(low or 0, 2), max_size=2)
    elif kind in {"integer", "long"}:
        fitting = [each for each in NUMBERS if (low or each) <= each <= (high or each)]
        found = st.sampled_from(fitting or [low or 0])
    else:
        found = SCALARS[kind] if kind in SCALARS else texts(shape, name, known)
    return found


def structures(shape: Any, known: dict[str, list[str]], depth: int) -> st.SearchStrategy[Any]:
    if depth > DEEPEST:
        return st.just({})
    members = {
        key: st.deferred(lambda member=member, key=key: values(member, key, known, depth + 1))
        for key, member in shape.members.items()
    }
    required = {key: members.pop(key) for key in shape.required_members}
    return st.fixed_dictionaries(required, optional=members)


def texts(shape: Any, name: str, known: dict[str, list[str]]) -> st.SearchStrategy[str]:
    low, high = shape.metadata.get("min") or 0, shape.metadata.get("max") or 10_000
    if shape.metadata.get("enum"):
        return st.sampled_from(shape.metadata["enum"])
    existing = [
        value for end, found in known.items() if name.lower().rstrip("s").endswith(end) for value in found
    ]
    fitting = [text for text in (*existing * 3, *TEXTS) if low <= len(text) <= high]
    return st.sampled_from(fitting or ["x" * low])


@pytest.mark.parametrize("service", SERVICES)
def test_no_request_fails_inside_the_emulator(
    account: Emulator, known: dict[str, list[str]], service: str
) -> None:
    operations, sdk = served(account, service), client(account, service)
    if not operations:
        return

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=REQUESTS,
        deadline=None,
        database=None,
        derandomize=SEED == 0,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(st.data())
    def ask(data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(operations))
        shape = operation_model(service, operation).input_shape
        parameters = data.draw(values(shape, "", known)) if shape is not None else {}
        if "WaitTimeSeconds" in parameters:
            parameters["WaitTimeSeconds"] = 0
        code, status = outcome(sdk, operation, parameters)
        assert code not in INTERNAL, (service, operation, parameters, status)
        assert status != 500, (service, operation, parameters, code)

    ask()


def outcome(sdk: Any, operation: str, parameters: dict[str, Any]) -> tuple[str, int]:
    """The error's code and the status of a request, as far as the SDK sends it and reads the answer."""
    try:
        sdk._make_api_call(operation, parameters)
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return str(error.response["Error"]["Code"]), status
    except (BotoCoreError, ValueError, TypeError, AttributeError, KeyError):
        return "", 0
    return "", 200
