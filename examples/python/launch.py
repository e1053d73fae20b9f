"""Launch an instance of an environment's latest AMI: `python launch.py prod m5.large subnet-0123456789abcdef0`."""

from __future__ import annotations

import os
import sys

import boto3
from botocore.exceptions import ClientError

from ami_lifecycle.client import get_latest_ami_id

# The image before the latest is deregistered soon after a publication, so an id that is a minute old may be gone.
GONE = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"})

# Without a rate, each block of the disk is fetched when it is first read, and the first start takes minutes. An image
# cannot carry the rate, so every launch names it (docs/fleets.md: what it costs, and how many can launch at once).
ROOT_DEVICE = "/dev/sda1"
INITIALIZATION_RATE = 300  # MiB/s; 100 to 300


def launch(environment: str, instance_type: str, subnet_id: str, region: str) -> str:
    """Launch one instance; looks the image up again once if it was replaced in between."""
    ec2 = boto3.client("ec2", region_name=region)
    for attempt in (1, 2):
        try:
            answer = ec2.run_instances(
                ImageId=get_latest_ami_id(environment, region),
                InstanceType=instance_type,
                SubnetId=subnet_id,
                BlockDeviceMappings=[
                    {
                        "DeviceName": ROOT_DEVICE,
                        "Ebs": {"VolumeType": "gp3", "VolumeInitializationRate": INITIALIZATION_RATE},
                    }
                ],
                MinCount=1,
                MaxCount=1,
            )
        except ClientError as error:
            if attempt == 2 or error.response["Error"]["Code"] not in GONE:
                raise
        else:
            return str(answer["Instances"][0]["InstanceId"])
    raise AssertionError("the second attempt has returned or raised")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: launch.py ENVIRONMENT INSTANCE_TYPE SUBNET_ID")
    print(launch(*sys.argv[1:4], os.environ.get("AWS_REGION", "us-east-1")))
