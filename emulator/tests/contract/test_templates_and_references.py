"""Launch templates, references to images, tags."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from emulator.tests.contract.account import ACCOUNT, Account
from emulator.tests.contract.asserting import refused


def template(account: Account, name: str = "fleet", **data: Any) -> str:
    answer = account.ec2.create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "t3.large"} | data
    )
    return str(answer["LaunchTemplate"]["LaunchTemplateId"])


def test_a_template_launches_its_default_version(account: Account) -> None:
    """EC2 API reference, RunInstances: LaunchTemplate, with the request's parameters over it."""
    first, second = account.ubuntu, account.image()
    template_id = template(account, ImageId=first)
    account.ec2.create_launch_template_version(
        LaunchTemplateId=template_id, SourceVersion="1", LaunchTemplateData={"ImageId": second}
    )
    for version, image_id in (("$Default", first), ("$Latest", second), ("1", first)):
        answer = account.ec2.run_instances(
            LaunchTemplate={"LaunchTemplateId": template_id, "Version": version}, MinCount=1, MaxCount=1
        )
        assert answer["Instances"][0]["ImageId"] == image_id
    account.ec2.modify_launch_template(LaunchTemplateId=template_id, DefaultVersion="2")
    answer = account.ec2.run_instances(
        LaunchTemplate={"LaunchTemplateName": "fleet"}, InstanceType="m5.large", MinCount=1, MaxCount=1
    )
    assert answer["Instances"][0]["ImageId"] == second
    assert answer["Instances"][0]["InstanceType"] == "m5.large"


def test_template_names_and_versions_must_exist(account: Account) -> None:
    """EC2 error codes for launch templates."""
    template_id = template(account)
    with refused("InvalidLaunchTemplateName.AlreadyExistsException"):
        template(account)
    with refused("InvalidLaunchTemplateId.NotFound"):
        account.ec2.describe_launch_templates(LaunchTemplateIds=["lt-0123456789abcdef0"])
    with refused("InvalidLaunchTemplateName.NotFoundException"):
        account.ec2.describe_launch_templates(LaunchTemplateNames=["nobody"])
    with refused("InvalidLaunchTemplateId.VersionNotFound"):
        account.ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=["9"])


def test_versions_are_listed_newest_first(account: Account) -> None:
    """Recorded calls: the newest version comes first."""
    template_id = template(account)
    for _ in range(2):
        account.ec2.create_launch_template_version(
            LaunchTemplateId=template_id, LaunchTemplateData={"ImageId": account.ubuntu}
        )
    found = account.ec2.describe_launch_template_versions(LaunchTemplateId=template_id)[
        "LaunchTemplateVersions"
    ]
    assert [each["VersionNumber"] for each in found] == [3, 2, 1]


def test_an_alias_is_resolved_when_asked_for(account: Account) -> None:
    """EC2 API reference, DescribeLaunchTemplateVersions: ResolveAlias."""
    image_id = account.image()
    account.ssm.put_parameter(Name="/ami/latest", Value=image_id, Type="String", DataType="aws:ec2:image")
    account.advance(1)
    template_id = template(account, ImageId="resolve:ssm:/ami/latest")
    for resolve, expected in ((False, "resolve:ssm:/ami/latest"), (True, image_id)):
        (version,) = account.ec2.describe_launch_template_versions(
            LaunchTemplateId=template_id, ResolveAlias=resolve
        )["LaunchTemplateVersions"]
        assert version["LaunchTemplateData"]["ImageId"] == expected


def test_a_template_token_no_longer_matches_once_there_are_versions(account: Account) -> None:
    """Recorded calls: the same token mismatches after a further version, and after deletion."""
    request = {
        "LaunchTemplateName": "fleet",
        "LaunchTemplateData": {"InstanceType": "t3.large"},
        "ClientToken": "once",
    }
    first = account.ec2.create_launch_template(**request)["LaunchTemplate"]["LaunchTemplateId"]
    assert account.ec2.create_launch_template(**request)["LaunchTemplate"]["LaunchTemplateId"] == first
    account.ec2.create_launch_template_version(
        LaunchTemplateId=first, LaunchTemplateData={"EbsOptimized": True}
    )
    with refused("IdempotentParameterMismatch"):
        account.ec2.create_launch_template(**request)


def test_a_version_is_made_once_for_a_token(account: Account) -> None:
    """EC2 API reference, CreateLaunchTemplateVersion: ClientToken."""
    made = account.ec2.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": account.ubuntu}
    )["LaunchTemplate"]
    version = {
        "LaunchTemplateId": made["LaunchTemplateId"],
        "ClientToken": "once",
        "LaunchTemplateData": {"InstanceType": "t3.large"},
    }
    numbers = [
        account.ec2.create_launch_template_version(**version)["LaunchTemplateVersion"]["VersionNumber"]
        for _ in range(2)
    ]
    assert numbers == [2, 2]
    with refused("IdempotentParameterMismatch"):
        account.ec2.create_launch_template_version(**version | {"VersionDescription": "another"})


def test_a_new_default_version_must_be_named_and_is_set_once_for_a_token(account: Account) -> None:
    """radkawar/stackd, testdata/aws/ec2/launch_templates.json: modify-no-version, modify-token-mismatch."""
    created = account.ec2.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"InstanceType": "m5.large"}
    )["LaunchTemplate"]
    template = {"LaunchTemplateId": created["LaunchTemplateId"]}
    for _ in range(2):
        account.ec2.create_launch_template_version(
            **template, LaunchTemplateData={"InstanceType": "m5.xlarge"}
        )
    with refused("MissingParameter") as refusal:
        account.ec2.modify_launch_template(**template)
    assert created["LaunchTemplateId"] in refusal.message

    def choose(version: str, token: str) -> int:
        answer = account.ec2.modify_launch_template(**template, DefaultVersion=version, ClientToken=token)
        return int(answer["LaunchTemplate"]["DefaultVersionNumber"])

    assert choose("2", "first") == 2
    with refused("IdempotentParameterMismatch"):
        choose("3", "first")
    assert choose("$Latest", "second") == 3
    assert choose("2", "first") == 3, "it was done before"


def test_bounds_of_versions_are_numbers(account: Account) -> None:
    """EC2 API reference, DescribeLaunchTemplateVersions: MinVersion, MaxVersion; the code of the refusal is general."""
    account.ec2.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": account.ubuntu}
    )
    describe = partial(account.ec2.describe_launch_template_versions, LaunchTemplateName="fleet")
    for member in ("MinVersion", "MaxVersion"):
        for value in ("x", "\u00b2", "9" * 5000):
            with refused("InvalidParameterValue"):
                describe(**{member: value})
    assert len(describe(MinVersion="1", MaxVersion="1")["LaunchTemplateVersions"]) == 1
    with refused("InvalidLaunchTemplateId.VersionNotFound"):
        describe(Versions=["\u00b2"])


@pytest.mark.parametrize("name", ["ab", "a" * 129, "with space", "ümlaut"])
def test_names_of_templates_are_checked(account: Account, name: str) -> None:
    """EC2 API reference, CreateLaunchTemplate: 3 to 128 characters, pattern [a-zA-Z0-9\\(\\)\\.\\-/_]+."""
    with refused("InvalidLaunchTemplateName.MalformedException"):
        account.ec2.create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData={"ImageId": account.ubuntu}
        )


def test_references_name_instances_templates_and_parameters(account: Account) -> None:
    """EC2 API reference, DescribeImageReferences."""
    image_id = account.image()
    instance_id = account.launch(ImageId=image_id)
    template_id = template(account, ImageId=image_id)
    account.ssm.put_parameter(Name="/ami/latest", Value=image_id, Type="String", DataType="aws:ec2:image")
    account.advance(1)
    answer = account.ec2.describe_image_references(ImageIds=[image_id], IncludeAllResourceTypes=True)
    assert {(each["ResourceType"], each["Arn"]) for each in answer["ImageReferences"]} == {
        ("ec2:Instance", f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{instance_id}"),
        ("ec2:LaunchTemplate", f"arn:aws:ec2:us-east-1:{ACCOUNT}:launch-template/{template_id}"),
        ("ssm:Parameter", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/ami/latest"),
    }


def test_references_look_at_the_ten_newest_template_versions(account: Account) -> None:
    """EC2 user guide, Identify AMIs referenced by your resources: version-depth is 10 by default."""
    image_id = account.image()
    template_id = template(account, ImageId=image_id)
    for index in range(10):
        account.ec2.create_launch_template_version(
            LaunchTemplateId=template_id,
            LaunchTemplateData={"ImageId": account.ubuntu, "KeyName": f"key-{index}"},
        )
    kinds: list[dict[str, Any]] = [{"ResourceType": "ec2:LaunchTemplate"}]
    assert (
        account.ec2.describe_image_references(ImageIds=[image_id], ResourceTypes=kinds)["ImageReferences"]
        == []
    )
    kinds[0]["ResourceTypeOptions"] = [{"OptionName": "version-depth", "OptionValues": ["11"]}]
    assert account.ec2.describe_image_references(ImageIds=[image_id], ResourceTypes=kinds)["ImageReferences"]


def test_references_take_one_to_ten_ids_and_are_paged(account: Account) -> None:
    """EC2 API reference, DescribeImageReferences: 1 to 10 ids; MaxResults of at least 5."""
    image_id = account.image()
    ids = {account.launch(ImageId=image_id) for _ in range(7)}
    with refused("InvalidParameterValue"):
        account.ec2.describe_image_references(ImageIds=[image_id] * 11, IncludeAllResourceTypes=True)
    paginator = account.ec2.get_paginator("describe_image_references")
    pages = list(
        paginator.paginate(
            ImageIds=[image_id],
            ResourceTypes=[
                {
                    "ResourceType": "ec2:Instance",
                    "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": ["pending"]}],
                }
            ],
            PaginationConfig={"PageSize": 5},
        )
    )
    assert len(pages) == 2
    assert {each["Arn"].rpartition("/")[2] for page in pages for each in page["ImageReferences"]} == ids


def test_tags_go_to_whoever_keeps_the_resource(account: Account) -> None:
    """EC2 API reference, CreateTags: resources of different types in one call."""
    instance_id, subnet_id = account.launch(), account.subnet()
    account.ec2.create_tags(Resources=[instance_id, subnet_id], Tags=[{"Key": "colour", "Value": "red"}])
    found = account.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["colour"]}])["Tags"]
    assert {(each["ResourceId"], each["ResourceType"]) for each in found} == {
        (instance_id, "instance"),
        (subnet_id, "subnet"),
    }
    account.ec2.delete_tags(Resources=[instance_id, subnet_id], Tags=[{"Key": "colour"}])
    assert account.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["colour"]}])["Tags"] == []


def test_what_is_gone_cannot_be_tagged(account: Account) -> None:
    """EC2 error codes; the emulator takes the strict reading for deregistered images."""
    image_id = account.image()
    account.ec2.deregister_image(ImageId=image_id)
    for resource_id, code in (
        (image_id, "InvalidAMIID.NotFound"),
        ("i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("snap-0123456789abcdef0", "InvalidSnapshot.NotFound"),
        ("subnet-0123456789abcdef0", "InvalidID"),
    ):
        with refused(code):
            account.ec2.create_tags(Resources=[resource_id], Tags=[{"Key": "a", "Value": "b"}])


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([{"Key": "aws:mine", "Value": "x"}], "InvalidParameterValue"),
        ([{"Key": "k" * 129, "Value": "x"}], "InvalidParameterValue"),
        ([{"Key": "k", "Value": "x" * 257}], "InvalidParameterValue"),
        ([{"Key": f"k{index}", "Value": "x"} for index in range(51)], "TagLimitExceeded"),
    ],
)
def test_tags_have_limits(account: Account, tags: list[dict[str, str]], code: str) -> None:
    """EC2 user guide, Tag restrictions: 50 tags, 128 and 256 characters, aws: is reserved."""
    with refused(code):
        account.ec2.create_tags(Resources=[account.launch()], Tags=tags)


def test_a_deleted_template_launches_nothing_any_more(account: Account) -> None:
    """EC2 API reference, DeleteLaunchTemplate: with all of its versions; its name is free again."""
    data = {"ImageId": account.ubuntu, "InstanceType": "t3.large"}
    made = account.ec2.create_launch_template(LaunchTemplateName="gone", LaunchTemplateData=data)
    template_id = made["LaunchTemplate"]["LaunchTemplateId"]
    account.ec2.delete_launch_template(LaunchTemplateId=template_id)
    with refused("InvalidLaunchTemplateId.NotFound"):
        account.ec2.run_instances(LaunchTemplate={"LaunchTemplateId": template_id}, MinCount=1, MaxCount=1)
    assert account.ec2.create_launch_template(LaunchTemplateName="gone", LaunchTemplateData=data)
