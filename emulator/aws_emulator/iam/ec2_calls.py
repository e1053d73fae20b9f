"""What EC2 calls need (service authorization reference, Amazon EC2).

A call that works on several resources is authorised for each of them, and a call that tags what it
creates also needs `ec2:CreateTags` on that (EC2 user guide, Grant permission to tag resources during
creation). Describe calls have no resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from aws_emulator.ec2.launch_templates import template_data
from aws_emulator.iam.account import AccountView
from aws_emulator.iam.policies import Check, check

Parameters = Mapping[str, Any]
Needs = Callable[[Parameters, AccountView], list[Check]]
# Images and snapshots have no account in their ARN.
_WITHOUT_ACCOUNT: Final = frozenset({"image", "snapshot"})
_KIND_OF_ID: Final = {"ami": "image", "i": "instance", "snap": "snapshot", "vol": "volume"}
_CALLED_VIA_IMAGES: Final = {"aws:CalledVia": "ec2-images.amazonaws.com"}
# What EC2 calls with the caller's rights (EC2 user guide, Identify your resources referencing specified AMIs).
_READS_FOR_REFERENCES: Final[Mapping[str, tuple[str, ...]]] = {
    "ec2:Instance": ("ec2:DescribeInstances",),
    "ec2:LaunchTemplate": ("ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions"),
    "ssm:Parameter": ("ssm:DescribeParameters", "ssm:GetParameters"),
    "imagebuilder:ImageRecipe": ("imagebuilder:ListImageRecipes", "imagebuilder:GetImageRecipe"),
    "imagebuilder:ContainerRecipe": (
        "imagebuilder:ListContainerRecipes",
        "imagebuilder:GetContainerRecipe",
    ),
}


def _arn(account: AccountView, kind: str, name: str) -> str:
    return account.arn("ec2", f"{kind}/{name}", owned=kind not in _WITHOUT_ACCOUNT)


def _on(action: str, account: AccountView, kind: str, resource_id: str) -> Check:
    """A check on a resource that exists, with its tags."""
    tags = account.ec2_tags(kind, resource_id)
    context = {
        f"{prefix}:ResourceTag/{key}": value for prefix in ("aws", "ec2") for key, value in tags.items()
    }
    return check(action, _arn(account, kind, resource_id), context)


def _creating(action: str, account: AccountView, kind: str, tags: Mapping[str, str], **keys: str) -> Check:
    """A check on a resource that the call creates, with the tags that it asks for."""
    context: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    return check(action, _arn(account, kind, "*"), {**context, "aws:TagKeys": list(tags), **keys})


def _requested_tags(parameters: Parameters, kind: str) -> dict[str, str]:
    return {
        tag["Key"]: tag.get("Value", "")
        for specification in parameters.get("TagSpecifications") or ()
        if specification.get("ResourceType") == kind
        for tag in specification.get("Tags") or ()
    }


def _tagging(
    operation: str, parameters: Parameters, account: AccountView, kinds: Iterable[str]
) -> list[Check]:
    """`ec2:CreateTags` on every kind of resource that the call tags; nothing if it tags nothing."""
    return [
        _creating("ec2:CreateTags", account, kind, tags, **{"ec2:CreateAction": operation})
        for kind in kinds
        if (tags := _requested_tags(parameters, kind))
    ]


def _on_instances(operation: str) -> Needs:
    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        return [
            _on(f"ec2:{operation}", account, "instance", each) for each in parameters.get("InstanceIds", ())
        ]

    return needs


def _on_one(operation: str, kind: str, member: str) -> Needs:
    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        return [_on(f"ec2:{operation}", account, kind, parameters[member])]

    return needs


def _run_instances(parameters: Parameters, account: AccountView) -> list[Check]:
    if template := parameters.get("LaunchTemplate"):
        with account.ec2.lock:
            parameters = template_data(account.ec2, template) | dict(parameters)
    action = "ec2:RunInstances"
    interface: Mapping[str, Any] = next(iter(parameters.get("NetworkInterfaces") or ()), {})
    zone = (parameters.get("Placement") or {}).get("AvailabilityZone")
    subnet = account.subnet_of(interface.get("SubnetId", parameters.get("SubnetId")), zone)
    groups = interface.get("Groups", parameters.get("SecurityGroupIds")) or ["*"]
    checks = [_on(action, account, "image", parameters.get("ImageId", "*"))]
    checks += [check(action, account.subnet_arn(subnet))]
    checks += [check(action, _arn(account, "security-group", group)) for group in groups]
    checks += [
        _creating(action, account, kind, _requested_tags(parameters, kind))
        for kind in ("instance", "network-interface", "volume")
    ]
    if "KeyName" in parameters:
        checks.append(check(action, _arn(account, "key-pair", parameters["KeyName"])))
    checks += [
        _on(action, account, "snapshot", mapping["Ebs"]["SnapshotId"])
        for mapping in parameters.get("BlockDeviceMappings") or ()
        if (mapping.get("Ebs") or {}).get("SnapshotId")
    ]
    if template:
        name = template.get("LaunchTemplateId") or template.get("LaunchTemplateName", "*")
        checks.append(check(action, _arn(account, "launch-template", name)))
    kinds = ("instance", "network-interface", "volume", "spot-instances-request")
    return checks + _tagging("RunInstances", parameters, account, kinds) + _passing(parameters, account)


def _passing(parameters: Parameters, account: AccountView) -> list[Check]:
    """`iam:PassRole` on the role that the instance gets (IAM user guide, Grant permissions to pass a role)."""
    profile = parameters.get("IamInstanceProfile")
    if not profile:
        return []
    role = account.role_of_profile(profile) or account.arn("iam", "role/*").replace(account.region, "")
    return [check("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"})]


def _create_image(parameters: Parameters, account: AccountView) -> list[Check]:
    action = "ec2:CreateImage"
    created = [
        _creating(action, account, kind, _requested_tags(parameters, kind)) for kind in ("image", "snapshot")
    ]
    tagging = _tagging("CreateImage", parameters, account, ("image", "snapshot"))
    return [_on(action, account, "instance", parameters["InstanceId"]), *created, *tagging]


def _register_image(parameters: Parameters, account: AccountView) -> list[Check]:
    action = "ec2:RegisterImage"
    snapshots = [
        _on(action, account, "snapshot", mapping["Ebs"]["SnapshotId"])
        for mapping in parameters.get("BlockDeviceMappings") or ()
        if (mapping.get("Ebs") or {}).get("SnapshotId")
    ]
    image = _creating(action, account, "image", _requested_tags(parameters, "image"))
    return [image, *snapshots, *_tagging("RegisterImage", parameters, account, ("image",))]


def _copy_image(parameters: Parameters, account: AccountView) -> list[Check]:
    action = "ec2:CopyImage"
    kinds = ("image", "snapshot")
    created = [_creating(action, account, kind, _requested_tags(parameters, kind)) for kind in kinds]
    source = _on(action, account, "image", parameters["SourceImageId"])
    return [source, *created, *_tagging("CopyImage", parameters, account, kinds)]


def _change_tags(operation: str) -> Needs:
    """CreateTags and DeleteTags on what exists: both the tags it has and the tags of the request count."""

    def needs(parameters: Parameters, account: AccountView) -> list[Check]:
        tags = {tag["Key"]: tag.get("Value", "") for tag in parameters.get("Tags") or ()}
        asked = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
        checks = []
        for resource_id in parameters.get("Resources", ()):
            kind = _KIND_OF_ID.get(resource_id.partition("-")[0], "*")
            on = _on(f"ec2:{operation}", account, kind, resource_id)
            context = {**dict(on.context), **asked, "aws:tagkeys": tuple(tags)}
            checks.append(check(on.action, on.resource, context))
        return checks

    return needs


def _describe_image_references(parameters: Parameters, _account: AccountView) -> list[Check]:
    asked = [each.get("ResourceType", "") for each in parameters.get("ResourceTypes") or ()]
    kinds = list(_READS_FOR_REFERENCES) if parameters.get("IncludeAllResourceTypes") else asked
    reads = [action for kind in kinds for action in _READS_FOR_REFERENCES.get(kind, ())]
    own = check("ec2:DescribeImageReferences")
    return [own, *(check(action, context=_CALLED_VIA_IMAGES) for action in reads)]


def _describe_launch_template_versions(parameters: Parameters, account: AccountView) -> list[Check]:
    own = check("ec2:DescribeLaunchTemplateVersions")
    if not parameters.get("ResolveAlias"):
        return [own]
    return [own, check("ssm:GetParameters", account.arn("ssm", "parameter/*"))]


CALLS: Final[Mapping[tuple[str, str], Needs]] = {
    ("ec2", "CopyImage"): _copy_image,
    ("ec2", "CreateImage"): _create_image,
    ("ec2", "CreateTags"): _change_tags("CreateTags"),
    ("ec2", "DeleteSnapshot"): _on_one("DeleteSnapshot", "snapshot", "SnapshotId"),
    ("ec2", "DeleteTags"): _change_tags("DeleteTags"),
    # The right to delete its snapshots is asked for each of them when the image is gone, and where it is missing the
    # call succeeds (EC2 API reference, DeleteSnapshotReturnCode: missing-permissions).
    ("ec2", "DeregisterImage"): _on_one("DeregisterImage", "image", "ImageId"),
    ("ec2", "DescribeImageAttribute"): _on_one("DescribeImageAttribute", "image", "ImageId"),
    ("ec2", "DescribeImageReferences"): _describe_image_references,
    ("ec2", "DescribeLaunchTemplateVersions"): _describe_launch_template_versions,
    ("ec2", "DisableImage"): _on_one("DisableImage", "image", "ImageId"),
    ("ec2", "DisableImageDeprecation"): _on_one("DisableImageDeprecation", "image", "ImageId"),
    ("ec2", "DisableImageDeregistrationProtection"): _on_one(
        "DisableImageDeregistrationProtection", "image", "ImageId"
    ),
    ("ec2", "EnableImage"): _on_one("EnableImage", "image", "ImageId"),
    ("ec2", "EnableImageDeprecation"): _on_one("EnableImageDeprecation", "image", "ImageId"),
    ("ec2", "EnableImageDeregistrationProtection"): _on_one(
        "EnableImageDeregistrationProtection", "image", "ImageId"
    ),
    ("ec2", "ModifyImageAttribute"): _on_one("ModifyImageAttribute", "image", "ImageId"),
    ("ec2", "RebootInstances"): _on_instances("RebootInstances"),
    ("ec2", "RegisterImage"): _register_image,
    ("ec2", "RestoreSnapshotFromRecycleBin"): _on_one(
        "RestoreSnapshotFromRecycleBin", "snapshot", "SnapshotId"
    ),
    ("ec2", "RunInstances"): _run_instances,
    ("ec2", "StartInstances"): _on_instances("StartInstances"),
    ("ec2", "StopInstances"): _on_instances("StopInstances"),
    ("ec2", "TerminateInstances"): _on_instances("TerminateInstances"),
}
