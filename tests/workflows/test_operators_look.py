"""Operators see what there is, with status, history, show, diff, doctor and retire; and what there is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.workflows.configuration import write_configuration
from tests.workflows.conftest import Running
from tests.workflows.granted import Taken
from tests.workflows.operators import Operator
from tests.workflows.service import Environment, Service


@pytest.fixture(scope="module")
def operator(running: Running) -> Operator:
    return Operator(running.service)


@contextmanager
def deployed(running: Running, build_config: str) -> Iterator[None]:
    """Have another build_config.yml deployed for a while."""
    assert running.emulator.config_dir is not None
    file = running.emulator.config_dir / "build_config.yml"
    before = file.read_text()
    file.write_text(build_config)
    try:
        yield
    finally:
        file.write_text(before)


@pytest.fixture(scope="module")
def built(running: Running) -> Iterator[Environment]:
    """An environment with two builds."""
    environment = running.service.environment(next(running.unused_names))
    environment.must_build("1" * 40)
    environment.must_build("2" * 40)
    return environment


def test_status_tells_what_is_live_and_since_when(operator: Operator, built: Environment) -> None:
    told = operator.status(built.name)
    assert told["latest"] == built.latest()
    assert told["metadata"]["commit_sha"] == "2" * 40
    assert told["running"] is None
    assert told["drift"] == []
    shown = operator.run("status", built.name).output
    assert str(built.latest()) in shown
    assert "Everything is as it should be." in shown


def test_builds_are_listed_by_id_and_shown_by_it(operator: Operator, built: Environment) -> None:
    newest, _ = operator.ask("builds", built.name)["builds"]
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
    refused = operator.run("show", newest["name"], "--packages")
    assert (refused.exit_code, "is a build, and --packages is for images" in refused.notes) == (1, True)
    assert newest["name"] in operator.run("builds", built.name).output.splitlines()


def test_show_takes_an_environment_for_its_live_image(operator: Operator, built: Environment) -> None:
    shown = operator.ask("show", built.name)
    assert shown["image_id"] == built.latest()
    assert shown["console"].endswith(f"#ImageDetails:imageId={built.latest()}")
    assert operator.ask("show", "latest")["exists"] is True
    assert operator.ask("diff", built.name, built.name) == {
        "old": built.latest(),
        "new": built.latest(),
        "changes": [],
        "packages": None,
    }
    assert "ami-lifecycle builds ENV" in operator.run("show", "no-such-build").notes


def test_a_failed_build_is_listed_with_its_error_and_the_state_it_failed_in(
    operator: Operator, service: Service, environment: Environment
) -> None:
    service.inject({"kind": "command_fails", "document": "ProvisionImage", "stderr": "no space left"})
    digest = environment.push("1" * 40)
    environment.wait_for_executions(1)
    (failed,) = operator.ask("builds", environment.name)["builds"]
    assert (failed["error"], failed["image_digest"]) == ("ProvisioningFailedError", digest)
    assert failed["image_id"] is None
    environment.wait_until_idle()
    told = operator.status(environment.name)["drift"][-1]
    assert "no space left" in told
    assert f"ami-lifecycle logs {environment.name} --failed" in told
    assert "no space left" in operator.run("show", failed["name"]).output.replace("\n", " ")


def test_the_log_of_a_build_has_its_commands_and_its_functions(
    operator: Operator, built: Environment
) -> None:
    newest = operator.ask("builds", built.name)["builds"][0]
    lines = operator.ask("logs", built.name)["lines"]
    assert lines == operator.ask("logs", newest["name"])["lines"]
    sources = {line["source"] for line in lines}
    assert {"provision", "verify", "plan_build", "publish_image", "release_environment"} <= sources
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    pulled = [line for line in lines if line["message"].startswith("pulling ")]
    assert [line["source"] for line in pulled] == ["provision"], "of this build and of no other"
    assert "pulling 123456789012.dkr" in operator.run("logs", built.name).output


def test_the_log_of_the_newest_failed_build_tells_what_failed(
    operator: Operator, service: Service, environment: Environment
) -> None:
    assert operator.ask("logs", environment.name, "--failed")["lines"] == []
    service.inject({"kind": "command_fails", "document": "ProvisionImage", "stderr": "no space left\nat all"})
    environment.push("1" * 40)
    environment.wait_for_executions(1)
    lines = operator.ask("logs", environment.name, "--failed")["lines"]
    assert [line["message"] for line in lines if line["level"] == "stderr"] == ["no space left", "at all"]
    notes = operator.run("logs", environment.name, "--failed").notes
    assert "failed: ProvisioningFailedError" in notes
    assert "#/v2/executions/details/" in notes
    assert not any(line["message"] == "done" for line in lines)


@pytest.mark.slow
def test_the_log_of_a_builder_that_may_not_write_it_is_what_run_command_keeps(
    operator: Operator, running: Running, environment: Environment
) -> None:
    group = running.service.outputs["CommandLogGroupName"]
    with Taken(running, "logs:PutLogEvents", role="BuilderRole"):
        environment.must_build("1" * 40)
    log = operator.ask("logs", environment.name)
    assert any(line["message"].startswith("pulling ") for line in log["lines"])
    assert {"provision", "plan_build"} <= {line["source"] for line in log["lines"]}
    assert [f"{group} has nothing of it" in note for note in log["notes"]] == [True, True]
    followed = operator.run("logs", environment.name, "--follow")
    assert "pulling " in followed.output
    assert "what Run Command keeps" in followed.notes


@pytest.mark.slow
def test_a_log_is_followed_while_the_build_runs_until_it_has_ended(
    operator: Operator, environment: Environment
) -> None:
    environment.push("1" * 40)
    environment.wait_for_state("Await Provisioning")
    answer = operator.run("logs", environment.name, "--follow", "--json")
    lines = [json.loads(line) for line in answer.output.splitlines()]
    assert {"provision", "verify", "release_environment"} <= {line["source"] for line in lines}
    assert len({json.dumps(line) for line in lines if line["source"] in {"provision", "verify"}}) == sum(
        line["source"] in {"provision", "verify"} for line in lines
    )
    assert f"published, {environment.latest()}" in answer.notes


def test_outputs_of_the_stack_are_told_all_or_one_alone(operator: Operator, service: Service) -> None:
    assert operator.ask("outputs") == {"outputs": service.outputs}
    answer = operator.run("outputs", "DeadLetterQueueUrl")
    assert answer.output == f"{service.outputs['DeadLetterQueueUrl']}\n"
    assert "has no output Nothing" in operator.run("outputs", "Nothing").notes


def test_status_of_a_new_environment_says_what_to_do(operator: Operator, environment: Environment) -> None:
    told = operator.status(environment.name)
    assert told["latest"] is None
    assert told["drift"][0].startswith("nothing is published yet; push")


def test_status_shows_that_the_tag_has_moved_on(
    operator: Operator, service: Service, environment: Environment
) -> None:
    environment.must_build("1" * 40)
    service.set_rules("ImagePushedRule", enabled=False)
    try:
        digest = environment.push("2" * 40)
        (finding,) = operator.status(environment.name)["drift"]
    finally:
        service.set_rules("ImagePushedRule", enabled=True)
    assert f"has moved on to {digest[7:19]}" in finding
    assert "the sweep starts a build" in finding


def test_status_shows_a_retirement_that_is_pending_and_why(
    operator: Operator, environment: Environment
) -> None:
    environment.must_build("1" * 40)
    old = environment.latest()
    template = environment.pin_by_launch_template()
    environment.must_build("2" * 40)
    drift = operator.status(environment.name)["drift"]
    assert any(f"retirement of {old} is pending" in finding and template in finding for finding in drift)
    decisions = operator.ask("retire", environment.name, "--dry-run")["decisions"]
    assert {each["image_id"]: each["action"] for each in decisions} == {
        environment.latest(): "keep",
        old: "keep",
    }
    assert any(template in each["reason"] for each in decisions)


def test_history_has_one_row_for_each_build(operator: Operator, built: Environment) -> None:
    told = operator.ask("history", built.name)["images"]
    assert [(each["workflow_run_number"], each["status"]) for each in told] == [
        (2, "live"),
        (1, "retired"),
    ]
    assert len(operator.ask("history", built.name, "--all")["images"]) == len(built.history())
    assert str(built.latest()) in operator.run("history", built.name).output


def test_the_timeline_has_builds_with_their_phases(operator: Operator, built: Environment) -> None:
    runs = operator.ask("history", built.name, "--timeline")["builds"]
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
    retired = operator.ask("history", built.name)["images"][1]["ami_id"]
    assert operator.ask("show", retired)["exists"] is False
    assert "deregistered, its record remains" in operator.run("show", retired).output


def test_two_images_are_compared(operator: Operator, built: Environment) -> None:
    new, old = (each["ami_id"] for each in operator.ask("history", built.name)["images"])
    changes = {each["name"]: each for each in operator.ask("diff", old, new)["changes"]}
    assert changes["commit_sha"] == {"name": "commit_sha", "old": "1" * 40, "new": "2" * 40}
    assert (changes["build_mode"]["old"], changes["build_mode"]["new"]) == ("fresh", "update")
    assert (changes["workflow_run_number"]["old"], changes["workflow_run_number"]["new"]) == (1, 2)
    assert "os.name" not in changes
    assert "kernel" in {each["name"] for each in operator.ask("diff", old, new, "--all")["changes"]}


def test_the_doctor_finds_the_emulated_account_fit(operator: Operator, built: Environment) -> None:
    findings = json.loads(operator.run("doctor", "--json").output)["findings"]
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
    operator: Operator, running: Running, tmp_path: Path
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
    written = write_configuration(tmp_path / "config", environments) / "build_config.yml"
    with deployed(running, written.read_text()):
        findings = json.loads(operator.run("doctor", "--json").output)["findings"]
    found = [each for each in findings if "GPU" in each["message"]]
    assert {each["message"].partition(":")[0]: each["level"] for each in found} == {
        "wrong": "error",
        "mixed": "warning",
        "right": "ok",
    }
    remedies = {each["remedy"] for each in found if each["level"] != "ok"}
    assert len(remedies) == 1
    assert "container.gpu: false" in remedies.pop()


def test_the_report_is_written_where_the_reader_is_unless_a_file_is_named(
    operator: Operator, built: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = operator.ask("report", built.name)
    assert told == {"html": str(tmp_path / "comfyui-report.html"), "environments": [built.name]}
    assert str(built.latest()) in (tmp_path / "comfyui-report.html").read_text()
    said = operator.run("report", built.name, "--html", "other.html").output
    assert f"{tmp_path / 'other.html'}" in said
    assert built.name in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comfyui-report.html", "other.html"]


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


def test_where_the_deployed_configuration_cannot_be_read_status_shows_what_is_published_and_why_no_more(
    operator: Operator, service: Service, built: Environment
) -> None:
    service.inject(
        {
            "kind": "error",
            "service": "lambda",
            "operation": "GetLayerVersionByArn",
            "code": "AccessDeniedException",
            "times": None,
        }
    )
    answer = operator.run("status")
    assert (answer.exit_code, built.name in answer.output) == (0, True)
    assert "lambda:GetLayerVersion" in answer.notes
    assert operator.status(built.name)["latest"] == built.latest()
    refused = operator.run("build", built.name)
    assert (refused.exit_code, "lambda:GetLayerVersion" in refused.notes) == (1, True)


def test_commands_work_from_any_directory_and_go_by_what_is_deployed(
    operator: Operator, built: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A checkout that is behind: it has other environments.
    write_configuration(tmp_path / "config", ["elsewhere"])
    monkeypatch.chdir(tmp_path)
    assert operator.ask("build", built.name, "--dry-run")["environment"] == built.name
    assert operator.ask("retire", built.name, "--dry-run")["decisions"]
    assert "there is no environment 'elsewhere'" in operator.run("build", "elsewhere").notes
    assert built.name in operator.run("status").output


def test_the_doctor_names_the_keys_in_which_a_checkout_differs_from_what_is_deployed(
    operator: Operator, running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.emulator.config_dir is not None
    directory = tmp_path / "config"
    shutil.copytree(running.emulator.config_dir, directory)
    monkeypatch.chdir(tmp_path)

    def of_the_checkout(*options: str) -> list[tuple[str, str]]:
        findings = json.loads(operator.run("doctor", *options, "--json").output)["findings"]
        return [
            (each["level"], each["message"])
            for each in findings
            if "deployed" in each["message"] and each["area"] == "configuration"
        ]

    assert of_the_checkout() == [("ok", "config is what is deployed")]
    build = yaml.safe_load((directory / "build_config.yml").read_text())
    build["environments"]["keeping-one"]["retirement"]["keep_previous"] = 3
    build["environments"]["new"] = {}
    (directory / "build_config.yml").write_text(yaml.safe_dump(build))
    ((level, message),) = of_the_checkout()
    assert level == "warning"
    assert (
        "build_config.yml: environments.keeping-one.retirement.keep_previous (deployed 1, here 3)" in message
    )
    assert "environments.new (deployed nothing, here {})" in message
    # Another application's checkout is nobody's business, unless it is named.
    build["application"] = "another"
    (directory / "build_config.yml").write_text(yaml.safe_dump(build))
    assert of_the_checkout() == []
    assert (
        "application (deployed comfyui, here another)"
        in of_the_checkout("--config-dir", str(directory))[0][1]
    )
