"""Operators build, roll back, unpin, retire and migrate; nothing happens without their word."""

from __future__ import annotations

from typing import Any

import pytest
from tests.workflows.conftest import Running
from tests.workflows.operators import Operator
from tests.workflows.service import Environment, Service, until


@pytest.fixture(scope="module")
def operator(running: Running) -> Operator:
    return Operator(running.service)


def published_commit(environment: Environment) -> str:
    return str(environment.metadata()["commit_sha"])


def test_a_dry_run_of_a_build_gives_its_reasons_and_starts_nothing(
    operator: Operator, environment: Environment
) -> None:
    environment.push_quietly("1" * 40)
    known = environment.executions()
    plan = operator.ask("build", environment.name, "--tag", f"{environment.name}-by-hand", "--dry-run")
    assert plan["action"] == "build"
    assert plan["mode"] == "fresh"
    assert "`latest` does not exist yet" in plan["reasons"][0]
    assert environment.executions() == known


def test_a_build_is_followed_to_its_end(operator: Operator, environment: Environment) -> None:
    environment.push_quietly("1" * 40)
    answer = operator.run("build", environment.name, "--tag", f"{environment.name}-by-hand", "--watch")
    assert answer.exit_code == 0, answer.notes
    assert answer.output.startswith(f"Published: {environment.latest()}")
    assert "Await Provisioning" in answer.notes
    environment.has_one_image()


def test_a_failed_build_ends_with_the_lines_of_the_builder(
    operator: Operator, service: Service, environment: Environment
) -> None:
    environment.push_quietly("1" * 40)
    service.inject(
        {"kind": "command_fails", "document": "ProvisionImage", "stderr": "line one\nno space left on device"}
    )
    answer = operator.run(
        "build", environment.name, "--tag", f"{environment.name}-by-hand", "--watch", "--json"
    )
    assert answer.exit_code == 1
    assert '"error": "ProvisioningFailedError"' in answer.output
    assert '"no space left on device"' in answer.output


def test_a_build_of_what_is_published_is_not_started(operator: Operator, environment: Environment) -> None:
    environment.must_build("1" * 40)
    known = environment.executions()
    answer = operator.run("build", environment.name)
    assert answer.exit_code == 0
    assert "is published already" in answer.output
    assert environment.executions() == known


def test_an_image_of_another_repository_is_refused(operator: Operator, environment: Environment) -> None:
    answer = operator.run("build", environment.name, "--image", "docker.io/library/nginx:latest")
    assert answer.exit_code == 1
    assert "is built from 123456789012.dkr.ecr.us-east-1.amazonaws.com/comfyui" in answer.notes


def test_a_stop_ends_the_execution_that_builds_and_waits_for_its_clean_up(
    operator: Operator, service: Service, environment: Environment
) -> None:
    service.inject({"kind": "agent_never_online", "role": "builder"})
    digest = environment.push("1" * 40)
    arn = environment.wait_for_state("Await Builder")
    assert "builds the first image" in operator.status(environment.name)["drift"][0]
    planned = operator.ask("stop", environment.name, "--dry-run")
    assert (planned["execution_arn"], planned["image_digest"]) == (arn, digest)
    assert service.client("stepfunctions").describe_execution(executionArn=arn)["status"] == "RUNNING"
    assert operator.run("stop", environment.name).exit_code == 1  # nobody to ask
    other = operator.run("stop", environment.name, "--execution", "another", "--yes")
    assert (other.exit_code, "does not run for" in other.notes) == (1, True)

    stopped = operator.ask("stop", environment.name, "--yes", "--reason", "the wrong image")
    assert (stopped["execution_arn"], stopped["status"], stopped["left"]) == (arn, "ABORTED", [])
    found = service.client("stepfunctions").describe_execution(executionArn=arn)
    assert (found["status"], "the wrong image" in found["cause"]) == ("ABORTED", True)
    assert "claim" not in environment.item()
    assert not environment.instances()
    assert operator.ask("stop", environment.name, "--yes")["status"] == "NOTHING_RUNS"
    assert environment.latest() is None


@pytest.mark.slow
def test_what_was_queued_behind_a_stopped_build_is_built(
    operator: Operator, service: Service, environment: Environment
) -> None:
    service.inject({"kind": "agent_never_online", "role": "builder"})
    environment.push("1" * 40)
    arn = environment.wait_for_state("Await Builder")
    environment.push("2" * 40)
    until("the second push is queued", lambda: "wanted" in environment.item())
    stopped = operator.ask("stop", environment.name, "--yes")
    assert stopped["execution_arn"] == arn
    assert stopped["next_execution_arn"] not in {None, arn}
    environment.wait_until_idle()
    assert published_commit(environment) == "2" * 40


@pytest.mark.slow
def test_waiting_ends_with_the_final_image_and_not_with_the_candidate(
    operator: Operator, service: Service
) -> None:
    environment = service.environment("patient")
    digest = environment.push("1" * 40)
    candidate = until("the candidate is live", environment.latest)
    # "published already" with the candidate's id would be of an image that is gone in a moment.
    told = operator.run("build", environment.name).output
    assert "published already" not in told
    assert f"{candidate} is its candidate" in told
    assert f"ami-lifecycle wait {environment.name}" in told
    answer = operator.run("wait", environment.name, "--digest", digest)
    assert (answer.exit_code, answer.output) == (0, f"{environment.latest()}\n"), answer.notes
    assert answer.output != f"{candidate}\n"
    environment.wait_until_idle()
    assert f"{environment.latest()}\n" == answer.output
    waited = operator.ask("wait", environment.name, "--commit", "1" * 10)
    assert (waited["image_digest"], waited["image_name"]) == (digest, environment.image_name)


@pytest.mark.slow
def test_waiting_tells_a_failed_build_apart(
    operator: Operator, service: Service, environment: Environment
) -> None:
    service.inject({"kind": "command_fails", "document": "ProvisionImage", "stderr": "no space left"})
    environment.push("1" * 40)
    answer = operator.run("wait", environment.name)
    assert (answer.exit_code, answer.output) == (3, "")
    assert "Failed: ProvisioningFailedError" in answer.notes


def test_a_push_to_the_emulator_is_built(operator: Operator, environment: Environment) -> None:
    pushed = operator.ask("emulator", "push", environment.name, "--commit", "1" * 40)
    assert (pushed["repository"], pushed["tag"]) == ("comfyui", environment.tag)
    environment.wait_for_executions(1)
    assert environment.metadata()["image_digest"] == pushed["image_digest"]
    assert published_commit(environment) == "1" * 40


@pytest.mark.slow
def test_the_rollback_drill(operator: Operator, environment: Environment) -> None:
    for revision in ("1", "2", "3"):
        environment.must_build(revision * 40)
    planned = operator.ask("rollback", environment.name, "--dry-run")
    assert (planned["how"], planned["commit_sha"]) == ("build", "2" * 40)
    assert published_commit(environment) == "3" * 40

    rolled = operator.ask("rollback", environment.name, "--yes", "--reason", "three is bad")
    assert rolled["outcome"] == "published"
    assert published_commit(environment) == "2" * 40
    environment.wait_until_idle()
    environment.has_one_image()
    assert operator.status(environment.name)["pin"]["reason"] == "three is bad"

    pushed = environment.build("4" * 40)
    assert pushed.output["action"] == "none"
    assert published_commit(environment) == "2" * 40
    assert "the environment is pinned" in operator.status(environment.name)["drift"][0]

    again = operator.ask("rollback", environment.name, "--dry-run")
    assert again["commit_sha"] == "1" * 40

    operator.ask("unpin", environment.name, "--yes", "--watch")
    assert published_commit(environment) == "4" * 40
    environment.wait_until_idle()
    assert operator.status(environment.name)["pin"] is None
    environment.has_one_image()


@pytest.mark.slow
def test_a_rollback_to_an_image_that_still_exists_is_made_at_once(
    operator: Operator, service: Service
) -> None:
    environment = service.environment("keeping-one")
    for revision in ("5", "6"):
        environment.must_build(revision * 40)
    planned = operator.ask("rollback", environment.name, "--dry-run")
    assert planned["how"] == "at once"
    known = environment.executions()
    operator.ask("rollback", environment.name, "--yes")
    assert published_commit(environment) == "5" * 40
    (arn,) = [arn for arn in environment.executions() if arn not in known]
    assert not service.is_build(arn)
    environment.wait_until_idle()
    assert environment.build("7" * 40).output["action"] == "none"
    operator.ask("unpin", environment.name, "--yes", "--watch")
    assert published_commit(environment) == "7" * 40


@pytest.mark.slow
def test_after_a_rollback_and_a_fix_the_way_back_is_the_good_image(
    operator: Operator, service: Service
) -> None:
    environment = service.environment("keeping-three")
    for revision in ("1", "2"):
        environment.must_build(revision * 40)
    operator.ask("rollback", environment.name, "--yes", "--reason", "two is bad")
    environment.wait_until_idle()
    environment.build("3" * 40)
    operator.ask("unpin", environment.name, "--yes", "--watch")
    environment.wait_until_idle()
    assert published_commit(environment) == "3" * 40

    planned = operator.ask("rollback", environment.name, "--dry-run")
    assert (planned["how"], planned["commit_sha"]) == ("at once", "1" * 40)
    seen = operator.status(environment.name)
    assert [each["image_id"] for each in seen["other_images"]] == [planned["to"]]
    assert "look the live image up by `latest`" in seen["image_name_explanation"]
    assert seen["drift"] == []
    history = operator.ask("history", environment.name)["images"]
    assert [(each["commit_sha"][:1], each["rolled_back"]) for each in history] == [
        ("3", False),
        ("1", False),
        ("2", True),
    ]
    assert operator.run("rollback", environment.name, "--steps", "2", "--dry-run").exit_code == 1


def test_a_build_that_the_sweep_would_take_back_is_warned_of_and_can_be_pinned(
    operator: Operator, environment: Environment
) -> None:
    environment.must_build("1" * 40)
    environment.push_quietly("2" * 40)
    by_hand = ("build", environment.name, "--tag", f"{environment.name}-by-hand")
    assert "to keep this build live, ask with --pin" in operator.ask(*by_hand, "--dry-run")["warning"]
    assert operator.ask(*by_hand, "--pin", "--dry-run")["warning"] is None
    assert operator.ask("build", environment.name, "--force", "--dry-run")["warning"] is None

    operator.ask(*by_hand, "--pin", "--reason", "emergency", "--watch")
    environment.wait_until_idle()
    assert published_commit(environment) == "2" * 40
    pin = operator.status(environment.name)["pin"]
    assert (pin["image_id"], pin["reason"]) == (environment.latest(), "emergency")
    assert environment.build("3" * 40).output["action"] == "none"


def test_what_is_live_already_is_only_pinned(operator: Operator, environment: Environment) -> None:
    environment.must_build("1" * 40)
    live = environment.latest()
    planned = operator.run("build", environment.name, "--pin", "--dry-run")
    assert "Would pin" in planned.output
    operator.ask("build", environment.name, "--pin", "--reason", "release week", "--watch")
    assert operator.status(environment.name)["pin"]["image_id"] == live
    assert environment.latest() == live


@pytest.mark.slow
def test_a_rollback_during_a_bad_build_wins(operator: Operator, environment: Environment) -> None:
    for revision in ("1", "2"):
        environment.must_build(revision * 40)
    environment.push("3" * 40)
    environment.wait_for_state("Await Provisioning")
    operator.ask("rollback", environment.name, "--yes", "--detach")
    environment.push("4" * 40)
    environment.wait_until_idle()
    # The bad build published first; one step back from what was live is the first image.
    assert published_commit(environment) == "1" * 40


def test_nobody_to_ask_means_no(operator: Operator, environment: Environment) -> None:
    for revision in ("1", "2"):
        environment.must_build(revision * 40)
    (old,) = register_old_images(environment, 1)
    known = environment.executions()
    for command in ("rollback", "migrate"):
        answer = operator.run(command, environment.name)
        assert answer.exit_code == 1
        assert "confirm with --yes, or use --dry-run" in answer.notes
    assert environment.executions() == known
    assert [image.get("Tags") for image in environment_images(environment) if image["ImageId"] == old] == [
        None
    ]


def test_an_environment_without_a_pin_needs_no_unpinning(
    operator: Operator, environment: Environment
) -> None:
    assert operator.ask("unpin", environment.name)["was_pinned"] is False


@pytest.mark.slow
def test_the_migration_drill(operator: Operator, service: Service, environment: Environment) -> None:
    old = register_old_images(environment, 5)
    stranger = register(environment, f"{environment.image_name}uction-2023")
    proposed = operator.ask("migrate", environment.name, "--dry-run")
    assert [each["next"] for each in proposed["images"]] == ["base", "retire", "retire", "retire", "retire"]
    assert {each["image_id"] for each in proposed["images"]} == set(old)
    assert environment.latest() is None

    migrated = operator.ask("migrate", environment.name, "--yes")
    assert set(old) < set(migrated["tagged"])
    built = environment.must_build("1" * 40)
    assert built.output["action"] == "build"
    assert environment.metadata()["base_ami_id"] == proposed["images"][0]["image_id"]
    left = {image["ImageId"] for image in environment_images(environment)}
    assert left == {environment.latest(), stranger}
    service.client("ec2").deregister_image(ImageId=stranger)
    assert operator.ask("migrate", environment.name, "--dry-run")["images"] == []
    environment.has_one_image()


def test_an_old_image_that_is_used_or_kept_is_left_alone(
    operator: Operator, service: Service, environment: Environment
) -> None:
    old = register_old_images(environment, 3)
    service.client("ec2").create_launch_template(
        LaunchTemplateName=f"old-{environment.name}", LaunchTemplateData={"ImageId": old[1]}
    )
    operator.ask("migrate", environment.name, "--yes", "--keep", old[0])
    environment.must_build("1" * 40)
    assert {image["ImageId"] for image in environment_images(environment)} == {*old[:2], environment.latest()}


def test_retiring_is_done_by_the_service(
    operator: Operator, service: Service, environment: Environment
) -> None:
    environment.must_build("1" * 40)
    template = environment.pin_by_launch_template()
    environment.must_build("2" * 40)
    service.client("ec2").delete_launch_template(LaunchTemplateId=template)
    retired = operator.ask("retire", environment.name, "--yes")
    assert retired["outcome"] == "retired"
    environment.wait_until_idle()
    environment.has_one_image()


def register_old_images(environment: Environment, count: int) -> list[str]:
    """Images as the old approach left them: names with timestamps, no tags; the oldest first."""
    names = [f"{environment.image_name}-2023010{number + 1}-101500" for number in range(count)]
    return [register(environment, name) for name in names]


def register(environment: Environment, name: str) -> str:
    ec2 = environment.service.client("ec2")
    instance = ec2.run_instances(
        ImageId=ubuntu(environment),
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=[ROOT],
    )["Instances"][0]["InstanceId"]
    until(f"{instance} runs", lambda: is_running(ec2, instance))
    image_id: str = ec2.create_image(InstanceId=instance, Name=name, NoReboot=True)["ImageId"]
    until(
        f"{image_id} is available",
        lambda: ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"] == "available",
    )
    ec2.terminate_instances(InstanceIds=[instance])
    return image_id


ROOT: dict[str, Any] = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 40, "VolumeType": "gp3"}}


def is_running(ec2: Any, instance_id: str) -> bool:
    found = ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance_id]}])["Reservations"]
    return any(each["State"]["Name"] == "running" for row in found for each in row["Instances"])


def ubuntu(environment: Environment) -> str:
    name = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
    value: str = environment.service.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    return value


def environment_images(environment: Environment) -> list[dict[str, Any]]:
    """Everything whose name begins with that of the environment's image."""
    found: list[dict[str, Any]] = environment.service.client("ec2").describe_images(
        Owners=["self"], Filters=[{"Name": "name", "Values": [f"{environment.image_name}*"]}]
    )["Images"]
    return found
