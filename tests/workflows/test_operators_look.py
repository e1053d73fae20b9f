"""Operators see what there is, with status, history, show, diff, doctor and retire; and what there is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workflows.configuration import write_configuration
from tests.workflows.conftest import DEFAULT_ENVIRONMENTS, Running
from tests.workflows.operators import Operator
from tests.workflows.service import Environment, Service


@pytest.fixture(scope="module")
def operator(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    directory = write_configuration(tmp_path_factory.mktemp("operator") / "config", DEFAULT_ENVIRONMENTS)
    return Operator(running.service, directory)


@pytest.fixture(scope="module")
def built(running: Running) -> Iterator[Environment]:
    """An environment with two builds."""
    environment = running.service.environment(next(running.unused_names))
    environment.must_build("1" * 40)
    environment.must_build("2" * 40)
    return environment


def test_status_tells_what_is_live_and_since_when(operator: Operator, built: Environment) -> None:
    told = operator.ask("status", built.name)
    assert told["latest"] == built.latest()
    assert told["metadata"]["commit_sha"] == "2" * 40
    assert told["running"] is None
    assert told["drift"] == []
    shown = operator.run("status", built.name).output
    assert str(built.latest()) in shown
    assert "Everything is as it should be." in shown


def test_builds_are_listed_by_id_and_shown_by_it(operator: Operator, built: Environment) -> None:
    newest, _ = operator.ask("builds", built.name)
    assert (newest["outcome"], newest["image_id"], newest["commit_sha"]) == (
        "published",
        built.latest(),
        "2" * 40,
    )
    assert newest["image_digest"] == built.metadata()["image_digest"]
    assert newest["phases"]["create image"] > 0
    assert newest["console"].endswith(f"#/v2/executions/details/{newest['execution_arn']}")
    shown = operator.ask("show", newest["name"])
    assert shown["execution_arn"] == newest["execution_arn"]
    printed = operator.run("show", newest["name"]).output
    assert "create image" in printed
    assert newest["name"] in operator.run("builds", built.name).output.splitlines()


def test_show_takes_an_environment_for_its_live_image(operator: Operator, built: Environment) -> None:
    assert operator.ask("show", built.name)["image_id"] == built.latest()
    assert "ami-lifecycle builds ENV" in operator.run("show", "no-such-build").notes


def test_a_failed_build_is_listed_with_its_error_and_the_state_it_failed_in(
    operator: Operator, service: Service, environment: Environment
) -> None:
    service.inject({"kind": "command_fails", "document": "ProvisionImage", "stderr": "no space left"})
    digest = environment.push("1" * 40)
    environment.wait_for_executions(1)
    (failed,) = operator.ask("builds", environment.name)
    assert (failed["error"], failed["image_digest"]) == ("ProvisioningFailedError", digest)
    assert failed["image_id"] is None
    assert "no space left" in operator.run("show", failed["name"]).output.replace("\n", " ")


def test_outputs_of_the_stack_are_told_all_or_one_alone(operator: Operator, service: Service) -> None:
    assert operator.ask("outputs") == service.outputs
    answer = operator.run("outputs", "DeadLetterQueueUrl")
    assert answer.output == f"{service.outputs['DeadLetterQueueUrl']}\n"
    assert "has no output Nothing" in operator.run("outputs", "Nothing").notes


def test_status_of_a_new_environment_says_what_to_do(operator: Operator, environment: Environment) -> None:
    told = operator.ask("status", environment.name)
    assert told["latest"] is None
    assert told["drift"][0].startswith("nothing is published yet; push")


def test_status_shows_that_the_tag_has_moved_on(
    operator: Operator, service: Service, environment: Environment
) -> None:
    environment.must_build("1" * 40)
    service.set_rules("ImagePushedRule", enabled=False)
    try:
        digest = environment.push("2" * 40)
        (finding,) = operator.ask("status", environment.name)["drift"]
    finally:
        service.set_rules("ImagePushedRule", enabled=True)
    assert f"has moved on to {digest[7:19]}" in finding
    assert "the sweep starts a build" in finding


def test_status_shows_a_retirement_that_is_pending_and_why(
    operator: Operator, service: Service, environment: Environment
) -> None:
    environment.must_build("1" * 40)
    old = environment.latest()
    template = service.client("ec2").create_launch_template(
        LaunchTemplateName=f"uses-{environment.name}", LaunchTemplateData={"ImageId": old}
    )["LaunchTemplate"]["LaunchTemplateId"]
    environment.must_build("2" * 40)
    drift = operator.ask("status", environment.name)["drift"]
    assert any(f"retirement of {old} is pending" in finding and template in finding for finding in drift)
    decisions = operator.ask("retire", environment.name, "--dry-run")["decisions"]
    assert {each["image_id"]: each["action"] for each in decisions} == {
        environment.latest(): "keep",
        old: "keep",
    }
    assert any(template in each["reason"] for each in decisions)


def test_history_has_one_row_for_each_build(operator: Operator, built: Environment) -> None:
    told = operator.ask("history", built.name)
    assert [(each["workflow_run_number"], each["status"]) for each in told] == [
        ("2", "live"),
        ("1", "retired"),
    ]
    assert len(operator.ask("history", built.name, "--all")) == len(built.history())
    assert str(built.latest()) in operator.run("history", built.name).output


def test_the_timeline_has_builds_with_their_phases(operator: Operator, built: Environment) -> None:
    runs = operator.ask("history", built.name, "--timeline")
    assert [each["outcome"] for each in runs] == ["published", "published"]
    assert runs[0]["trigger"] == "push"
    assert {"provision", "create image", "verify"} <= runs[0]["phases"].keys()
    assert "provision" in operator.run("history", built.name, "--timeline").output


def test_an_image_is_shown_with_what_uses_it(operator: Operator, built: Environment) -> None:
    told = operator.ask("show", str(built.latest()))
    assert told["environment"] == built.name
    assert [use["kind"] for use in told["uses"]] == ["latest parameter"]
    assert "Ubuntu" in operator.run("show", str(built.latest())).output


def test_a_retired_image_is_shown_from_its_record(operator: Operator, built: Environment) -> None:
    retired = operator.ask("history", built.name)[1]["ami_id"]
    assert operator.ask("show", retired)["exists"] is False
    assert "deregistered, its record remains" in operator.run("show", retired).output


def test_two_images_are_compared(operator: Operator, built: Environment) -> None:
    new, old = (each["ami_id"] for each in operator.ask("history", built.name))
    changes = operator.ask("diff", old, new)["changes"]
    assert changes["commit_sha"] == ["1" * 40, "2" * 40]
    assert changes["build_mode"] == ["fresh", "update"]
    assert "os.name" not in changes
    assert "kernel" in operator.ask("diff", old, new, "--all")["changes"]


def test_the_doctor_finds_the_emulated_account_fit(operator: Operator, built: Environment) -> None:
    findings = json.loads(operator.run("doctor", "--json").output)
    # These tests run the sweep themselves.
    wrong = [each["message"] for each in findings if each["level"] == "error"]
    assert wrong == ["the schedule of the sweep is disabled, so nothing repairs itself"]
    fine = {each["area"] for each in findings if each["level"] == "ok"}
    assert {"stack", "network", "instance types", "encryption", "dead letters", "quotas"} <= fine


def test_the_doctor_finds_a_disabled_rule_and_names_the_remedy(operator: Operator, service: Service) -> None:
    service.set_rules("CommandEndedRule", enabled=False)
    try:
        answer = operator.run("doctor")
    finally:
        service.set_rules("CommandEndedRule", enabled=True)
    assert answer.exit_code == 1
    assert "the rule CommandEndedRule is disabled" in answer.output
    assert "aws events enable-rule" in answer.output


def test_the_doctor_finds_instance_types_without_the_gpu_that_the_container_gets(
    operator: Operator, tmp_path: Path
) -> None:
    gpu = {"gpu": True}
    environments = {
        "plain": {"builder": {"instance_types": ["m7i.large"]}},
        "wrong": {"builder": {"instance_types": ["m7i.large", "g4dn.xlarge"]}, "container": gpu},
        "mixed": {"builder": {"instance_types": ["g4dn.xlarge", "m7i.large"]}, "container": gpu},
        "right": {"builder": {"instance_types": ["g4dn.xlarge", "g5.xlarge"]}, "container": gpu},
        "unseen": {
            "builder": {"instance_types": ["m7i.large"]},
            "container": gpu,
            "verification": {"enabled": False},
        },
    }
    elsewhere = Operator(operator.service, write_configuration(tmp_path / "config", environments))
    found = [
        each for each in json.loads(elsewhere.run("doctor", "--json").output) if "GPU" in each["message"]
    ]
    assert {each["message"].partition(":")[0]: each["level"] for each in found} == {
        "wrong": "error",
        "mixed": "warning",
        "right": "ok",
    }
    remedies = {each["remedy"] for each in found if each["level"] != "ok"}
    assert len(remedies) == 1
    assert "container.gpu: false" in remedies.pop()


COMMANDS = [
    ("status", "nowhere"),
    ("build", "nowhere"),
    ("history", "nowhere"),
    ("rollback", "nowhere"),
    ("unpin", "nowhere"),
    ("retire", "nowhere"),
    ("migrate", "nowhere"),
    ("report", "nowhere", "--html", "report.html"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_an_environment_that_does_not_exist_is_named_with_those_that_do(
    operator: Operator, words: tuple[str, ...]
) -> None:
    answer = operator.run(*words)
    assert answer.exit_code == 1
    assert answer.output == ""
    assert "there is no environment 'nowhere'; there are " in answer.notes
    assert "keeping-one" in answer.notes
    assert not Path("report.html").exists()


def test_another_stack_is_not_found(operator: Operator) -> None:
    answer = operator.run("status", "--stack", "another")
    assert answer.exit_code == 1
    assert "there is no stack 'another' in us-east-1" in answer.notes


def test_without_a_configuration_status_shows_what_is_published(
    operator: Operator, built: Environment, tmp_path: Path
) -> None:
    elsewhere = Operator(operator.service, tmp_path / "nothing")
    assert built.name in elsewhere.run("status").output
    assert elsewhere.ask("status", built.name)["latest"] == built.latest()
