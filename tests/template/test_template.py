"""House rules of the template as a whole: parameters, rules, encryption, network, outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.template.stack import ROOT, Document, resources, template, text

from ami_lifecycle.domain.alarms import LATE
from ami_lifecycle.domain.forms import FORMS

PARAMETERS = sorted(template()["Parameters"])
RULES = sorted(resources("AWS::Events::Rule"))
DEAD_LETTERS = {"Arn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}}


def targets_of(rule: str) -> list[Document]:
    found: list[Document] = resources("AWS::Events::Rule")[rule]["Targets"]
    return found


def test_the_template_passes_the_linter() -> None:
    finished = subprocess.run(  # noqa: S603 - the linter of this environment, on our own file
        [Path(sys.executable).with_name("cfn-lint"), ROOT / "template.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_every_file_that_the_template_names_is_there() -> None:
    layers = resources("AWS::Serverless::LayerVersion")
    machines = resources("AWS::Serverless::StateMachine")
    documents = resources("AWS::SSM::Document")
    dashboards = resources("AWS::CloudWatch::Dashboard")
    included = [
        *(document["Content"] for document in documents.values()),
        *(dashboard["DashboardBody"] for dashboard in dashboards.values()),
    ]
    named = [
        *(layer["ContentUri"] for layer in layers.values()),
        *(machine["DefinitionUri"] for machine in machines.values()),
        *(each["Fn::Transform"]["Parameters"]["Location"] for each in included),
    ]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_no_document_stands_in_a_line_of_the_template() -> None:
    long = [line for line in (ROOT / "template.yaml").read_text().splitlines() if len(line) > 180]
    assert long == []


# Parameters.


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_explains_itself(name: str) -> None:
    parameter = template()["Parameters"][name]
    assert len(parameter["Description"]) > 20
    assert ("AllowedPattern" in parameter) == ("ConstraintDescription" in parameter)


def test_every_parameter_is_in_a_group_and_has_a_label() -> None:
    interface = template()["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == PARAMETERS
    assert sorted(interface["ParameterLabels"]) == PARAMETERS


def test_only_the_network_has_to_be_named() -> None:
    without_default = {name for name in PARAMETERS if "Default" not in template()["Parameters"][name]}
    assert without_default == {"VpcId", "SubnetIds"}


def test_names_are_as_the_configuration_wants_them() -> None:
    parameters = template()["Parameters"]
    assert parameters["ApplicationName"]["AllowedPattern"] == f"^{FORMS['name'].pattern}$"
    repository = parameters["RepositoryName"]
    assert repository["AllowedPattern"] == f"^{FORMS['repository'].pattern}$"
    assert (repository["MinLength"], repository["MaxLength"]) == (
        FORMS["repository"].shortest,
        FORMS["repository"].longest,
    )


def test_the_default_application_is_the_configured_one() -> None:
    configured = yaml.safe_load((ROOT / "config" / "build_config.yml").read_text())
    default = template()["Parameters"]["ApplicationName"]["Default"]
    assert configured.get("application", default) == default


def test_subnets_are_held_to_the_vpc() -> None:
    # CloudFormation checks rules before it makes anything (its Template Reference, Rule functions).
    (assertion,) = template()["Rules"]["SubnetsAreInTheVpc"]["Assertions"]
    assert assertion["Assert"] == {
        "Fn::EachMemberIn": [
            {"Fn::ValueOfAll": ["AWS::EC2::Subnet::Id", "VpcId"]},
            {"Fn::RefAll": "AWS::EC2::VPC::Id"},
        ]
    }
    assert "SubnetIds" in assertion["AssertDescription"]


# Events: nothing is lost without a trace.


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_retries_and_keeps_what_it_could_not_deliver(rule: str) -> None:
    for target in targets_of(rule):
        assert target["RetryPolicy"].keys() == {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"}
        assert target["DeadLetterConfig"] == DEAD_LETTERS


def test_the_schedule_retries_and_keeps_what_it_could_not_deliver() -> None:
    (schedule,) = resources("AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(15 minutes)"
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert schedule["Target"]["DeadLetterConfig"] == DEAD_LETTERS


def test_the_dead_letter_queue_takes_events_of_our_rules_and_of_no_other() -> None:
    (policy,) = resources("AWS::SQS::QueuePolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    allowed = {text(arn) for arn in statement["Condition"]["ArnEquals"]["aws:SourceArn"]}
    assert allowed == {f"${{{rule}.Arn}}" for rule in RULES}


def test_each_rule_may_invoke_its_function_and_no_other_rule_may() -> None:
    permitted = {
        (text(permission["SourceArn"]), text(permission["FunctionName"]))
        for permission in resources("AWS::Lambda::Permission").values()
    }
    targeted = {
        (f"${{{rule}.Arn}}", text(target["Arn"]))
        for rule in RULES
        for target in targets_of(rule)
        if "RoleArn" not in target
    }
    assert permitted == targeted
    principals = {permission["Principal"] for permission in resources("AWS::Lambda::Permission").values()}
    assert principals == {"events.amazonaws.com"}


def test_only_finished_pushes_to_the_one_repository_start_builds() -> None:
    assert resources("AWS::Events::Rule")["ImagePushedRule"]["EventPattern"] == {
        "source": ["aws.ecr"],
        "detail-type": ["ECR Image Action"],
        "detail": {
            "action-type": ["PUSH"],
            "result": ["SUCCESS"],
            "repository-name": [{"Ref": "RepositoryName"}],
        },
    }


def test_every_end_of_an_execution_without_success_is_cleaned_up() -> None:
    # An abort and a timeout of the whole execution run no Catch (Step Functions developer guide).
    rule = resources("AWS::Events::Rule")["BuildFailedRule"]
    assert rule["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    assert [text(target["Arn"]) for target in rule["Targets"]] == ["${CleanUpBuildFunction.Arn}"]


# Safety of what is stored and of what runs.


def test_what_is_stored_is_encrypted() -> None:
    (table,) = resources("AWS::DynamoDB::Table").values()
    (queue,) = resources("AWS::SQS::Queue").values()
    topic = resources("AWS::SNS::Topic")["OutcomeTopic"]
    assert table["SSESpecification"]["SSEEnabled"] is True
    assert queue["SqsManagedSseEnabled"] is True
    assert topic["KmsMasterKeyId"]


def test_the_table_survives_mistakes_and_forgets_waits() -> None:
    table = template()["Resources"]["StateTable"]
    assert table["DeletionPolicy"].startswith("Retain")
    assert table["UpdateReplacePolicy"] == "Retain"
    assert table["Condition"] == "MakesTable"
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_nothing_can_connect_to_a_builder() -> None:
    (group,) = resources("AWS::EC2::SecurityGroup").values()
    assert not group.get("SecurityGroupIngress")
    assert not resources("AWS::EC2::SecurityGroupIngress")
    ports = {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]}
    assert ports == {("tcp", 443, 443), ("tcp", 80, 80)}


def test_the_log_of_executions_holds_no_task_tokens() -> None:
    logging = resources("AWS::Serverless::StateMachine")["BuildStateMachine"]["Logging"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)


def test_every_output_explains_itself() -> None:
    assert [name for name, output in template()["Outputs"].items() if len(output["Description"]) < 20] == []


def test_alarms_reach_the_service_where_the_stack_names_them_and_nowhere_else() -> None:
    parameter = template()["Parameters"]["RollbackAlarms"]
    form = FORMS["alarm_pattern"]
    assert (parameter["AllowedPattern"], parameter["MaxLength"]) == (f"^({form.pattern})?$", form.longest)
    assert parameter["Default"] == ""
    rule = template()["Resources"]["AlarmRaisedRule"]
    assert rule["Condition"] == "HasRollbackAlarms"
    assert rule["Properties"]["EventPattern"] == {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": [{"wildcard": {"Ref": "RollbackAlarms"}}], "state": {"value": ["ALARM"]}},
    }
    (target,) = rule["Properties"]["Targets"]
    # The image to go back to is kept as much longer than the soak.
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == LATE.total_seconds()
