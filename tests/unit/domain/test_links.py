"""Addresses in the consoles of the partitions."""

from __future__ import annotations

import pytest

from ami_lifecycle.domain.links import execution_link, image_link, log_group_link


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_console(partition: str, region: str, host: str) -> None:
    arn = f"arn:{partition}:states:{region}:123456789012:execution:build:one"
    assert execution_link(arn) == f"https://{host}/states/home?region={region}#/v2/executions/details/{arn}"
    image = image_link(arn, "ami-1")
    assert image == f"https://{host}/ec2/home?region={region}#ImageDetails:imageId=ami-1"


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "us-east-1", "console.aws.amazon.com"),
        ("aws-us-gov", "us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_the_name_of_a_log_group_is_encoded_as_the_console_does(
    partition: str, region: str, host: str
) -> None:
    link = log_group_link(f"arn:{partition}:states:{region}:1:stateMachine:m", "/aws/Lambda/Build_1.x:y")
    assert link == (
        f"https://{host}/cloudwatch/home?region={region}"
        "#logsV2:log-groups/log-group/$252Faws$252FLambda$252FBuild_1.x$253Ay"
    )
