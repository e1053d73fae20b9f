"""Run Command: documents, agents, commands and their ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from emulator.tests.contract.account import COMMAND_DOCUMENT, Account
from emulator.tests.contract.asserting import refused

URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/comfyui"


def create(account: Account, content: Any, name: str = "Mine") -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    account.ssm.create_document(Name=name, DocumentType="Command", Content=text, DocumentFormat="JSON")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schemaVersion": "9.9"}, "InvalidDocumentSchemaVersion"),
        ({"mainSteps": []}, "InvalidDocumentContent"),
        ({"mainSteps": [{"name": "x", "action": "aws:runAnything"}]}, "InvalidDocumentContent"),
        (
            {
                "mainSteps": [
                    {
                        "name": "x",
                        "action": "aws:runShellScript",
                        "inputs": {"runCommand": ["{{ Undeclared }}"]},
                    }
                ]
            },
            "InvalidDocumentContent",
        ),
        ({"parameters": {"X": {"type": "Number"}}}, "InvalidDocumentContent"),
    ],
)
def test_a_bad_document_is_refused(account: Account, change: dict[str, Any], code: str) -> None:
    """Systems Manager user guide, Command document plugin reference; undeclared parameters are invalid."""
    with refused(code):
        create(account, COMMAND_DOCUMENT | change)


def test_a_document_is_active_a_moment_after_its_creation(account: Account) -> None:
    """Recorded calls: Creating, then Active."""
    create(account, COMMAND_DOCUMENT)
    assert account.ssm.describe_document(Name="Mine")["Document"]["Status"] == "Creating"
    account.advance(account.durations.document_active)
    document = account.ssm.describe_document(Name="Mine")["Document"]
    assert document["Status"] == "Active"
    defaults = {each["Name"]: each.get("DefaultValue") for each in document["Parameters"]}
    assert defaults["Word"] == "word"
    with refused("DocumentAlreadyExists"):
        create(account, COMMAND_DOCUMENT)


def test_an_update_needs_new_content_and_leaves_the_default_version(account: Account) -> None:
    """Recorded calls: DuplicateDocumentContent; Systems Manager API reference, UpdateDocumentDefaultVersion."""
    account.document("Mine")
    update = {"Name": "Mine", "DocumentVersion": "$LATEST", "DocumentFormat": "JSON"}
    with refused("DuplicateDocumentContent"):
        account.ssm.update_document(Content=json.dumps(COMMAND_DOCUMENT), **update)
    account.ssm.update_document(Content=json.dumps(COMMAND_DOCUMENT | {"description": "new"}), **update)
    assert account.ssm.describe_document(Name="Mine")["Document"]["DefaultVersion"] == "1"
    account.ssm.update_document_default_version(Name="Mine", DocumentVersion="2")
    assert json.loads(account.ssm.get_document(Name="Mine")["Content"])["description"] == "new"


def test_documents_can_be_yaml(account: Account) -> None:
    """Systems Manager API reference, CreateDocument and GetDocument: DocumentFormat."""
    account.ssm.create_document(
        Name="Mine", DocumentType="Command", DocumentFormat="YAML", Content=yaml.safe_dump(COMMAND_DOCUMENT)
    )
    assert (
        json.loads(account.ssm.get_document(Name="Mine", DocumentFormat="JSON")["Content"])
        == COMMAND_DOCUMENT
    )
    listed = account.ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"]
    assert [each["Name"] for each in listed] == ["Mine"]
    account.ssm.delete_document(Name="Mine")
    with refused("InvalidDocument"):
        account.ssm.describe_document(Name="Mine")


def test_an_agent_reports_some_time_after_the_launch(account: Account) -> None:
    """Recorded calls: an instance that has not reported gives an empty list, no error."""
    instance_id = account.launch()
    filters = [{"Key": "InstanceIds", "Values": [instance_id]}]
    account.advance(account.durations.agent_online - 1)
    assert account.ssm.describe_instance_information(Filters=filters)["InstanceInformationList"] == []
    account.advance(1)
    (information,) = account.ssm.describe_instance_information(Filters=filters)["InstanceInformationList"]
    assert (information["PingStatus"], information["PlatformType"]) == ("Online", "Linux")
    account.ec2.stop_instances(InstanceIds=[instance_id])
    assert account.ssm.describe_instance_information(Filters=filters)["InstanceInformationList"] == []


def test_pages_of_managed_instances_are_complete(account: Account) -> None:
    """Systems Manager API reference, DescribeInstanceInformation: 5 to 50 a page."""
    ids = {account.launch() for _ in range(7)}
    account.advance(account.durations.agent_online)
    pages = list(
        account.ssm.get_paginator("describe_instance_information").paginate(PaginationConfig={"PageSize": 5})
    )
    assert {each["InstanceId"] for page in pages for each in page["InstanceInformationList"]} == ids
    with refused("ValidationException"):
        account.ssm.describe_instance_information(MaxResults=2)


@pytest.mark.parametrize("state", ["starting", "stopped", "terminated", "unknown"])
def test_a_command_needs_an_agent_that_is_online(account: Account, state: str) -> None:
    """Systems Manager API reference, SendCommand: InvalidInstanceId."""
    document = account.document()
    instance_id = "i-0123456789abcdef0" if state == "unknown" else account.launch()
    if state in {"stopped", "terminated"}:
        account.advance(account.durations.agent_online)
        change = account.ec2.stop_instances if state == "stopped" else account.ec2.terminate_instances
        change(InstanceIds=[instance_id])
    with refused("InvalidInstanceId"):
        account.send(instance_id, document)


def test_parameters_are_checked_before_anything_runs(account: Account) -> None:
    """Systems Manager API reference, SendCommand: InvalidParameters, for pattern, name and absence."""
    instance_id, document = account.running(), account.document()
    for parameters, named in (({"Word": "x; reboot"}, "Word"), ({"Unknown": "x"}, "Unknown")):
        with refused("InvalidParameters") as refusal:
            account.send(instance_id, document, **parameters)
        assert named in refusal.message
    with refused("InvalidParameters") as refusal:
        account.ssm.send_command(InstanceIds=[instance_id], DocumentName=document)
    assert "ImageDigest" in refusal.message
    with refused("InvalidDocument"):
        account.send(instance_id, "Nowhere")
    with refused("ValidationException"):
        account.ssm.send_command(InstanceIds=[instance_id], DocumentName=document, TimeoutSeconds=10)


def test_an_invocation_does_not_exist_at_once(account: Account) -> None:
    """boto3 issue 2701, aws-cli issue 3546: InvocationDoesNotExist, and an empty list, right after SendCommand."""
    instance_id, document = account.running(), account.document()
    command_id = account.send(instance_id, document)
    with refused("InvocationDoesNotExist"):
        account.invocation(command_id, instance_id)
    assert account.ssm.list_command_invocations(CommandId=command_id)["CommandInvocations"] == []
    account.advance(account.durations.invocation_visible)
    assert account.invocation(command_id, instance_id)["Status"] == "InProgress"


def test_a_command_runs_only_where_it_was_sent(account: Account) -> None:
    """moto sends it to every instance; AWS does not."""
    first, second, document = account.launch(), account.running(), account.document()
    command_id = account.send(second, document)
    account.advance(5)
    invocations = account.ssm.list_command_invocations(CommandId=command_id)["CommandInvocations"]
    assert [each["InstanceId"] for each in invocations] == [second]
    with refused("InvocationDoesNotExist"):
        account.invocation(command_id, first)


def run(account: Account) -> tuple[str, str]:
    """Send a command and let it end: instance and command."""
    instance_id, document = account.running(), account.document()
    command_id = account.send(instance_id, document)
    account.advance(account.script.seconds + 1)
    return instance_id, command_id


def test_a_command_ends_with_its_output_and_an_event(account: Account) -> None:
    """Systems Manager user guide, Monitoring Run Command status changes using EventBridge."""
    instance_id, command_id = run(account)
    invocation = account.invocation(command_id, instance_id)
    assert (invocation["Status"], invocation["ResponseCode"]) == ("Success", 0)
    assert (invocation["PluginName"], invocation["StandardOutputContent"]) == ("theStep", "done\n")
    assert account.state.content_of(account.state.instances[instance_id]) == {"written": True}
    details = account.events_of("EC2 Command Invocation Status-change Notification")
    assert [each["status"] for each in details] == ["InProgress", "Success"]
    assert details[1]["instance-id"] == instance_id
    details = account.events_of("EC2 Command Status-change Notification")
    assert [each["status"] for each in details] == ["InProgress", "Success"]
    assert details[0]["parameters"]["ImageDigest"] == ["sha256:" + "0" * 64]


def test_a_command_that_fails_says_so(account: Account) -> None:
    """Recorded calls: Failed with the exit code of the script."""
    account.script.exit_code, account.script.stderr = 16, "no such thing\n"
    instance_id, command_id = run(account)
    invocation = account.invocation(command_id, instance_id)
    assert (invocation["Status"], invocation["StatusDetails"], invocation["ResponseCode"]) == (
        "Failed",
        "Failed",
        16,
    )
    assert invocation["StandardErrorContent"] == "no such thing\n"


def test_there_is_no_output_before_the_end(account: Account) -> None:
    """Systems Manager API reference, GetCommandInvocation: the output is there when the command has ended."""
    instance_id, document = account.running(), account.document()
    command_id = account.send(instance_id, document)
    account.advance(account.script.seconds - 1)
    invocation = account.invocation(command_id, instance_id)
    assert (invocation["Status"], invocation["StandardOutputContent"]) == ("InProgress", "")
    assert invocation["ResponseCode"] == -1


def test_long_output_is_cut(account: Account) -> None:
    """Systems Manager API reference: 24,000 characters of output, 8,000 of errors, 2,500 in lists."""
    account.script.exit_code, account.script.stderr = 1, "e" * 9000
    instance_id, command_id = run(account)
    assert len(account.invocation(command_id, instance_id)["StandardErrorContent"]) == 8000
    (listed,) = account.ssm.list_command_invocations(CommandId=command_id, Details=True)["CommandInvocations"]
    assert len(listed["CommandPlugins"][0]["Output"]) == 2500


def test_a_plugin_name_must_be_a_step(account: Account) -> None:
    """Systems Manager API reference: InvalidPluginName."""
    instance_id, command_id = run(account)
    request = {"CommandId": command_id, "InstanceId": instance_id}
    assert account.ssm.get_command_invocation(PluginName="theStep", **request)["Status"] == "Success"
    with refused("InvalidPluginName"):
        account.ssm.get_command_invocation(PluginName="aws:runShellScript", **request)


def test_an_execution_timeout_kills_the_command(account: Account) -> None:
    """Recorded calls: TimedOut and ExecutionTimedOut with 137; ListCommands says Failed."""
    step = COMMAND_DOCUMENT["mainSteps"][0]  # type: ignore[index]  # the literal's values have several types
    steps = [step | {"inputs": {"timeoutSeconds": "60", "runCommand": ["true"]}}]
    instance_id, document = account.running(), account.document(mainSteps=steps)
    command_id = account.send(instance_id, document)
    account.advance(61)
    invocation = account.invocation(command_id, instance_id)
    assert (invocation["Status"], invocation["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    assert invocation["ResponseCode"] == 137
    assert account.ssm.list_commands(CommandId=command_id)["Commands"][0]["Status"] == "Failed"


def test_a_command_that_is_never_delivered_times_out(account: Account) -> None:
    """Recorded calls: TimedOut and DeliveryTimedOut with -1 after TimeoutSeconds."""
    instance_id, document = account.running(), account.document()
    answer = account.ssm.send_command(
        InstanceIds=[instance_id],
        DocumentName=document,
        TimeoutSeconds=60,
        Parameters={"ImageDigest": ["sha256:" + "0" * 64]},
    )
    account.ec2.stop_instances(InstanceIds=[instance_id])
    account.advance(59)
    command_id = answer["Command"]["CommandId"]
    assert account.invocation(command_id, instance_id)["Status"] == "Pending"
    account.advance(1)
    invocation = account.invocation(command_id, instance_id)
    assert (invocation["StatusDetails"], invocation["ResponseCode"]) == ("DeliveryTimedOut", -1)


def test_an_instance_that_stops_never_reports_its_result(account: Account) -> None:
    """The command stays InProgress until its time is over; nothing is on the disk."""
    instance_id, document = account.running(), account.document()
    command_id = account.send(instance_id, document)
    account.advance(10)
    account.ec2.stop_instances(InstanceIds=[instance_id])
    account.advance(account.script.seconds)
    assert account.invocation(command_id, instance_id)["Status"] == "InProgress"
    assert account.state.content_of(account.state.instances[instance_id]) == {}
    account.advance(3600 + 600)
    assert account.invocation(command_id, instance_id)["Status"] == "TimedOut"


def test_a_running_command_can_be_cancelled(account: Account) -> None:
    """Recorded calls: Cancelling, then Cancelled with 137."""
    instance_id, document = account.running(), account.document()
    command_id = account.send(instance_id, document)
    account.advance(5)
    account.ssm.cancel_command(CommandId=command_id)
    assert account.invocation(command_id, instance_id)["Status"] == "Cancelling"
    account.advance(account.script.seconds)
    invocation = account.invocation(command_id, instance_id)
    assert (invocation["Status"], invocation["ResponseCode"]) == ("Cancelled", 137)


def test_sending_twice_runs_twice_and_the_comment_finds_both(account: Account) -> None:
    """Systems Manager API reference, SendCommand has no client token; the Comment is the caller's mark."""
    instance_id, document = account.running(), account.document()
    for _ in range(2):
        account.ssm.send_command(
            InstanceIds=[instance_id],
            DocumentName=document,
            Comment="build-1",
            Parameters={"ImageDigest": ["sha256:" + "0" * 64]},
        )
    commands = account.ssm.list_commands(InstanceId=instance_id)["Commands"]
    assert [each["Comment"] for each in commands] == ["build-1", "build-1"]
    filters = [{"key": "DocumentName", "value": "Other"}]
    assert account.ssm.list_commands(InstanceId=instance_id, Filters=filters)["Commands"] == []


def test_filters_of_managed_instances_are_known_and_of_one_kind(account: Account) -> None:
    """Systems Manager API reference, DescribeInstanceInformation: InvalidFilterKey, and the legacy list by itself."""
    with refused("InvalidFilterKey"):
        account.ssm.describe_instance_information(Filters=[{"Key": "Colour", "Values": ["red"]}])
    with refused("ValidationException"):
        account.ssm.describe_instance_information(
            Filters=[{"Key": "PingStatus", "Values": ["Online"]}],
            InstanceInformationFilterList=[{"key": "PlatformTypes", "valueSet": ["Linux"]}],
        )
