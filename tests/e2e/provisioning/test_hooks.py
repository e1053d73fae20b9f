"""Hooks on machines: before and after the Docker image, on the canary, refusing, and run twice."""

import json
from typing import Any

from tests.e2e.provisioning.bed import Bed
from tests.e2e.provisioning.conftest import Built, Images

from ami_lifecycle.domain.hook_documents import program_of
from ami_lifecycle.domain.hooks import HookSettings, encoded_hooks

HERE = "config/hooks/a.sh"
STAGES = ("provision", "provision_after", "verify")


def hooks(text: str, *stages: str, **more: Any) -> str:
    """The parameter with one script for these stages."""
    settings = HookSettings.model_validate({stage: [{"script": HERE, **more}] for stage in stages})
    return encoded_hooks(settings, {HERE: f"#!/bin/bash\nset -euo pipefail\n{text}\n"}, *STAGES)


def test_hooks_before_and_after_the_image_leave_what_they_made_and_the_canary_runs_its_own(
    bed: Bed, fresh: Built, images: Images
) -> None:
    look = """
echo "$AMI_LIFECYCLE_STAGE $WORD $(docker image ls --quiet | wc -l)" >>/etc/hooks-ran
"""
    given = hooks(look, "provision", "provision_after", parameters={"WORD": "it's"})
    with bed.instance(fresh.disk) as builder:
        assert builder.provision(images.second.digest, Hooks=given).code == 0
        lines = builder.shell("cat /etc/hooks-ran; stat --format %a /etc/hooks-ran").splitlines()
        assert [line.rpartition(" ")[0] for line in lines[:2]] == ["provision it's", "provision_after it's"]
        assert lines[2] == "644"
        assert builder.shell("ls /run/ami-lifecycle | grep hook || true") == ""
        disk = bed.keep(builder.stop())
    check = f"""
grep --quiet provision_after /etc/hooks-ran
docker inspect --format "{"{" * 2}.State.Running{"}" * 2}" "$AMI_LIFECYCLE_APPLICATION" | grep --quiet true
"""
    with bed.instance(disk) as canary:
        assert canary.verify(images.second.digest, Hooks=hooks(check, "verify")).code == 0
        refused = canary.verify(images.second.digest, Hooks=hooks("echo too slow; exit 7", "verify"))
        assert "ended with exit code 7" in refused.failed(26)
        assert "too slow" in refused.stderr


def test_a_failing_hook_ends_the_build_and_the_next_run_with_a_good_one_succeeds(
    bed: Bed, fresh: Built, images: Images
) -> None:
    with bed.instance(fresh.disk) as builder:
        failed = builder.provision(images.second.digest, Hooks=hooks("echo no; false", "provision"))
        assert "hook 1 of provision" in failed.failed(26)
        assert builder.provision(images.second.digest, Hooks=hooks("true", "provision")).code == 0


def test_a_build_that_was_killed_in_a_hook_runs_it_again(bed: Bed, fresh: Built, images: Images) -> None:
    # The hook is of the document's process group, as all that has to end with it.
    text = "echo began >>/etc/began; test -e /etc/again || { touch /etc/again; kill -9 0; }; echo done >>/etc/done"
    given = hooks(text, "provision_after")
    with bed.instance(fresh.disk) as builder:
        assert builder.provision(images.second.digest, Hooks=given).code != 0
        assert builder.provision(images.second.digest, Hooks=given).code == 0
        assert builder.shell("cat /etc/began /etc/done").split() == ["began", "began", "done"]


def test_a_hook_that_takes_too_long_is_stopped_with_what_it_started(
    bed: Bed, fresh: Built, images: Images
) -> None:
    with bed.instance(fresh.disk) as builder:
        given = hooks("sleep 301 & sleep 301", "provision", timeout_seconds=2)
        assert "timeout_seconds: 2" in builder.provision(images.second.digest, Hooks=given).failed(26)
        assert builder.shell("pgrep --full '[s]leep 301' || true") == ""


def test_the_steps_of_a_document_run_one_after_the_other_and_again_after_a_kill(
    bed: Bed, fresh: Built, images: Images
) -> None:
    word = {"type": "String", "interpolationType": "ENV_VAR"}
    steps = [
        ["mkdir --parents /opt/agent", 'echo "{{ Word }}" >/opt/agent/word'],
        [
            "#!/bin/bash",
            "set -euo pipefail",
            'echo "$(pwd) ${BASH_VERSION:+bash}" >>ran',
            "test -e again || { touch again; kill -9 0; }",
        ],
    ]
    content = {
        "schemaVersion": "2.2",
        "parameters": {"Word": word},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": f"step{number}",
                "inputs": {"runCommand": lines, "workingDirectory": where},
            }
            for number, (lines, where) in enumerate(zip(steps, ("/", "/opt/agent"), strict=True), 1)
        ],
    }
    given = {"Word": "it's $(touch /pwned)"}
    settings = HookSettings.model_validate({"provision_after": [{"document": "Agent", "parameters": given}]})
    programs = {"provision_after.0": program_of("Agent:3", json.dumps(content), given)}
    parameter = encoded_hooks(settings, {}, *STAGES, programs=programs)
    with bed.instance(fresh.disk) as builder:
        assert builder.provision(images.second.digest, Hooks=parameter).code != 0
        done = builder.provision(images.second.digest, Hooks=parameter)
        assert done.code == 0
        assert "hook 1 of provision_after, Agent:3, step step2, ended with exit code 0" in done.stdout
        assert builder.shell("cat /opt/agent/ran").splitlines() == ["/opt/agent bash"] * 2
        assert builder.shell("cat /opt/agent/word").strip() == given["Word"]
        assert builder.shell("ls /pwned /run/ami-lifecycle/hook* 2>/dev/null || true") == ""
