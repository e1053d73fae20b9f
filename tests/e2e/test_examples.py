"""The examples do what they say: Python, Node.js and the AWS CLI on the emulator, the others through their parsers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import hcl2
import pytest
import yaml
from botocore.exceptions import ClientError

from ami_lifecycle_cli.demo.docker_push import push_image
from ami_lifecycle_testbed.durations import BuildDurations
from ami_lifecycle_testbed.emulator import Emulator
from aws_emulator.cloudformation.template import load_template

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent
AWS_CLI = EXAMPLES / "aws-cli"
NODE = shutil.which("node")
HAS_NODE_PACKAGES = (EXAMPLES / "nodejs" / "node_modules").is_dir()
KEYS = {"AWS_ACCESS_KEY_ID": "consumer", "AWS_SECRET_ACCESS_KEY": "consumer"}
DURATIONS = BuildDurations(
    instance_running=1, agent_online=4, canary_online=4, provision=6, verify=4, stop=3, image=8
)

SHOW = {
    "python": [sys.executable, str(EXAMPLES / "python" / "show.py")],
    "node": [NODE or "node", str(EXAMPLES / "nodejs" / "show.mjs")],
    "aws-cli": ["sh", str(AWS_CLI / "latest-ami.sh")],
}
LAUNCH = {
    "python": [sys.executable, str(EXAMPLES / "python" / "launch.py")],
    "node": [NODE or "node", str(EXAMPLES / "nodejs" / "launch.mjs")],
    "aws-cli": ["sh", str(AWS_CLI / "launch.sh")],
}


@pytest.fixture(params=list(SHOW))
def consumer(request: pytest.FixtureRequest) -> str:
    if request.param == "node" and not (NODE and HAS_NODE_PACKAGES):
        pytest.skip("Node.js or the packages of the example are missing: make examples")
    return str(request.param)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(ROOT, time_scale=0.01, durations=DURATIONS, seed=1) as running:
        yield running


@pytest.fixture(scope="module")
def clients(emulator: Emulator) -> Iterator[Mapping[str, Any]]:
    session = boto3.Session("tests", "tests", region_name="us-east-1")
    found = {
        name: session.client(name, endpoint_url=emulator.endpoint_url)
        for name in ("ssm", "ecr", "ec2", "events", "autoscaling", "cloudwatch")
    }
    yield found
    for client in found.values():
        client.close()


@pytest.fixture(scope="module")
def published(emulator: Emulator, clients: Mapping[str, Any]) -> str:
    """A push to prod, waited for as a pipeline does; its digest."""
    digest = push_image(clients["ecr"], "comfyui", "prod-latest", revision="a" * 40, branch="main")
    script = ["sh", str(AWS_CLI / "wait-for-publication.sh"), "prod", digest, "100"]
    done = run(script, emulator.endpoint_url, POLL_SECONDS="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ami-")
    return digest


def run(command: list[str], endpoint_url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a consumer would, with an environment of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {
        **kept,
        "PATH": f"{BIN}:{kept.get('PATH', '')}",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "2",
        **KEYS,
        **variables,
    }
    environment = {name: value for name, value in environment.items() if value}
    return subprocess.run(  # noqa: S603 - our own examples
        command, capture_output=True, text=True, env=environment, timeout=150, check=False
    )


def test_the_latest_image_is_read(
    consumer: str, emulator: Emulator, clients: Mapping[str, Any], published: str
) -> None:
    done = run([*SHOW[consumer], "prod"], emulator.endpoint_url)
    assert done.returncode == 0, done.stderr
    assert clients["ssm"].get_parameter(Name="/comfyui/ami/prod/latest")["Parameter"]["Value"] in done.stdout
    assert "a" * 40 in done.stdout
    assert "Error" not in done.stderr


def test_an_environment_without_an_image_is_named(consumer: str, emulator: Emulator, published: str) -> None:
    done = run([*SHOW[consumer], "staging"], emulator.endpoint_url)
    assert done.returncode in {1, 3}
    assert "No AMI found for environment: staging" in done.stderr
    assert done.stdout == ""


def test_missing_credentials_are_told_apart(consumer: str, emulator: Emulator) -> None:
    nobody = dict.fromkeys((*KEYS, "HOME"), "")
    done = run(
        [*SHOW[consumer], "prod"], emulator.endpoint_url, **nobody, AWS_SHARED_CREDENTIALS_FILE="/nonexistent"
    )
    assert done.returncode in {1, 4}
    assert "redentials" in done.stderr
    assert "No AMI found" not in done.stderr


def test_a_network_without_an_answer_is_told_apart(consumer: str) -> None:
    done = run([*SHOW[consumer], "prod"], "http://127.0.0.1:9")
    assert done.returncode in {1, 5}
    assert "No AMI found" not in done.stderr
    assert any(word in done.stderr for word in ("ServiceUnavailableError", "Could not connect"))


def test_metadata_that_is_no_json_is_told_apart(
    consumer: str, emulator: Emulator, clients: Mapping[str, Any]
) -> None:
    if consumer == "aws-cli":
        pytest.skip("the script passes the record on as it is")
    ssm = clients["ssm"]
    image = clients["ec2"].describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    for name, value in (("latest", image), ("metadata", "{not json")):
        ssm.put_parameter(Name=f"/comfyui/ami/broken/{name}", Value=value, Type="String", Overwrite=True)
    done = run([*SHOW[consumer], "broken"], emulator.endpoint_url)
    assert done.returncode == 1
    assert "InvalidMetadataError" in done.stderr


def test_an_instance_is_launched_from_the_latest_image_at_a_rate_of_initialization(
    consumer: str, emulator: Emulator, clients: Mapping[str, Any], published: str
) -> None:
    subnet = clients["ec2"].describe_subnets()["Subnets"][0]["SubnetId"]
    done = run([*LAUNCH[consumer], "prod", "m5.large", subnet], emulator.endpoint_url)
    assert done.returncode == 0, done.stderr
    time.sleep(0.5)  # EC2 shows a new instance a moment later
    found = clients["ec2"].describe_instances(InstanceIds=[done.stdout.strip()])["Reservations"][0][
        "Instances"
    ][0]
    assert (
        found["ImageId"]
        == clients["ssm"].get_parameter(Name="/comfyui/ami/prod/latest")["Parameter"]["Value"]
    )
    volumes = clients["ec2"].describe_volumes(
        VolumeIds=[each["Ebs"]["VolumeId"] for each in found["BlockDeviceMappings"]]
    )["Volumes"]
    assert [each["VolumeInitializationRate"] for each in volumes] == [300]
    clients["ec2"].terminate_instances(InstanceIds=[found["InstanceId"]])


def test_a_pipeline_learns_that_its_build_failed(emulator: Emulator, clients: Mapping[str, Any]) -> None:
    fault = {
        "kind": "command_fails",
        "document": "ProvisionImage",
        "environment": "dev",
        "stderr": "no space left",
        # At every attempt: at this time scale the first may be over before the script looks.
        "times": None,
    }
    emulator_ask(emulator, "faults", fault)
    digest = push_image(clients["ecr"], "comfyui", "dev-latest", revision="b" * 40, branch="main")
    done = run(
        ["sh", str(AWS_CLI / "wait-for-publication.sh"), "dev", digest, "100"],
        emulator.endpoint_url,
        POLL_SECONDS="1",
    )
    assert done.returncode == 1
    assert "The build failed: ProvisioningFailedError" in done.stderr
    assert "no space left" in done.stderr


def test_a_launch_without_its_arguments_says_what_it_needs() -> None:
    done = run([sys.executable, str(EXAMPLES / "python" / "launch.py"), "prod"], "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usage: ")
    assert "SUBNET_ID" in done.stderr


FAKE_AWS = """#!/bin/sh
case "$*" in
    *describe-stacks*) echo arn:machine ;;
    *list-executions*) echo None ;;
    *describe-images*ami-0c*) printf 'comfyui-prod.candidate.1\tarn:one\n' ;;
    *describe-images*ami-0f*) printf 'comfyui-prod\tarn:one\n' ;;
    *describe-execution*) echo x >>"$LOOKS"; [ "$(wc -l <"$LOOKS")" -gt 2 ] && echo SUCCEEDED || echo RUNNING ;;
    *get-parameter*)
        ami_id=$([ "$(wc -l <"$LOOKS")" -gt "$REPLACED_AFTER" ] && echo ami-0f || echo ami-0c)
        case "$*" in
            */metadata*) echo "{\\"ami_id\\": \\"$ami_id\\", \\"image_digest\\": \\"sha256:1\\"}" ;;
            *) echo "$ami_id" ;;
        esac ;;
esac
"""


@pytest.mark.parametrize(("replaced_after", "printed"), [("1", "ami-0f"), ("2", "ami-0f"), ("99", "ami-0c")])
def test_a_pipeline_does_not_take_a_candidate_for_the_publication(
    tmp_path: Path, replaced_after: str, printed: str
) -> None:
    # Where the old image is in use, the candidate stays: then the end of its execution makes it final.
    aws = tmp_path / "aws"
    aws.write_text(FAKE_AWS)
    aws.chmod(0o755)
    looks = tmp_path / "looks"
    looks.touch()
    done = subprocess.run(  # noqa: S603 - our own example
        ["sh", str(AWS_CLI / "wait-for-publication.sh"), "prod", "sha256:1", "30"],  # noqa: S607
        capture_output=True,
        text=True,
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "LOOKS": str(looks),
            "REPLACED_AFTER": replaced_after,
            "POLL_SECONDS": "0.1",
        },
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, printed), done.stderr


def emulator_ask(emulator: Emulator, path: str, content: Any) -> None:
    command = ["curl", "-sf", "-H", "Content-Type: application/json", "-d", json.dumps(content)]
    subprocess.run([*command, f"{emulator.endpoint_url}/_emulator/{path}"], check=True, capture_output=True)  # noqa: S603


# Examples that run elsewhere are parsed and linted.


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("terraform/*.tf")), ids=lambda path: path.name)
def test_terraform_is_valid_hcl(path: Path) -> None:
    with path.open() as file:
        assert hcl2.load(file)


@pytest.fixture
def terraform(tmp_path: Path, emulator: Emulator) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Terraform in a copy of the example, if it and its provider are here (TF_CLI_ARGS_init may name a mirror)."""
    command = shutil.which("terraform")
    for path in EXAMPLES.glob("terraform/*.tf"):
        shutil.copy(path, tmp_path)
    mirror = {"TF_CLI_ARGS_init": os.environ.get("TF_CLI_ARGS_init", "")}  # noqa: SIM112 - Terraform's own name

    def terraform(*words: str) -> subprocess.CompletedProcess[str]:
        return run([str(command), f"-chdir={tmp_path}", *words, "-no-color"], emulator.endpoint_url, **mirror)

    if command is None or terraform("init", "-input=false").returncode != 0:
        pytest.skip("Terraform or its provider is missing")
    return terraform


def test_terraform_applies_finds_no_difference_and_destroys(
    terraform: Callable[..., subprocess.CompletedProcess[str]], clients: Mapping[str, Any], published: str
) -> None:
    subnet = clients["ec2"].describe_subnets()["Subnets"][0]["SubnetId"]
    variables = ("-input=false", f'-var=subnet_ids=["{subnet}"]', "-var=with_single_instance=true")
    sizes = ("-var=min_size=0", "-var=max_size=1")
    applied = terraform("apply", "-auto-approve", *variables, *sizes)
    assert applied.returncode == 0, applied.stderr
    (instance,) = [
        each
        for row in clients["ec2"].describe_instances()["Reservations"]
        for each in row["Instances"]
        if {"Key": "Name", "Value": "comfyui-prod"} in each["Tags"]
    ]
    assert (
        instance["ImageId"]
        == clients["ssm"].get_parameter(Name="/comfyui/ami/prod/latest")["Parameter"]["Value"]
    )
    again = terraform("plan", "-detailed-exitcode", *variables, *sizes)
    assert again.returncode == 0, again.stdout
    destroyed = terraform("destroy", "-auto-approve", *variables, *sizes)
    assert destroyed.returncode == 0, destroyed.stderr


def test_terraform_launches_by_the_name_of_the_parameter() -> None:
    with (EXAMPLES / "terraform" / "main.tf").open() as file:
        resources = hcl2.load(file)["resource"]
    templates = [
        each for each in resources if '"aws_launch_template"' in each or "aws_launch_template" in each
    ]
    assert "resolve:ssm:" in json.dumps(templates)
    assert "volume_initialization_rate" in json.dumps(templates)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("cloudformation/*.yaml")), ids=lambda path: path.name)
def test_cloudformation_passes_the_linter(path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own tool
        [str(BIN / "cfn-lint"), str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


# The fleet's state machine: what it calls is called on the emulator, in the order in which it would be.


class Rollout:
    """The state machine of fleet.yaml with the values that a stack gives it."""

    def __init__(self, clients: Mapping[str, Any], group: str, alarms: list[str]) -> None:
        self._autoscaling = clients["autoscaling"]
        self._values = {"Alarms": alarms, "PauseSeconds": 60}
        self._group = group
        template = load_template(EXAMPLES / "cloudformation" / "fleet.yaml", "us-east-1")
        self._machine = template.resources["RefreshFleet"]["Properties"]["Definition"]

    def receives(self, trigger: str) -> list[str]:
        """The calls that an event `Image Published` leads to, each with what Auto Scaling says."""
        states, name, told = self._machine["States"], self._machine["StartAt"], []
        while name:
            state = states[name]
            if state["Type"] == "Choice":
                chosen = (each["Next"] for each in state["Choices"] if each["StringEquals"] == trigger)
                name = next(chosen, state["Default"])
                continue
            outcome = self._call(state)
            told.append(f"{name}: {outcome}")
            caught = [each["Next"] for each in state.get("Catch", ()) if outcome in each["ErrorEquals"]]
            name = caught[0] if caught else state.get("Next", "") if outcome == "ok" else ""
        return told

    def _call(self, state: Mapping[str, Any]) -> str:
        call = {
            "${StartInstanceRefreshArn}": self._autoscaling.start_instance_refresh,
            "${CancelInstanceRefreshArn}": self._autoscaling.cancel_instance_refresh,
        }[state["Resource"]]
        try:
            call(**self._resolved(state["Parameters"]))
        except ClientError as error:
            # Step Functions developer guide, AWS SDK integrations: the service's name, and the exception's.
            return f"AutoScaling.{error.response['Error']['Code']}Exception"
        return "ok"

    def _resolved(self, value: Any) -> Any:
        if value == "${Fleet}":
            return self._group
        if isinstance(value, dict) and set(value) == {"Ref"}:
            return self._values[value["Ref"]]
        if isinstance(value, dict) and set(value) == {"Fn::If"}:
            _, given, _ = value["Fn::If"]
            return self._resolved(given)
        if isinstance(value, dict):
            return {key: self._resolved(each) for key, each in value.items()}
        return value


@pytest.fixture
def group(clients: Mapping[str, Any], published: str) -> Iterator[str]:
    """A group that launches the latest image by the name of its parameter, as fleet.yaml makes it."""
    ec2, autoscaling = clients["ec2"], clients["autoscaling"]
    data = {"ImageId": "resolve:ssm:/comfyui/ami/prod/latest", "InstanceType": "m5.large"}
    made = ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData=data)
    template_id = made["LaunchTemplate"]["LaunchTemplateId"]
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="fleet",
        MinSize=0,
        MaxSize=4,
        VPCZoneIdentifier=ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        LaunchTemplate={"LaunchTemplateId": template_id, "Version": "1"},
    )
    yield "fleet"
    autoscaling.delete_auto_scaling_group(AutoScalingGroupName="fleet", ForceDelete=True)
    ec2.delete_launch_template(LaunchTemplateId=template_id)


def refreshes(clients: Mapping[str, Any], group: str) -> list[Mapping[str, Any]]:
    """The refreshes of the group, the newest first."""
    found = clients["autoscaling"].describe_instance_refreshes(AutoScalingGroupName=group)
    return list(found["InstanceRefreshes"])


def test_a_fleet_is_refreshed_in_steps_and_an_alarm_ends_that(clients: Mapping[str, Any], group: str) -> None:
    rollout = Rollout(clients, group, ["fleet-errors"])
    assert rollout.receives("push") == ["Roll Out: ok"]
    (first,) = refreshes(clients, group)
    assert (first["Status"], first["Preferences"]) == (
        "InProgress",
        {
            "MinHealthyPercentage": 90,
            "CheckpointPercentages": [20, 50, 100],
            "CheckpointDelay": 60,
            "AlarmSpecification": {"Alarms": ["fleet-errors"]},
        },
    )
    # The next image waits, and what was gone back to does not.
    assert rollout.receives("schedule") == ["Roll Out: AutoScaling.InstanceRefreshInProgressException"]
    assert rollout.receives("rollback") == ["Cancel Instance Refresh: ok", "Go Back: ok"]
    back, first = refreshes(clients, group)
    assert (first["Status"], back["Preferences"]) == ("Cancelled", {"MinHealthyPercentage": 90})


def test_an_alarm_ends_the_refresh_and_what_was_gone_back_to_takes_its_place(
    clients: Mapping[str, Any], group: str
) -> None:
    cloudwatch = clients["cloudwatch"]
    cloudwatch.put_metric_alarm(
        AlarmName="fleet-errors",
        Namespace="comfyui",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5,
        ComparisonOperator="GreaterThanThreshold",
    )
    rollout = Rollout(clients, group, ["fleet-errors"])
    assert rollout.receives("promotion") == ["Roll Out: ok"]
    cloudwatch.set_alarm_state(AlarmName="fleet-errors", StateValue="ALARM", StateReason="41 errors")
    assert [each["Status"] for each in refreshes(clients, group)] == ["Failed"]
    assert rollout.receives("alarm") == [
        "Cancel Instance Refresh: AutoScaling.ActiveInstanceRefreshNotFoundException",
        "Go Back: ok",
    ]


def test_the_rule_of_the_fleet_hears_what_the_service_tells(clients: Mapping[str, Any]) -> None:
    template = load_template(EXAMPLES / "cloudformation" / "fleet.yaml", "us-east-1")
    pattern = template.resources["ImagePublishedRule"]["Properties"]["EventPattern"]
    pattern["detail"]["environment"] = ["prod"]
    told = {"application": "comfyui", "environment": "prod", "trigger": "alarm"}
    event = {
        "id": "1",
        "account": "123456789012",
        "source": "ami-lifecycle",
        "time": "2026-11-22T10:15:30Z",
        "region": "us-east-1",
        "resources": [],
        "detail-type": "Image Published",
        "detail": told,
    }
    answer = clients["events"].test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))
    assert answer["Result"] is True


def test_the_github_workflow_waits_with_the_tested_script() -> None:
    workflow = yaml.safe_load((EXAMPLES / "github-actions" / "push-image.yml").read_text())
    steps = workflow["jobs"]["push"]["steps"]
    waiting = next(step for step in steps if "wait-for-publication.sh" in step.get("run", ""))
    assert waiting["env"]["DIGEST"] == "${{ steps.push.outputs.digest }}"
    assert {step["id"] for step in steps if "id" in step} >= {"push", "registry"}


@pytest.mark.parametrize("path", sorted(AWS_CLI.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_pass_shellcheck(path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own tool
        [str(BIN / "shellcheck"), str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
