"""Parameter Store: data types, limits, versions, names, rates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from emulator.tests.contract.account import ACCOUNT, Account
from emulator.tests.contract.asserting import refused

from aws_emulator.api.operations import ApiError

IMAGE = "aws:ec2:image"
LATEST = "/comfyui/ami/prod/latest"


def put(account: Account, name: str = "/a/b", value: str = "v", **changes: Any) -> int:
    """Put a String parameter, overwriting, after waiting for the rate limit."""
    account.advance(1)
    parameters = {"Name": name, "Value": value, "Type": "String", "Overwrite": True} | changes
    return int(account.ssm.put_parameter(**parameters)["Version"])


def value(account: Account, name: str = "/a/b") -> str:
    return str(account.ssm.get_parameter(Name=name)["Parameter"]["Value"])


def test_an_image_parameter_applies_only_after_its_image_was_checked(account: Account) -> None:
    """Systems Manager user guide, Native parameter support for AMI IDs: the answer is no proof."""
    image_id = account.image()
    assert put(account, LATEST, image_id, DataType=IMAGE) == 1
    with refused("ParameterNotFound"):
        value(account, LATEST)
    account.advance(account.durations.parameter_validation)
    parameter = account.ssm.get_parameter(Name=LATEST)["Parameter"]
    assert (parameter["Value"], parameter["Version"], parameter["DataType"]) == (image_id, 1, IMAGE)


@pytest.mark.parametrize("state", ["absent", "pending", "failed", "deregistered", "disabled", "malformed"])
def test_an_image_that_cannot_be_launched_is_dropped_in_silence(account: Account, state: str) -> None:
    """The value stays as it was, and an event carries the exception (boto3 issue 3588; user guide)."""
    good = account.image("good")
    put(account, LATEST, good, DataType=IMAGE)
    account.advance(1)
    bad = image_in_state(account, state)
    assert put(account, LATEST, bad, DataType=IMAGE) == 2
    account.advance(1)
    assert value(account, LATEST) == good
    detail = account.events_of("Parameter Store Change")[-1]
    assert detail["exception"] == "Unable to Describe Resource"
    assert (detail["operation"], detail["name"], detail["dataType"]) == ("Update", LATEST, IMAGE)


def image_in_state(account: Account, state: str) -> str:
    if state == "absent":
        return "ami-0123456789abcdef0"
    if state == "malformed":
        return "not-an-image"
    if state == "pending":
        return account.pending_image("bad")
    if state == "failed":
        account.faults.add({"kind": "image_fails"})
    image_id = account.image("bad")
    if state == "deregistered":
        account.ec2.deregister_image(ImageId=image_id)
    if state == "disabled":
        account.ec2.disable_image(ImageId=image_id)
    return image_id


def test_a_writer_who_cannot_describe_images_changes_nothing(account: Account) -> None:
    """boto3 issue 3588, aws-sdk-java issue 2919: 200 and a version, then nothing."""
    image_id = account.image()
    account.store.can_describe_images = lambda caller: caller != "tester"
    assert put(account, LATEST, image_id, DataType=IMAGE) == 1
    account.advance(1)
    with refused("ParameterNotFound"):
        value(account, LATEST)


def test_the_data_type_cannot_change(account: Account) -> None:
    """hashicorp/terraform-provider-aws issues 35959 and 35960: a change means a new parameter."""
    put(account, "/a/b", "v")
    with refused("ValidationException"):
        put(account, "/a/b", account.image(), DataType=IMAGE)


def test_an_image_is_a_string(account: Account) -> None:
    """Systems Manager user guide: aws:ec2:image is for type String."""
    with refused("ValidationException"):
        put(account, "/a/b", "ami-0123456789abcdef0", DataType=IMAGE, Type="StringList")


def test_a_parameter_is_overwritten_only_when_asked(account: Account) -> None:
    """Systems Manager API reference, PutParameter: ParameterAlreadyExists; Type is needed to create."""
    put(account)
    with refused("ParameterAlreadyExists"):
        put(account, Overwrite=False)
    assert put(account, value="w") == 2
    account.advance(1)
    with refused("ValidationException") as refusal:
        account.ssm.put_parameter(Name="/a/c", Value="v")
    assert refusal.message == "A parameter type is required when you create a parameter."


def test_what_an_overwrite_leaves_out_stays(account: Account) -> None:
    """Recorded calls: Description and AllowedPattern are kept; Type is not needed again."""
    put(account, Description="words", AllowedPattern="^[a-z]+$")
    account.advance(1)
    account.ssm.put_parameter(Name="/a/b", Value="w", Overwrite=True)
    (described,) = account.ssm.describe_parameters()["Parameters"]
    assert (described["Description"], described["AllowedPattern"], described["Version"]) == (
        "words",
        "^[a-z]+$",
        2,
    )
    with refused("ParameterPatternMismatchException"):
        put(account, value="42")


@pytest.mark.parametrize(
    ("kind", "other"),
    [("String", "StringList"), ("StringList", "SecureString"), ("SecureString", "String")],
)
def test_the_type_cannot_change(account: Account, kind: str, other: str) -> None:
    """Systems Manager API reference: HierarchyTypeMismatchException."""
    put(account, Type=kind)
    with refused("HierarchyTypeMismatchException"):
        put(account, Type=other)


def test_a_string_becomes_a_secure_string_and_its_older_versions_stay_readable(account: Account) -> None:
    """radkawar/stackd, testdata/aws/ssm/write_edges.json: string-to-secure, conversion-history."""
    put(account, value="plain")
    assert put(account, value="secret", Type="SecureString", KeyId="alias/aws/ssm") == 2
    parameter = account.ssm.get_parameter(Name="/a/b", WithDecryption=True)["Parameter"]
    assert (parameter["Type"], parameter["Value"]) == ("SecureString", "secret")
    history = account.ssm.get_parameter_history(Name="/a/b")["Parameters"]
    assert [(each["Type"], each.get("KeyId")) for each in history] == [
        ("String", None),
        ("SecureString", "alias/aws/ssm"),
    ]
    assert history[0]["Value"] == "plain"


def test_tags_are_given_on_creation_or_apart(account: Account) -> None:
    """Recorded text: tags and overwrite can't be used together."""
    tags = [{"Key": "owner", "Value": "me"}]
    with refused("ValidationException") as refusal:
        put(account, Tags=tags)
    assert "tags and overwrite can't be used together" in refusal.message
    put(account, Tags=tags, Overwrite=False)
    account.ssm.add_tags_to_resource(
        ResourceType="Parameter", ResourceId="/a/b", Tags=[{"Key": "x", "Value": "y"}]
    )
    account.ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId="/a/b", TagKeys=["owner"])
    found = account.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/a/b")["TagList"]
    assert found == [{"Key": "x", "Value": "y"}]
    with refused("InvalidResourceId"):
        account.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/none")


def test_a_standard_parameter_holds_4096_characters(account: Account) -> None:
    """Real logs: Standard tier parameters support a maximum parameter value of 4096 characters."""
    put(account, value="x" * 4096)
    with refused("ValidationException") as refusal:
        put(account, value="x" * 4097)
    assert "maximum parameter value of 4096 characters" in refusal.message


def test_tiers_go_up_only(account: Account) -> None:
    """Systems Manager user guide, Managing parameter tiers: Advanced never becomes Standard."""
    put(account, value="x" * 5000, Tier="Intelligent-Tiering")
    (described,) = account.ssm.describe_parameters()["Parameters"]
    assert described["Tier"] == "Advanced"
    with refused("ValidationException"):
        put(account, Tier="Standard")
    with refused("ValidationException"):
        put(account, value="x" * 8193, Tier="Advanced")


def test_a_hundred_versions_are_kept(account: Account) -> None:
    """Systems Manager API reference, PutParameter: the oldest of 100 versions goes."""
    for index in range(102):
        put(account, value=str(index))
    pages = account.ssm.get_paginator("get_parameter_history").paginate(
        Name="/a/b", PaginationConfig={"PageSize": 50}
    )
    versions = []
    for page in pages:
        versions += [each["Version"] for each in page["Parameters"]]
        account.advance(1)
    assert versions == list(range(3, 103))
    with refused("ParameterVersionNotFound"):
        value(account, "/a/b:1")


def test_a_labelled_oldest_version_blocks_new_ones(account: Account) -> None:
    """Systems Manager API reference: ParameterMaxVersionLimitExceeded."""
    put(account)
    account.ssm.label_parameter_version(Name="/a/b", ParameterVersion=1, Labels=["keep"])
    for index in range(99):
        put(account, value=str(index))
    with refused("ParameterMaxVersionLimitExceeded"):
        put(account, value="one more")


def test_versions_are_read_by_number_and_label(account: Account) -> None:
    """Systems Manager user guide, Working with parameter versions and labels; a label is on one version."""
    put(account, value="one")
    put(account, value="two")
    account.ssm.label_parameter_version(Name="/a/b", ParameterVersion=1, Labels=["stable", "9bad"])
    assert value(account, "/a/b:1") == value(account, "/a/b:stable") == "one"
    account.advance(1)
    answer = account.ssm.label_parameter_version(Name="/a/b", Labels=["stable", "aws-bad"])
    assert answer == answer | {"ParameterVersion": 2, "InvalidLabels": ["aws-bad"]}
    assert value(account, "/a/b:stable") == "two"
    account.ssm.unlabel_parameter_version(Name="/a/b", ParameterVersion=2, Labels=["stable"])
    with refused("ParameterVersionNotFound"):
        value(account, "/a/b:stable")
    by_arn = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/a/b"
    assert value(account, by_arn) == "two"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("/aws/mine", "AccessDeniedException"),
        ("awsome", "ValidationException"),
        ("/ssm/mine", "ValidationException"),
        ("a/b", "ValidationException"),
        ("/a b", "ValidationException"),
        ("/a/*", "ValidationException"),
        ("/a//b", "ValidationException"),
        ("/" + "/".join("x" * 16), "HierarchyLevelLimitExceededException"),
    ],
)
def test_names_have_rules(account: Account, name: str, code: str) -> None:
    """Systems Manager user guide, About requirements and constraints for parameter names."""
    with refused(code):
        put(account, name)


def test_with_and_without_a_slash_it_is_one_parameter(account: Account) -> None:
    """radkawar/stackd, testdata/aws/ssm/selector_edges.json: edge-get-bare-leading-slash, edge-batch-bare-aliases."""
    put(account, "plain")
    with refused("ParameterAlreadyExists"):
        put(account, "/plain", Overwrite=False)
    assert put(account, "/plain", "w") == 2
    for name in ("plain", "/plain"):
        parameter = account.ssm.get_parameter(Name=name)["Parameter"]
        assert (parameter["Name"], parameter["Value"]) == (name, "w")
    found = account.ssm.get_parameters(Names=["plain", "/plain"])["Parameters"]
    assert {each["Name"] for each in found} == {"plain", "/plain"}
    (described,) = account.ssm.describe_parameters()["Parameters"]
    assert described["Name"] == "plain"


@pytest.mark.parametrize("name", ["a/b", "/a//b", "//a"])
def test_names_that_no_parameter_can_have_are_refused_when_read(account: Account, name: str) -> None:
    """localstack/localstack, tests/aws/services/ssm (validated on AWS): test_hierarchical_parameter."""
    put(account, "/a/b")
    with refused("ValidationException") as refusal:
        account.ssm.get_parameter(Name=name)
    assert "sub-paths divided by slash symbol" in refusal.message
    with refused("ValidationException"):
        account.ssm.get_parameters(Names=["/a/b", name])


@pytest.mark.parametrize("selector", [":", ":1:2"])
def test_a_selector_is_one_version_or_label(account: Account, selector: str) -> None:
    """radkawar/stackd, testdata/aws/ssm/selector_edges.json: edge-selector:."""
    put(account)
    with refused("ValidationException") as refusal:
        account.ssm.get_parameter(Name=f"/a/b{selector}")
    assert "Please use correct syntax for referencing a version/label" in refusal.message


def test_a_version_is_a_number(account: Account) -> None:
    """radkawar/stackd, testdata/aws/ssm/selector_edges.json: edge-selector:01."""
    put(account)
    put(account, value="w")
    parameter = account.ssm.get_parameter(Name="/a/b:01")["Parameter"]
    assert (parameter["Version"], parameter["Value"], parameter["Selector"]) == (1, "v", ":01")


def test_an_empty_value_is_refused(account: Account) -> None:
    """radkawar/stackd, testdata/aws/ssm/empty_value.json."""
    with refused("ValidationException") as refusal:
        put(account, value="")
    assert "Member must have length greater than or equal to 1" in refusal.message


def test_a_path_is_read_by_the_label_of_any_version(account: Account) -> None:
    """radkawar/stackd, testdata/aws/ssm/selector_edges.json: edge-path-historical-label, edge-path-both-labels."""
    put(account)
    account.ssm.label_parameter_version(Name="/a/b", Labels=["old"])
    put(account, value="w")
    put(account, "/a/c")
    labels = [{"Key": "Label", "Values": ["old"]}]
    (found,) = account.ssm.get_parameters_by_path(Path="/a", ParameterFilters=labels)["Parameters"]
    assert (found["Version"], found["Value"]) == (1, "v")
    assert "Selector" not in found
    with refused("InvalidFilterValue"):
        both = [{"Key": "Label", "Values": ["old", "new"]}]
        account.ssm.get_parameters_by_path(Path="/a", ParameterFilters=both)


def test_secrets_are_read_as_parameters(account: Account) -> None:
    """Systems Manager user guide, Referencing AWS Secrets Manager secrets; radkawar/stackd, secret_references.json."""
    secrets = account.client("secretsmanager")
    secrets.create_secret(Name="app/secret", SecretString="hidden")
    account.store.read_secret = lambda _caller, asked: secrets_manager(secrets, asked)
    name = "/aws/reference/secretsmanager/app/secret"
    parameter = account.ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert (parameter["Name"], parameter["Value"], parameter["Type"]) == (name, "hidden", "SecureString")
    assert (parameter["Version"], ":secretsmanager:" in parameter["ARN"]) == (0, True)
    source = json.loads(parameter["SourceResult"])
    assert (source["name"], source["secretString"], source["versionStages"]) == (
        "app/secret",
        "hidden",
        ["AWSCURRENT"],
    )
    with refused("ValidationException") as refusal:
        account.ssm.get_parameter(Name=name)
    assert "WithDecryption" in refusal.message
    with refused("ParameterNotFound") as refusal:
        account.ssm.get_parameter(Name=f"{name}-none", WithDecryption=True)
    assert f"Secret {name}-none not found." in refusal.message
    answer = account.ssm.get_parameters(Names=[name, f"{name}-none", "/none"], WithDecryption=True)
    assert [each["Name"] for each in answer["Parameters"]] == [name]
    assert answer["InvalidParameters"] == [f"{name}-none", "/none"]


def secrets_manager(secrets: Any, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return dict(secrets.get_secret_value(**asked))
    except secrets.exceptions.ClientError as error:
        details = error.response["Error"]
        raise ApiError(details["Code"], details["Message"]) from error


def test_a_deleted_name_rests_for_thirty_seconds(account: Account) -> None:
    """Systems Manager API reference, DeleteParameter: wait at least 30 seconds before creating it again."""
    put(account)
    account.ssm.delete_parameter(Name="/a/b")
    with refused("ParameterNotFound"):
        value(account)
    with refused("TooManyUpdates"):
        put(account)
    account.advance(30)
    assert put(account) == 1


def test_deleting_several_lists_those_that_do_not_exist(account: Account) -> None:
    """Systems Manager API reference, DeleteParameters: at most 10 names."""
    put(account)
    answer = account.ssm.delete_parameters(Names=["/a/b", "/none"])
    assert (answer["DeletedParameters"], answer["InvalidParameters"]) == (["/a/b"], ["/none"])
    with refused("ValidationException"):
        account.ssm.delete_parameters(Names=[f"/n{index}" for index in range(11)])


def test_several_are_read_in_order_without_duplicates(account: Account) -> None:
    """Systems Manager API reference, GetParameters: at most 10; recorded calls: duplicates once."""
    put(account, "/b")
    put(account, "/a")
    answer = account.ssm.get_parameters(Names=["/b", "/a", "/b", "/none"])
    assert [each["Name"] for each in answer["Parameters"]] == ["/a", "/b"]
    assert answer["InvalidParameters"] == ["/none"]
    with refused("ValidationException"):
        account.ssm.get_parameters(Names=[f"/n{index}" for index in range(11)])


def test_a_path_is_read_in_pages_of_ten(account: Account) -> None:
    """Systems Manager API reference, GetParametersByPath: MaxResults of at most 10; one level by default."""
    for index in range(12):
        put(account, f"/app/p{index:02}")
    put(account, "/app/deep/p")
    put(account, "/application/p")
    first = account.ssm.get_parameters_by_path(Path="/app")
    assert len(first["Parameters"]) == 10
    second = account.ssm.get_parameters_by_path(Path="/app", NextToken=first["NextToken"])
    assert [each["Name"] for each in second["Parameters"]] == ["/app/p10", "/app/p11"]
    assert "NextToken" not in second
    pages = account.ssm.get_paginator("get_parameters_by_path").paginate(Path="/app/", Recursive=True)
    assert sum(len(page["Parameters"]) for page in pages) == 13
    with refused("ValidationException"):
        account.ssm.get_parameters_by_path(Path="/app", MaxResults=11)


def test_parameters_are_described_by_filters(account: Account) -> None:
    """Systems Manager API reference, ParameterStringFilter."""
    put(account, "/app/prod/latest")
    put(account, "/app/dev/latest", Tags=[{"Key": "environment", "Value": "dev"}], Overwrite=False)
    for each, expected in (
        ({"Key": "Name", "Option": "BeginsWith", "Values": ["/app/prod"]}, ["/app/prod/latest"]),
        ({"Key": "Name", "Option": "Contains", "Values": ["dev"]}, ["/app/dev/latest"]),
        ({"Key": "Path", "Option": "Recursive", "Values": ["/app"]}, ["/app/dev/latest", "/app/prod/latest"]),
        ({"Key": "Path", "Values": ["/app"]}, []),
        ({"Key": "tag:environment", "Values": ["dev"]}, ["/app/dev/latest"]),
    ):
        account.advance(1)
        found = account.ssm.describe_parameters(ParameterFilters=[each])["Parameters"]
        assert [one["Name"] for one in found] == expected, each
    with refused("InvalidFilterOption"):
        account.ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Option": "Like", "Values": ["x"]}])


def test_writes_are_throttled(account: Account) -> None:
    """AWS general reference, quotas: PutParameter 3 a second; ThrottlingException, Rate exceeded."""
    with refused("ThrottlingException") as refusal:
        for index in range(20):
            account.ssm.put_parameter(Name=f"/n{index}", Value="v", Type="String")
    assert refusal.message == "Rate exceeded"
    account.advance(0.4)
    account.ssm.put_parameter(Name="/later", Value="v", Type="String")


def test_secure_strings_are_decrypted_on_request(account: Account) -> None:
    """Systems Manager API reference, GetParameter: WithDecryption."""
    put(account, value="secret words", Type="SecureString")
    assert "secret" not in value(account)
    assert account.ssm.get_parameter(Name="/a/b", WithDecryption=True)["Parameter"]["Value"] == "secret words"


def test_a_value_cannot_nest_a_parameter(account: Account) -> None:
    """Systems Manager API reference, PutParameter: no {{}} in a value."""
    with refused("ValidationException"):
        put(account, value="{{ssm:/other}}")


def test_changes_are_events(account: Account) -> None:
    """Systems Manager user guide, EventBridge events: Parameter Store Change."""
    put(account, Description="words")
    put(account, value="w")
    account.ssm.label_parameter_version(Name="/a/b", Labels=["stable"])
    account.ssm.delete_parameter(Name="/a/b")
    details = account.events_of("Parameter Store Change")
    assert [each["operation"] for each in details] == ["Create", "Update", "LabelParameterVersion", "Delete"]
    assert details[0] == {"operation": "Create", "name": "/a/b", "type": "String", "description": "words"}


def test_public_parameters_are_read_and_not_written(account: Account) -> None:
    """Systems Manager user guide, Public parameters: under /aws/service, owned by AWS and vendors."""
    name = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
    account.store.seed_public(name, account.ubuntu, IMAGE)
    assert value(account, name) == account.ubuntu
    assert account.launch(ImageId=f"resolve:ssm:{name}")
    with refused("AccessDeniedException"):
        put(account, name, "ami-0123456789abcdef0")
    account.advance(1)
    assert account.ssm.describe_parameters()["Parameters"] == []


def test_an_account_holds_so_many_parameters_and_can_still_overwrite(account: Account) -> None:
    """AWS general reference, Systems Manager quotas: 10,000 standard parameters."""
    assert account.store.most_parameters == 10_000
    account.store.most_parameters = 2
    for name in ("/one", "/two"):
        account.ssm.put_parameter(Name=name, Type="String", Value="1")
    with pytest.raises(account.ssm.exceptions.ParameterLimitExceeded):
        account.ssm.put_parameter(Name="/three", Type="String", Value="1")
    assert account.ssm.put_parameter(Name="/two", Value="2", Overwrite=True)["Version"] == 2
