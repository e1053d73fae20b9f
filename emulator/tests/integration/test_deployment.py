"""Templates are deployed completely, or refused with the resource and the property that is unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from aws_emulator.clock import Clock
from aws_emulator.cloudformation.intrinsics import Resolver
from aws_emulator.cloudformation.resources import Account
from aws_emulator.cloudformation.stack import Stack
from aws_emulator.cloudformation.template import Template, TemplateError, load_template, load_yaml
from aws_emulator.cloudformation.workloads import Workloads
from aws_emulator.gateway.api import Api
from aws_emulator.gateway.identities import Identities
from aws_emulator.lambda_.functions import Function
from aws_emulator.lambda_.service import Lambda


def test_the_stack_is_visible_through_cloudformation(platform: Any) -> None:
    client = platform.client("cloudformation")
    stack = client.describe_stacks(StackName="stack")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert {"ParameterKey": "Stage", "ParameterValue": "test"} in stack["Parameters"]
    rows = client.describe_stack_resources(StackName="stack")["StackResources"]
    kinds = {row["LogicalResourceId"]: row["ResourceType"] for row in rows}
    assert kinds["Machine"] == "AWS::StepFunctions::StateMachine"
    assert all(row["PhysicalResourceId"] for row in rows)
    summaries = client.list_stack_resources(StackName="stack")["StackResourceSummaries"]
    assert {row["LogicalResourceId"] for row in summaries} == set(kinds)


def test_a_stack_of_another_name_does_not_exist(platform: Any) -> None:
    client = platform.client("cloudformation")
    with pytest.raises(client.exceptions.ClientError, match="does not exist"):
        client.describe_stacks(StackName="other")


def test_a_resource_whose_condition_is_false_is_not_created(platform: Any) -> None:
    assert "LiveOnly" not in platform.emulator.stack.resources


def test_mappings_and_substitutions_reach_the_outputs(platform: Any) -> None:
    assert platform.outputs["Retention"] == "7 days in us-east-1"


def test_resources_exist_in_their_services(platform: Any) -> None:
    group = platform.client("ec2").describe_security_groups(GroupIds=[platform.physical_id("SecurityGroup")])
    assert [rule["FromPort"] for rule in group["SecurityGroups"][0]["IpPermissionsEgress"]] == [443]
    ttl = platform.client("dynamodb").describe_time_to_live(TableName=platform.outputs["TableName"])
    assert ttl["TimeToLiveDescription"]["AttributeName"] == "expires_at"
    document = platform.client("ssm").get_document(Name="stack-Greet")
    assert json.loads(document["Content"])["mainSteps"][0]["name"] == "greet"
    profile = platform.client("iam").get_instance_profile(
        InstanceProfileName=platform.physical_id("InstanceProfile")
    )
    assert len(profile["InstanceProfile"]["Roles"]) == 1
    queue = platform.client("sqs").get_queue_attributes(
        QueueUrl=platform.outputs["FailuresUrl"], AttributeNames=["All"]
    )
    assert queue["Attributes"]["MessageRetentionPeriod"] == "1209600"
    assert "Policy" in queue["Attributes"]
    groups = platform.client("logs").describe_log_groups(logGroupNamePrefix="stack-LogGroup")["logGroups"]
    assert groups[0]["retentionInDays"] == 7


def test_substitutions_keep_numbers_numbers(platform: Any) -> None:
    machine = platform.client("stepfunctions").describe_state_machine(
        stateMachineArn=platform.outputs["MachineArn"]
    )
    task = json.loads(machine["definition"])["States"]["Work"]
    assert task["TimeoutSeconds"] == 60
    assert task["Resource"].endswith(platform.outputs["WorkerName"])
    assert machine["loggingConfiguration"]["level"] == "ERROR"
    assert machine["tracingConfiguration"] == {"enabled": True}


def test_the_account_is_prepared_as_a_user_would_have_done(platform: Any) -> None:
    repositories = platform.client("ecr").describe_repositories()["repositories"]
    assert [repository["repositoryName"] for repository in repositories] == ["application"]
    for name, architecture in (("amd64", "x86_64"), ("arm64", "arm64")):
        parameter = f"/aws/service/canonical/ubuntu/server/22.04/stable/current/{name}/hvm/ebs-gp2/ami-id"
        image_id = platform.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
        image = platform.client("ec2").describe_images(ImageIds=[image_id])["Images"][0]
        assert (image["OwnerId"], image["Architecture"]) == ("099720109477", architecture)
        assert platform.client("ec2").describe_images(Owners=["self"])["Images"] == []


def test_the_stack_knows_its_roles_and_policies(platform: Any) -> None:
    account = platform.emulator.account
    role = account.roles[platform.emulator.identities.role_of("WorkerFunction")]
    assert role.trust["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}
    documents = [account.managed_policies[arn] for arn in role.managed_policy_arns]
    assert documents[0]["Statement"][0]["Action"] == "dynamodb:*"


def project(directory: Path, resources: str, rest: str = "") -> Path:
    path = directory / "template.yaml"
    path.write_text(f"Transform: AWS::Serverless-2016-10-31\n{rest}\nResources:\n{resources}\n")
    return path


def test_a_template_that_sam_refuses_is_named(tmp_path: Path) -> None:
    path = project(
        tmp_path, "  F: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: '.', Colour: red}}"
    )
    with pytest.raises(TemplateError, match="Colour"):
        load_template(path, "us-east-1")


def test_a_missing_template_or_include_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no template"):
        load_template(tmp_path / "template.yaml", "us-east-1")
    include = "{Fn::Transform: {Name: AWS::Include, Parameters: {Location: nowhere.yaml}}}"
    path = project(tmp_path, f"  D: {{Type: 'AWS::SSM::Document', Properties: {{Content: {include}}}}}")
    with pytest.raises(TemplateError, match=r"nowhere\.yaml"):
        load_template(path, "us-east-1")


def test_short_forms_read_as_their_long_ones() -> None:
    text = "{a: !Ref X, b: !GetAtt X.Arn, c: !Sub '${X}', d: !If [C, 1, !Ref Y], e: !Condition C}"
    assert load_yaml(text) == {
        "a": {"Ref": "X"},
        "b": {"Fn::GetAtt": ["X", "Arn"]},
        "c": {"Fn::Sub": "${X}"},
        "d": {"Fn::If": ["C", 1, {"Ref": "Y"}]},
        "e": {"Condition": "C"},
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Fn::Sub": "${Name}-${!Literal}-${Thing.Arn}"}, "n-${Literal}-arn:thing"),
        ({"Fn::Sub": ["${a}/${Name}", {"a": {"Ref": "Name"}}]}, "n/n"),
        ({"Fn::Select": ["1", {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::If": ["Yes", {"a": {"Ref": "AWS::NoValue"}, "b": 1}, 2]}, {"b": 1}),
        ([1, {"Ref": "AWS::NoValue"}], [1]),
        ({"Fn::Join": ["-", ["a", {"Ref": "Name"}]]}, "a-n"),
        ({"Fn::Base64": "hi"}, "aGk="),
        ({"Fn::And": [{"Condition": "Yes"}, {"Fn::Not": [{"Condition": "No"}]}]}, True),
    ],
)
def test_intrinsic_functions_of_cloudformation(value: Any, expected: Any) -> None:
    conditions = {"Yes": {"Fn::Equals": ["a", "a"]}, "No": {"Fn::Equals": ["a", "b"]}}
    template = Template(Path(), {}, conditions=conditions)
    resolver = Resolver(template, {"Name": "n"}, {"Thing": {"Arn": "arn:thing"}}, ["us-east-1a"])
    assert resolver.resolve(value) == expected


@pytest.mark.parametrize("value", [{"Ref": "Nobody"}, {"Fn::GetAtt": ["Thing", "Size"]}, {"Fn::Cidr": []}])
def test_unknown_references_and_functions_are_refused(value: Any) -> None:
    with pytest.raises(TemplateError):
        Resolver(Template(Path(), {}), {}, {"Thing": {}}, []).resolve(value)


class RecordingApi:
    """Takes the calls of a deployment; knows no state."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def call(self, _caller: str, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((service, operation, parameters))
        return {"QueueUrl": "https://queue", "TopicArn": "arn:topic"}


def stack_of(directory: Path, resources: str, rest: str = "", **values: Any) -> tuple[Stack, RecordingApi]:
    api, clock = RecordingApi(), Clock()
    clock.close()
    account = Account(cast("Api", api), "123456789012", "us-east-1", "stack")
    template = load_template(project(directory, resources, rest), "us-east-1")
    workloads = Workloads(account, cast("Lambda", None), Identities(), None)
    return Stack(template, account, workloads, clock, values=values, network={}, zones=[]), api


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("  B: {Type: 'AWS::RDS::DBInstance'}", r"B \(AWS::RDS::DBInstance\)"),
        ("  Q: {Type: 'AWS::SQS::Queue', Properties: {Colour: red}}", r"Q \(AWS::SQS::Queue\).*Colour"),
        ("  Q: {Type: 'AWS::SQS::Queue', Mystery: 1}", "Q: .*Mystery"),
        ("  Q: {Type: 'AWS::SQS::Queue', Properties: {QueueName: !Ref Nobody}}", "Nobody"),
        (
            "  P: {Type: 'AWS::SQS::QueuePolicy', Properties: {Queues: []}}",
            r"P \(.*\) lacks .*PolicyDocument",
        ),
        (
            (
                "  A: {Type: 'AWS::SQS::Queue', Properties: {QueueName: !Ref B}}\n"
                "  B: {Type: 'AWS::SQS::Queue', Properties: {QueueName: !Ref A}}"
            ),
            "circular",
        ),
    ],
)
def test_what_the_deployer_does_not_know_is_refused_by_name(
    tmp_path: Path, resources: str, message: str
) -> None:
    stack, _ = stack_of(tmp_path, resources)
    with pytest.raises(TemplateError, match=message):
        stack.deploy()


@pytest.mark.parametrize(
    ("condition", "refused"),
    [
        ("Fn::Equals: [!Ref A, x]", False),
        ("Fn::Equals: [!Ref A, y]", True),
        ("Fn::Contains: [[x, y], !Ref A]", False),
        ("Fn::Contains: [[y], !Ref A]", True),
        ("Fn::Not: [{Fn::Equals: [!Ref A, x]}]", True),
        ("Fn::And: [{Fn::Equals: [!Ref A, x]}, {Fn::Equals: [!Ref B, y]}]", False),
        ("Fn::Or: [{Fn::Equals: [!Ref A, y]}, {Fn::Equals: [!Ref B, x]}]", True),
        ("Fn::EachMemberEquals: [[x, x], !Ref A]", False),
        ("Fn::EachMemberIn: [[x, y], [!Ref A]]", True),
    ],
)
def test_rules_are_checked_before_anything_is_made(tmp_path: Path, condition: str, refused: bool) -> None:
    rest = (
        "Parameters: {A: {Type: String, Default: x}, B: {Type: String, Default: y}}\n"
        f"Rules: {{R: {{Assertions: [{{Assert: {{{condition}}}, AssertDescription: told}}]}}}}"
    )
    if refused:
        with pytest.raises(TemplateError, match="the rule R refuses it: told"):
            stack_of(tmp_path, "  Q: {Type: 'AWS::SQS::Queue'}", rest)
    else:
        stack_of(tmp_path, "  Q: {Type: 'AWS::SQS::Queue'}", rest)


def test_a_rule_that_the_deployer_does_not_know_is_refused(tmp_path: Path) -> None:
    rest = "Rules: {R: {Assertions: [{Assert: {Fn::Guess: [a]}}]}}"
    with pytest.raises(TemplateError, match="no rule function Fn::Guess"):
        stack_of(tmp_path, "  Q: {Type: 'AWS::SQS::Queue'}", rest)


def test_resources_are_created_after_what_they_refer_to(tmp_path: Path) -> None:
    stack, api = stack_of(
        tmp_path,
        "  First: {Type: 'AWS::SNS::Topic', Properties: {DisplayName: !GetAtt Second.Arn}}\n"
        "  Second: {Type: 'AWS::SQS::Queue', DependsOn: Third}\n"
        "  Third: {Type: 'AWS::SQS::Queue', Properties: {QueueName: third}}",
    )
    stack.deploy()
    assert [operation for _, operation, _ in api.calls] == ["CreateQueue", "CreateQueue", "CreateTopic"]
    assert api.calls[0][2]["QueueName"] == "third"
    assert api.calls[2][2]["Attributes"]["DisplayName"].startswith(
        "arn:aws:sqs:us-east-1:123456789012:stack-Second-"
    )


class RecordingLambda:
    """Takes the functions of a deployment."""

    def __init__(self) -> None:
        self.added: list[Function] = []

    def add(self, function: Function) -> None:
        self.added.append(function)


def deployed(directory: Path, resource: str, rest: str = "") -> Function:
    """The one function of a template."""
    stack, _ = stack_of(
        directory, f"  F: {{Type: 'AWS::Serverless::Function', Properties: {resource}}}", rest
    )
    functions = RecordingLambda()
    workloads = Workloads(stack._account, cast("Lambda", functions), Identities(), None)
    properties = dict(stack._template.resources["F"]["Properties"])
    workloads.create_function("F", {**properties, "Role": "arn:role"}, directory)
    (function,) = functions.added
    return function


FUNCTION = "{CodeUri: '.', Handler: app.handler, Runtime: python3.13, LoggingConfig: %s}"
SHARED = "Globals: {Function: {LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: DEBUG}}}"


@pytest.mark.parametrize(
    ("config", "rest", "level"),
    [
        ("{LogGroup: mine}", SHARED, "DEBUG"),
        ("{LogGroup: mine, LogFormat: JSON}", "", "INFO"),
        ("{LogGroup: mine, LogFormat: JSON, ApplicationLogLevel: WARN}", "", "WARN"),
        ("{LogGroup: mine}", "", None),
    ],
    ids=["merged with Globals", "the default", "its own", "text has none"],
)
def test_a_functions_process_gets_its_log_level(
    tmp_path: Path, config: str, rest: str, level: str | None
) -> None:
    function = deployed(tmp_path, FUNCTION % config, rest)
    variables = function.environment_variables("us-east-1", "http://localhost")
    assert variables.get("AWS_LAMBDA_LOG_LEVEL") == level
    assert variables["AWS_LAMBDA_LOG_FORMAT"] == ("JSON" if level else "Text")
    assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == "mine"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{ApplicationLogLevel: DEBUG}", "needs LogFormat JSON"),
        ("{LogFormat: JSON, ApplicationLogLevel: WARNING}", "is WARNING, not one of"),
        ("{LogFormat: JSON, Colour: red}", "Colour"),
    ],
)
def test_a_logging_configuration_that_lambda_does_not_know_is_refused(
    tmp_path: Path, config: str, message: str
) -> None:
    with pytest.raises(TemplateError, match=message):
        deployed(tmp_path, FUNCTION % config)


def test_parameters_without_a_value_or_with_a_wrong_one_are_refused(tmp_path: Path) -> None:
    rest = "Parameters: {Size: {Type: String, AllowedValues: [small, large]}}"
    topic = "  T: {Type: 'AWS::SNS::Topic'}"
    with pytest.raises(TemplateError, match=r"Size .* needs a value"):
        stack_of(tmp_path, topic, rest)
    with pytest.raises(TemplateError, match="one of"):
        stack_of(tmp_path, topic, rest, Size="huge")
    with pytest.raises(TemplateError, match="no parameters"):
        stack_of(tmp_path, topic, rest, Size="small", Colour="red")
    assert stack_of(tmp_path, topic, rest, Size="small")[0].parameters == {"Size": "small"}
