"""Hooks of the documents, run by bash and Python in a scratch directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.documents.scratch_machine import Machine

from ami_lifecycle.domain.hook_documents import program_of
from ami_lifecycle.domain.hooks import HookSettings, encoded_hooks


def hooks(*stages: str, **listed: tuple[str, Any]) -> str:
    """The parameter: by stage, the lines of a script and more settings."""
    scripts, settings = {}, {}
    for stage, (lines, more) in listed.items():
        name = f"config/hooks/{stage}.sh"
        scripts[name] = f"#!/bin/bash\n{lines}\n"
        settings[stage] = [{"script": name, **more}]
    return encoded_hooks(HookSettings.model_validate(settings), scripts, *(stages or tuple(listed)))


def test_hooks_run_before_and_after_the_docker_image(builder: Machine, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    look = f"echo $AMI_LIFECYCLE_STAGE >>{seen}; echo said by the hook"
    given = hooks(provision=(look, {}), provision_after=(look, {}))
    result = builder.provision(Hooks=given)
    assert result.code == 0, result.stderr
    assert seen.read_text().split() == ["provision", "provision_after"]
    assert result.stdout.count("said by the hook") == 2
    assert result.facts["kind"] == "provision"


def test_a_hook_gets_its_parameters_as_they_are_and_what_is_built(canary: Machine, tmp_path: Path) -> None:
    told = tmp_path / "told"
    text = 'it\'s $(touch /pwned) `x` \\ "q"'
    given = hooks(verify=(f"env --null >{told}; umask >>{told}", {"parameters": {"GREETING": text}}))
    assert canary.verify(Hooks=given).code == 0
    lines = told.read_text().split("\0")
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    assert variables["GREETING"] == text
    assert variables["AMI_LIFECYCLE_ENVIRONMENT"] == "prod"
    assert "@sha256:" in variables["AMI_LIFECYCLE_IMAGE"]
    assert not [name for name in variables if name.startswith("SSM_") or name == "DOCKER_CONFIG"]
    assert lines[-1].strip() == "0022"


def test_packages_of_a_hook_restart_no_services_on_the_builder(builder: Machine, tmp_path: Path) -> None:
    # needrestart(1): Ubuntu's apt calls it, and it would restart the agent that runs the hook.
    told = tmp_path / "told"
    look = f'echo "${{NEEDRESTART_SUSPEND-}} $DEBIAN_FRONTEND" >>{told}'
    assert builder.provision(Hooks=hooks(provision=(look, {}), provision_after=(look, {}))).code == 0
    assert told.read_text().splitlines() == ["1 noninteractive"] * 2


@pytest.mark.parametrize(
    ("lines", "more", "words"),
    [
        ("echo the disk is slow; exit 3", {}, "ended with exit code 3"),
        ("echo the disk is slow; kill -9 $$", {}, "was ended by signal 9"),
        (
            "echo the disk is slow; /bin/sleep 60 & /bin/sleep 60",
            {"timeout_seconds": 1},
            "took more than its timeout_seconds: 1",
        ),
    ],
)
def test_a_hook_that_refuses_ends_the_verification_with_its_last_lines(
    canary: Machine, lines: str, more: dict[str, Any], words: str
) -> None:
    result = canary.verify(Hooks=hooks(verify=(lines, more)))
    assert result.code == 26
    assert words in result.sentence
    assert "config/hooks/verify.sh" in result.sentence
    assert "the disk is slow" in result.stderr


def test_a_failing_hook_ends_the_provisioning_before_anything_is_pulled(builder: Machine) -> None:
    result = builder.provision(Hooks=hooks(provision=("exit 1", {})))
    assert result.code == 26
    assert builder.called("docker pull") == []


def test_a_hook_after_the_docker_image_ends_the_provisioning_after_the_pull(builder: Machine) -> None:
    result = builder.provision(Hooks=hooks(provision_after=("exit 1", {})))
    assert result.code == 26
    assert builder.called("docker pull") != []


def test_an_interpreter_that_is_not_there_is_named(canary: Machine) -> None:
    settings = HookSettings.model_validate({"verify": [{"script": "config/hooks/x"}]})
    given = encoded_hooks(settings, {"config/hooks/x": "#!/opt/nothing -e\n"}, "verify")
    result = canary.verify(Hooks=given)
    assert result.code == 26
    assert "/opt/nothing" in result.sentence


def test_much_output_leaves_room_for_the_facts(canary: Machine) -> None:
    given = hooks(verify=("yes 'a long line, again and again' | head -n 100000; printf '\\xff\\x00'", {}))
    result = canary.verify(Hooks=given)
    assert result.code == 0
    assert len(result.stdout) < 8_000
    assert json.loads(result.stdout.splitlines()[-1])["kind"] == "verify"


def test_a_second_run_runs_the_hooks_again(builder: Machine, tmp_path: Path) -> None:
    count = tmp_path / "count"
    given = hooks(provision=(f"echo again >>{count}", {}))
    assert [builder.provision(Hooks=given).code for _ in range(2)] == [0, 0]
    assert count.read_text().split() == ["again", "again"]


def test_the_example_of_a_check_passes_and_names_what_is_missing(canary: Machine) -> None:
    text = (Path(__file__).parents[3] / "examples/hooks/check_service.py").read_text()
    name = "config/hooks/check_service.py"
    for files, code in (("/etc/passwd", 0), ("/etc/passwd /no/such-file", 26)):
        settings = HookSettings.model_validate({"verify": [{"script": name, "parameters": {"FILES": files}}]})
        result = canary.verify(Hooks=encoded_hooks(settings, {name: text}, "verify"))
        assert result.code == code
        assert ("/no/such-file does not exist" in result.stderr) == bool(code)


# Documents of Systems Manager, as their steps.


def of_document(steps: list[dict[str, Any]], **parameters: Any) -> str:
    """The parameter: one document to verify, with these steps."""
    content = {
        "schemaVersion": "2.2",
        "parameters": {
            name: {"type": "String", "default": "", "interpolationType": "ENV_VAR"} for name in parameters
        },
        "mainSteps": [
            {"action": "aws:runShellScript", "name": f"step{number}", "inputs": step}
            for number, step in enumerate(steps, 1)
        ],
    }
    settings = HookSettings.model_validate(
        {"verify": [{"document": "Check", "timeout_seconds": 2, "parameters": parameters}]}
    )
    program = program_of("Check:3", json.dumps(content), parameters)
    return encoded_hooks(settings, {}, "verify", programs={"verify.0": program})


def test_the_steps_of_a_document_run_in_its_order_directory_and_shell(
    canary: Machine, tmp_path: Path
) -> None:
    told, text = tmp_path / "told", "it's $(touch /pwned)"
    where = {"workingDirectory": str(tmp_path)}
    given = of_document(
        [
            {"runCommand": [f'echo "$(pwd) {{{{ Word }}}} $AMI_LIFECYCLE_STAGE" >>{told}'], **where},
            {"runCommand": ["#!/bin/bash", f'echo "$(pwd) ${{BASH_VERSION:+bash}}" >>{told}']},
        ],
        Word=text,
    )
    result = canary.verify(Hooks=given)
    assert result.code == 0, result.stderr
    assert told.read_text().splitlines() == [f"{tmp_path} {text} verify", "/ bash"]
    assert "hook 1 of verify, Check:3, step step2, ended with exit code 0" in result.stdout


def test_what_the_agent_says_of_the_instance_is_there(canary: Machine, tmp_path: Path) -> None:
    told = tmp_path / "told"
    given = of_document([{"runCommand": [f"echo $AWS_SSM_INSTANCE_ID >{told}"]}])
    assert canary.verify(Hooks=given).code == 0
    assert told.read_text() == "i-0123456789abcdef0\n"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"runCommand": ["echo no", "exit 3"]}, "ended with exit code 3;"),
        ({"runCommand": ["/bin/sleep 60"]}, "was stopped, because it took more than its timeout_seconds: 2;"),
        (
            {"runCommand": ["true"], "workingDirectory": "/no/such"},
            "(No such file or directory: /no/such): 127;",
        ),
    ],
)
def test_a_step_that_fails_ends_the_document_and_is_named(
    canary: Machine, tmp_path: Path, step: dict[str, Any], words: str
) -> None:
    after = tmp_path / "after"
    result = canary.verify(Hooks=of_document([step, {"runCommand": [f"touch {after}"]}]))
    assert result.code == 26
    assert "hook 1 of verify, Check:3, step step1, " in result.sentence
    assert words in result.sentence
    assert not after.exists()


def test_all_steps_have_the_time_of_the_hook_together(canary: Machine) -> None:
    slow = {"runCommand": ["/bin/sleep 1.2"]}
    result = canary.verify(Hooks=of_document([slow, slow]))
    assert result.code == 26
    assert "step step2, was stopped" in result.sentence
