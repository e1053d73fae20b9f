"""EC2 instances behind the port `Instances`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.image_shapes import IOPS_TYPES, THROUGHPUT_TYPES
from ami_lifecycle.adapters.launch_refusals import WRONG_PARAMETERS, refusal_of, vcpu_limit_of
from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.tags import filters, from_tags, has_tags, specifications
from ami_lifecycle.adapters.translation import aws_errors, code_of, message_of
from ami_lifecycle.domain.launch import LaunchRefusal, LaunchRequest, LaunchResult
from ami_lifecycle.domain.model import Instance, InstanceState
from ami_lifecycle.errors import BuilderLostError, ResourceNotVisibleError, SettingsError

ABSENT: Final = frozenset({"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})

MAXIMUM_PER_PAGE: Final = 500


def _reason(instance: Mapping[str, Any]) -> str | None:
    reason = instance.get("StateReason") or {}
    return reason.get("Message") or reason.get("Code") or instance.get("StateTransitionReason") or None


def to_instance(instance: Mapping[str, Any]) -> Instance:
    """An instance as DescribeInstances and RunInstances show it."""
    return Instance(
        instance_id=instance["InstanceId"],
        state=InstanceState(instance["State"]["Name"]),
        image_id=instance.get("ImageId", ""),
        instance_type=instance.get("InstanceType", ""),
        subnet_id=instance.get("SubnetId", ""),
        launch_time=instance.get("LaunchTime"),
        state_reason=_reason(instance),
        tags=from_tags(instance.get("Tags", ())),
    )


def _volume(
    volume_type: str | None, iops: int | None, throughput: int | None, key_arn: str, rate: int
) -> dict[str, Any]:
    """A volume that is deleted with its instance, with the attributes that its type supports."""
    ebs: dict[str, Any] = {"DeleteOnTermination": True}
    if key_arn:
        # What was encrypted with another key, or not at all, is encrypted anew (EC2 user guide, Use encryption with
        # EBS-backed AMIs).
        ebs |= {"Encrypted": True, "KmsKeyId": key_arn}
    if volume_type is not None:
        ebs["VolumeType"] = volume_type
    if iops is not None and volume_type in IOPS_TYPES:
        ebs["Iops"] = iops
    if throughput is not None and volume_type in THROUGHPUT_TYPES:
        ebs["Throughput"] = throughput
    if rate:
        ebs["VolumeInitializationRate"] = rate
    return ebs


def _devices(request: LaunchRequest) -> list[dict[str, Any]]:
    key_arn, rate = request.volume_key_arn, request.initialization_rate
    root = _volume(request.volume_type, request.iops, request.throughput, key_arn, rate)
    root["VolumeSize"] = request.root_volume_gib
    # With its type: a mapping that overrides an image's without one may get the default type instead of the
    # image's (saltstack/salt pull request 30687), and the next image would have it, too.
    volatile = [
        {
            "DeviceName": device.device_name,
            "Ebs": _volume(device.volume_type, device.iops, device.throughput, key_arn, rate),
        }
        for device in request.volatile_devices
        if device.device_name != request.root_device_name
    ]
    return [{"DeviceName": request.root_device_name, "Ebs": root}, *volatile]


def _run_parameters(request: LaunchRequest) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "ClientToken": request.client_token,
        "ImageId": request.image_id,
        "InstanceType": request.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": request.subnet_id,
        "IamInstanceProfile": {"Arn": request.instance_profile_arn},
        "BlockDeviceMappings": _devices(request),
        "UserData": request.user_data,
        # With a limit of 1 the answer never reaches a container, which is one hop further away.
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": request.metadata_hop_limit,
            **({"InstanceMetadataTags": "enabled"} if request.has_tags_in_metadata else {}),
        },
        # The self-termination timer shuts the instance down from within, which must terminate it.
        "InstanceInitiatedShutdownBehavior": "terminate",
        "TagSpecifications": specifications(request.tags, "instance", "volume", "network-interface"),
    }
    if request.security_group_ids:
        parameters["SecurityGroupIds"] = list(request.security_group_ids)
    return parameters


class Ec2Instances:
    """Instances through a low-level EC2 client.

    One that launches must make one attempt only: EC2 answers missing capacity with a status of 500, and
    the SDK would ask for the same again instead of for another type or subnet. An instance whose response was lost is
    found by the client token.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @calls("ec2:DescribeInstances")
    def get(self, instance_id: str) -> Instance | None:
        """One instance; None when EC2 does not know it."""
        with aws_errors("ec2:DescribeInstances", instance_id):
            try:
                answer = self._client.describe_instances(InstanceIds=[instance_id])
            except ClientError as error:
                if code_of(error) in ABSENT:
                    return None
                raise
            for reservation in answer["Reservations"]:
                for instance in reservation["Instances"]:
                    return to_instance(instance)
        return None

    @calls("ec2:DescribeInstances")
    def find(self, tags: Mapping[str, str]) -> list[Instance]:
        """All instances that carry all these tags, terminated ones included."""
        with aws_errors("ec2:DescribeInstances", f"instances tagged {dict(tags)}"):
            found = [to_instance(instance) for instance in self._pages(filters(tags))]
        return [instance for instance in found if has_tags(instance.tags, tags)]

    # EC2 uses the volumes' key with the caller's rights.
    @calls(
        "ec2:RunInstances",
        "ec2:CreateTags",
        "iam:PassRole",
        "ec2:DescribeInstanceTypes",
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    )
    def launch(self, request: LaunchRequest) -> LaunchResult:
        """Launch one instance. The client token makes a repeated call return the same instance.

        Raises `RefusedError` when the token was used with other parameters or AWS restricts the account,
        and `SettingsError` for a subnet or security group that does not exist or parameters that EC2 refuses
        whatever the type.
        """
        where = f"{request.instance_type} in {request.subnet_id} from {request.image_id}"
        with aws_errors("ec2:RunInstances", where):
            try:
                answer = self._client.run_instances(**_run_parameters(request))
            except ClientError as error:
                words = f"{where}: {code_of(error)}: {message_of(error)}"
                refusal = refusal_of(error, asks_for_rate=bool(request.initialization_rate))
                if refusal is not None:
                    if self._is_too_small(vcpu_limit_of(error), request.instance_type):
                        refusal = LaunchRefusal.QUOTA_TOO_SMALL
                    return LaunchResult(None, refusal, words)
                if code_of(error) in WRONG_PARAMETERS:
                    raise SettingsError(
                        f"EC2 refuses the parameters of the launch of {words.rstrip('. ')}. Correct what it names in "
                        "the settings (builder) or in the stack's parameters"
                    ) from error
                raise
            return LaunchResult(to_instance(answer["Instances"][0]))

    @calls("ec2:StopInstances", "ec2:DescribeInstances")
    def stop(self, instance_id: str) -> None:
        """Stop it, without waiting. Idempotent.

        Raises `BuilderLostError` when it has ended, `ResourceNotVisibleError` when it cannot be stopped yet.
        """
        with aws_errors("ec2:StopInstances", instance_id):
            try:
                self._client.stop_instances(InstanceIds=[instance_id])
            except ClientError as error:
                if code_of(error) != "IncorrectInstanceState":
                    raise
                self._explain_refused_stop(instance_id, error)

    @calls("ec2:TerminateInstances")
    def terminate(self, instance_id: str) -> None:
        """Terminate it, without waiting. Idempotent.

        Raises `ResourceNotVisibleError` when EC2 does not show it, `RefusedError` when it is protected.
        """
        with aws_errors("ec2:TerminateInstances", instance_id):
            self._client.terminate_instances(InstanceIds=[instance_id])

    def _is_too_small(self, limit: int | None, instance_type: str) -> bool:
        """Whether a quota of vCPUs is too small for a single instance of a type."""
        if not limit:
            return limit == 0
        with aws_errors("ec2:DescribeInstanceTypes", instance_type):
            answer = self._client.describe_instance_types(InstanceTypes=[instance_type])
            return any(limit < found["VCpuInfo"]["DefaultVCpus"] for found in answer["InstanceTypes"])

    def _pages(self, criteria: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("describe_instances").paginate(
            Filters=criteria, PaginationConfig={"PageSize": MAXIMUM_PER_PAGE}
        )
        for page in pages:
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]

    def _explain_refused_stop(self, instance_id: str, error: ClientError) -> None:
        instance = self.get(instance_id)
        match instance:
            case Instance(state=InstanceState.STOPPING | InstanceState.STOPPED):
                return
            case Instance(state=InstanceState.PENDING | InstanceState.RUNNING):
                raise ResourceNotVisibleError(
                    f"{instance_id} cannot be stopped while it is {instance.state.value} "
                    f"({message_of(error)}). It is tried again."
                ) from error
            case _:
                state = instance.state_reason or instance.state.value if instance else "not known any more"
                raise BuilderLostError(
                    f"{instance_id} cannot be stopped, it is gone: {state}. Start the build again."
                ) from error
