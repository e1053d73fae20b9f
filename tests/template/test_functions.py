"""House rules of the functions: code, log group, limits, layers, variables and an event for each."""

from __future__ import annotations

import json

import pytest
from tests.template.call_graph import names_used, port_calls
from tests.template.stack import ROOT, functions, resources, state_machine, template

from ami_lifecycle.function_environment import FunctionEnvironment
from ami_lifecycle.steps.claim_environment import EXECUTION_TIMEOUT

FUNCTIONS = sorted(functions())
MINUTES_ALLOWED = {"clean_up_build": 300, "retire_images": 180, "sweep_environments": 300}
OUTSIDE_THE_WORKFLOW = {"clean_up_build", "resume_build", "sweep_environments"}
# Ports whose adapter makes an EC2 client: its service model alone wants this much memory.
EC2_PORTS = {"Images", "ImageUsage", "Instances"}
# Read by Powertools and pydantic, or set by Lambda itself, not by us.
NOT_OURS = {
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_METRICS_NAMESPACE",
    "PYDANTIC_DISABLE_PLUGINS",
}


def test_every_function_has_its_directory_and_every_directory_its_function() -> None:
    directories = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert directories == set(functions())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_named_after_its_directory(name: str) -> None:
    words = "".join(word.title() for word in name.split("_"))
    assert functions()[name].logical_id == f"{words}Function"
    assert functions()[name].properties["CodeUri"] == f"functions/{name}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_is_for(name: str) -> None:
    description = functions()[name].properties["Description"]
    assert description.endswith(".")
    assert len(description) <= 256, "Lambda API reference, CreateFunction"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_an_event_to_try_it_with(name: str) -> None:
    event = ROOT / "events" / f"{name}.json"
    assert json.loads(event.read_text()) is not None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_log_group_of_its_own_with_a_retention(name: str) -> None:
    function = functions()[name]
    group = f"{function.prefix}LogGroup"
    assert function.properties["LoggingConfig"]["LogGroup"] == {"Ref": group}
    properties = resources("AWS::Logs::LogGroup")[group]
    assert properties["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}/{name}"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_at_the_level_that_the_stack_is_given(name: str) -> None:
    # SAM merges the mappings of Globals with those of a function.
    shared = template()["Globals"]["Function"]["LoggingConfig"]
    merged = {**shared, **functions()[name].properties["LoggingConfig"]}
    assert merged["LogFormat"] == "JSON", "Lambda takes a level only with JSON"
    assert merged["ApplicationLogLevel"] == {"Ref": "LogLevel"}
    # Lambda drops lines below its level, whatever Powertools is told.
    assert {"LOG_LEVEL", "POWERTOOLS_LOG_LEVEL"}.isdisjoint(functions()[name].variables)


def test_no_log_level_drops_the_metrics() -> None:
    # Lambda developer guide, log levels: a line without a level counts as INFO. Metrics are such lines.
    assert set(template()["Parameters"]["LogLevel"]["AllowedValues"]) == {"DEBUG", "INFO"}


def test_every_log_group_forgets() -> None:
    keeping = [
        name
        for name, properties in resources("AWS::Logs::LogGroup").items()
        if properties.get("RetentionInDays") != {"Ref": "LogRetentionDays"}
    ]
    assert keeping == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_does_not_wait_for_resources(name: str) -> None:
    assert functions()[name].timeout <= MINUTES_ALLOWED.get(name, 60)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_with_an_ec2_client_has_the_memory_for_it(name: str) -> None:
    needs_ec2 = bool({port for port, _ in port_calls(name)} & EC2_PORTS)
    assert functions()[name].memory == (512 if needs_ec2 else 256)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_only_functions_that_read_the_configuration_get_it(name: str) -> None:
    reads = "load_catalogue" in names_used(name)
    function = functions()[name]
    layers = function.properties.get("Layers", [])
    assert layers == ([{"Ref": "ConfigurationLayer"}] if reads else [])
    assert ("CONFIG_DIR" in function.variables) == reads


def test_only_who_plans_reads_settings_so_a_build_has_one_version_of_them() -> None:
    """All others have them from the plan, which a deployment in the middle of a build does not change."""
    reading = {name for name in FUNCTIONS if functions()[name].properties.get("Layers")}
    assert reading == {"plan_build", "sweep_environments"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gets_the_variables_that_it_reads_and_no_others(name: str) -> None:
    known = set(FunctionEnvironment.model_fields)
    read = {field for field in known | {"subnet_ids"} if field in names_used(name)}
    if "subnet_ids" in read:
        read = (read - {"subnet_ids"}) | {"SUBNET_IDS"}
    assert set(functions()[name].variables) - NOT_OURS == read - {"AWS_REGION"}


def test_all_functions_share_runtime_and_layers() -> None:
    shared = template()["Globals"]["Function"]
    assert shared["Handler"] == "app.handler"
    assert shared["Layers"] == [
        {"Ref": "DependenciesLayer"},
        {"Ref": "AmiLifecycleLayer"},
        {"Ref": "ParameterConfigLayer"},
    ]
    overriding = [
        name
        for name, function in functions().items()
        if {"Runtime", "Handler", "Architectures"} & function.properties.keys()
    ]
    assert overriding == []


@pytest.mark.parametrize("name", sorted(OUTSIDE_THE_WORKFLOW))
def test_an_asynchronous_invocation_that_fails_for_good_is_kept(name: str) -> None:
    config = functions()[name].properties["EventInvokeConfig"]
    assert config["MaximumRetryAttempts"] == 2
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == {
        "Fn::GetAtt": ["DeadLetterQueue", "Arn"]
    }


def test_a_claims_lease_is_as_long_as_an_execution_can_be() -> None:
    assert EXECUTION_TIMEOUT.total_seconds() == state_machine()["TimeoutSeconds"]
