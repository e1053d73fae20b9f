"""Functions run in real `awslambdaric` processes, as Lambda runs them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

WORKER = "WorkerFunction"


def test_a_function_sees_the_environment_and_context_of_lambda(platform: Any) -> None:
    response, seen = platform.invoke(WORKER, {"mode": "environment"})
    name = platform.outputs["WorkerName"]
    assert response["StatusCode"] == 200
    assert response["ExecutedVersion"] == "$LATEST"
    assert seen["stage"] == "test"
    assert seen["size"] == "small"
    assert seen["name"] == seen["variable"] == name
    assert seen["arn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    assert seen["memory"] == "128"
    assert seen["region"] == "us-east-1"
    assert seen["timezone"] == "UTC"
    assert seen["trace"].startswith("Root=1-")
    assert 15_000 < seen["remaining_ms"] <= 20_000
    assert len(seen["subnets"]) == 3
    assert seen["subnets"][0] == seen["first_subnet"]


def test_layers_are_on_the_path_and_opt_is_the_configuration(platform: Any) -> None:
    _, seen = platform.invoke(WORKER, {"mode": "environment"})
    assert seen["directory"].endswith("functions/worker")
    assert seen["path"][0] == seen["directory"]
    assert seen["path"][1].endswith("layers/greetings")
    assert seen["settings"] == "colour: green\n"


def test_the_project_is_found_in_layers_only(platform: Any) -> None:
    response, error = platform.invoke("UnimportableFunction", {})
    assert response["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "ami_lifecycle" in error["errorMessage"]


def test_a_function_calls_the_emulated_account_under_its_own_name(platform: Any) -> None:
    platform.invoke(WORKER, {"mode": "write", "key": "written-by-worker"})
    item = platform.client("dynamodb").get_item(
        TableName=platform.outputs["TableName"], Key={"pk": {"S": "written-by-worker"}}
    )["Item"]
    assert item == {"pk": {"S": "written-by-worker"}}
    calls = [call for call in platform.emulator.calls.since(0) if call.operation == "PutItem"]
    assert [(call.caller, call.outcome) for call in calls] == [(WORKER, "ok")]


def test_an_exception_is_an_unhandled_error_with_its_class(platform: Any) -> None:
    response, error = platform.invoke(WORKER, {"mode": "fail", "message": "no"})
    assert response["StatusCode"] == 200
    assert response["FunctionError"] == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no")
    assert error["requestId"]
    assert any("app.py" in line for line in error["stackTrace"])


def test_a_function_is_ended_at_its_timeout_in_real_seconds(platform: Any) -> None:
    begin = time.monotonic()
    response, error = platform.invoke("HastyFunction", {"mode": "sleep", "seconds": 30})
    assert 1 <= time.monotonic() - begin < 25
    assert response["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert platform.invoke("HastyFunction", {"mode": "echo"})[1] == {"mode": "echo"}


def test_a_process_that_dies_is_an_exit_error_and_is_replaced(platform: Any) -> None:
    response, error = platform.invoke(WORKER, {"mode": "exit"})
    assert response["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in error["errorMessage"]
    assert platform.invoke(WORKER, {"mode": "echo"})[1] == {"mode": "echo"}


def test_processes_are_kept_warm(platform: Any) -> None:
    first, second = (platform.invoke(WORKER, {"mode": "pid"})[1]["pid"] for _ in range(2))
    assert first == second


def test_invocations_at_once_run_in_several_processes_and_queue_beyond_four(platform: Any) -> None:
    begin = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        wanted = [{"mode": "sleep", "seconds": 0.4}] * 8
        results = list(threads.map(lambda payload: platform.invoke(WORKER, payload)[1], wanted))
    assert len({result["pid"] for result in results}) == 4
    assert time.monotonic() - begin >= 0.8


def test_output_is_collected_by_function(platform: Any, eventually: Any) -> None:
    platform.invoke(WORKER, {"mode": "echo"})
    eventually(lambda: "hello from the layer echo" in platform.lines(WORKER))


def test_a_failing_asynchronous_invocation_is_repeated_and_then_sent_to_its_destination(
    platform: Any,
) -> None:
    response, _ = platform.invoke(WORKER, {"mode": "fail", "message": "later"}, InvocationType="Event")
    assert response["StatusCode"] == 202
    record = json.loads(platform.messages("FailuresUrl")[0]["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestPayload"] == {"mode": "fail", "message": "later"}
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_unknown_functions_and_bad_payloads_are_refused(platform: Any) -> None:
    client = platform.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="nothing")
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName=platform.outputs["WorkerName"], Payload=b"{")
    with pytest.raises(client.exceptions.InvalidRequestContentException, match="Could not parse"):
        client.invoke(FunctionName=platform.outputs["WorkerName"], Payload=b'"\x87"')
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        client.invoke(FunctionName=platform.outputs["WorkerName"], Payload=b'"' + b"x" * 6_291_456 + b'"')


ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


@pytest.mark.parametrize(
    ("name", "qualifier", "code", "message"),
    [
        ("*", None, "ValidationException", "Member must satisfy regular expression pattern"),
        ("my-function!", None, "ValidationException", "Member must satisfy regular expression pattern"),
        ("arn:aws:ec2:us-east-1:123456789012:instance:i-1", None, "ValidationException", "at 'functionName'"),
        ("arn:aws:lambda::123456789012:function:f", None, "ValidationException", "at 'functionName'"),
        (f"{ARN}f:1:2", None, "ValidationException", "at 'functionName'"),
        (f"{ARN}f:$LATES", None, "ValidationException", "at 'functionName'"),
        ("f", "invalid!", "ValidationException", "at 'qualifier'"),
        ("f", "a" * 129, "ValidationException", "Member must have length less than or equal to 128"),
        ("f", None, "ResourceNotFoundException", f"Function not found: {ARN}f:$LATEST"),
        ("f", "$latest", "ResourceNotFoundException", f"Function not found: {ARN}f:$latest"),
        (ARN.rstrip(":"), None, "ResourceNotFoundException", f"Function not found: {ARN}function:$LATEST"),
        (f"{ARN}f:$LATEST", "1", "InvalidParameterValueException", "The derived qualifier"),
        (
            "arn:aws:lambda:eu-west-1:123456789012:function:f",
            None,
            "ResourceNotFoundException",
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
    ],
)
def test_names_and_qualifiers_are_checked(
    platform: Any, name: str, qualifier: str | None, code: str, message: str
) -> None:
    """localstack/localstack (validated on AWS): test_function_name_and_qualifier_validation."""
    client = platform.client("lambda")
    more = {"Qualifier": qualifier} if qualifier else {}
    with pytest.raises(ClientError) as failure:
        client.invoke(FunctionName=name, **more)
    assert failure.value.response["Error"]["Code"] == code
    assert message in failure.value.response["Error"]["Message"]


def test_a_function_is_found_by_each_form_of_its_name(platform: Any) -> None:
    """Lambda API reference, Invoke: name, ARN, partial ARN; only $LATEST exists here."""
    client, name = platform.client("lambda"), platform.outputs["WorkerName"]
    for form in (
        name,
        f"{ARN}{name}",
        f"123456789012:function:{name}",
        f"function:{name}",
        f"{name}:$LATEST",
    ):
        answer = client.invoke(FunctionName=form, Payload=b'{"mode": "echo"}', Qualifier="$LATEST")
        assert json.loads(answer["Payload"].read()) == {"mode": "echo"}
    with pytest.raises(client.exceptions.ResourceNotFoundException, match=r":1$"):
        client.get_function(FunctionName=name, Qualifier="1")


def test_a_response_is_limited(platform: Any) -> None:
    """Lambda quotas: 6 MB; localstack/localstack (validated on AWS): test_lambda_too_large_response."""
    response, error = platform.invoke(WORKER, {"mode": "long", "characters": 6_291_556})
    assert response["FunctionError"] == "Unhandled"
    assert error == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }


def test_what_an_invocation_would_ignore_is_refused(platform: Any) -> None:
    client, name = platform.client("lambda"), platform.outputs["WorkerName"]
    for more in ({"LogType": "Tail"}, {"ClientContext": "e30="}):
        with pytest.raises(ClientError, match="the emulator does not emulate"):
            client.invoke(FunctionName=name, **more)


def test_functions_can_be_listed_and_described(platform: Any) -> None:
    client = platform.client("lambda")
    names = [row["FunctionName"] for row in client.list_functions()["Functions"]]
    assert names == sorted(names)
    assert platform.outputs["WorkerName"] in names
    configuration = client.get_function_configuration(FunctionName=platform.outputs["WorkerName"])
    assert configuration["Timeout"] == 20
    assert configuration["Environment"]["Variables"]["CONFIG_DIR"] == "/opt"
    assert (
        client.get_function(FunctionName=platform.outputs["WorkerName"])["Configuration"]["State"] == "Active"
    )


def test_a_changed_configuration_reaches_the_next_invocation(platform: Any) -> None:
    client, name = platform.client("lambda"), platform.physical_id("HastyFunction")
    before = client.get_function_configuration(FunctionName=name)["Environment"]
    client.update_function_configuration(
        FunctionName=name,
        Environment={
            "Variables": {
                "STAGE": "changed",
                "CONFIG_DIR": str(platform.emulator.project.directory / "config"),
            }
        },
    )
    try:
        assert platform.invoke("HastyFunction", {"mode": "environment"})[1]["stage"] == "changed"
    finally:
        client.update_function_configuration(FunctionName=name, Environment=before)


def test_workers_are_children_of_the_zygote(platform: Any) -> None:
    worker = platform.invoke(WORKER, {"mode": "pid"})[1]["pid"]
    with open(f"/proc/{worker}/stat", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
        parent = int(file.read().rsplit(")", 1)[1].split()[1])
    assert parent == platform.emulator.runtime.zygote_pid != os.getpid()


def test_a_layer_is_delivered_as_the_archive_that_functions_see_below_opt(platform: Any) -> None:
    client = platform.client("lambda")
    function = client.get_function_configuration(FunctionName=platform.physical_id(WORKER))
    arns = [each["Arn"] for each in function["Layers"]]
    arn = next(each for each in arns if "ConfigurationLayer" in each)
    # Lambda API reference, GetLayerVersionByArn: an address that needs no signature, size and SHA-256.
    version = client.get_layer_version_by_arn(Arn=arn)
    content = version["Content"]
    with urlopen(content["Location"]) as answer:  # noqa: S310 - the emulator's own address
        archive = answer.read()
    assert len(archive) == content["CodeSize"]
    assert base64.b64encode(hashlib.sha256(archive).digest()).decode() == content["CodeSha256"]
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.read("settings.yml") == b"colour: green\n"
    layer, _, number = arn.rpartition(":")
    assert (version["LayerArn"], version["Version"]) == (layer, int(number))
    assert (
        client.get_layer_version(LayerName=layer.rsplit(":", 1)[1], VersionNumber=1)["LayerVersionArn"] == arn
    )
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_layer_version(LayerName=layer, VersionNumber=2)
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        client.list_layers()


def test_a_function_without_a_policy_has_none_to_show(platform: Any) -> None:
    """Lambda API reference, GetPolicy: ResourceNotFoundException."""
    client = platform.client("lambda")
    policies = []
    for function in client.list_functions()["Functions"]:
        try:
            policies.append(json.loads(client.get_policy(FunctionName=function["FunctionName"])["Policy"]))
        except client.exceptions.ResourceNotFoundException:
            policies.append(None)
    assert None in policies
    for policy in filter(None, policies):
        assert all(each["Action"] == "lambda:InvokeFunction" for each in policy["Statement"])
