#!/bin/sh
# Launch an instance of an environment's latest AMI: launch.sh prod m5.large subnet-0123456789abcdef0
#
# Prints the instance's id. RATE is the MiB a second, 100 to 300, at which the disk is read from its snapshot: no image
# carries it, so every launch names it (docs/fleets.md).
set -eu
if [ $# -ne 3 ]; then
    echo "use: $0 ENVIRONMENT INSTANCE_TYPE SUBNET_ID" >&2
    exit 2
fi
aws ec2 run-instances --image-id "resolve:ssm:/${APPLICATION:-comfyui}/ami/$1/latest" --instance-type "$2" --subnet-id "$3" \
    --block-device-mappings "DeviceName=/dev/sda1,Ebs={VolumeType=gp3,VolumeInitializationRate=${RATE:-300}}" \
    --query 'Instances[0].InstanceId' --output text
