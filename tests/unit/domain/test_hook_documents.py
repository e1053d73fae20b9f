"""Documents of Systems Manager as hooks: what they do, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ami_lifecycle.domain.hook_documents import HookStep, program_of
from ami_lifecycle.domain.hooks import HookSettings
from ami_lifecycle.domain.recipe import named_hooks, recipe_of

SHELL = "aws:runShellScript"


def step(*lines: Any, name: str = "run", inputs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"action": SHELL, "name": name, "inputs": {"runCommand": list(lines), **(inputs or {})}, **more}


def document(*steps: dict[str, Any], **more: Any) -> str:
    return json.dumps({"schemaVersion": "2.2", "mainSteps": list(steps), **more})


def scripts(content: str, **given: str) -> list[str]:
    return [each.script for each in program_of("Agent:3", content, given).steps]


def declared(**parameters: Any) -> dict[str, Any]:
    return {"parameters": {name: {"type": "String", **each} for name, each in parameters.items()}}


def test_each_step_is_a_script_that_runs_by_its_first_line_or_by_sh() -> None:
    content = document(
        step("set -e", "true", name="one", inputs={"timeoutSeconds": "60", "workingDirectory": "/opt"}),
        step("#!/usr/bin/python3", "print()", name="two"),
        description="of ours",
    )
    program = program_of("Agent:3", content, {})
    assert program.name == "Agent:3"
    assert program.variables == {}
    assert program.steps == (
        HookStep(name="one", script="#!/bin/sh\nset -e\ntrue\n", directory="/opt", timeout_seconds=60),
        HookStep(name="two", script="#!/usr/bin/python3\nprint()\n", directory="/", timeout_seconds=3600),
    )


def test_parameters_are_filled_in_as_they_are_given_or_by_default() -> None:
    content = document(
        step("install {{ Version }} {{Channel}}", inputs={"workingDirectory": "/{{ Channel }}"}),
        **declared(Version={}, Channel={"default": "stable"}),
    )
    (only,) = program_of("Agent:3", content, {"Version": "1.2"}).steps
    assert only.script == "#!/bin/sh\ninstall 1.2 stable\n"
    assert only.directory == "/stable"


def test_a_parameter_that_goes_by_the_environment_is_in_no_text() -> None:
    content = document(
        step('echo "{{ Word }}"', inputs={"timeoutSeconds": "{{ Limit }}"}),
        **declared(
            Word={"interpolationType": "ENV_VAR"},
            Limit={"default": "90", "interpolationType": "ENV_VAR"},
        ),
    )
    program = program_of("Agent:3", content, {"Word": "$(reboot)"})
    assert program.variables == {"SSM_Word": "$(reboot)", "SSM_Limit": "90"}
    assert program.steps[0].script == '#!/bin/sh\necho "${SSM_Word}"\n'
    assert program.steps[0].timeout_seconds == 90


@pytest.mark.parametrize(
    ("text", "seconds"), [("4", 3600), ("5", 5), ("soon", 3600), ("0009", 9), ("1e3", 3600)]
)
def test_a_limit_that_is_none_is_an_hour(text: str, seconds: int) -> None:
    (only,) = program_of("A:1", document(step("true", inputs={"timeoutSeconds": text})), {}).steps
    assert only.timeout_seconds == seconds


def test_a_list_of_lines_stands_for_itself() -> None:
    of_lines = {"parameters": {"commands": {"type": "StringList", "default": ["a", "b"]}}}
    whole = {"action": SHELL, "name": "run", "inputs": {"runCommand": "{{ commands }}"}}
    assert scripts(document(whole, **of_lines)) == ["#!/bin/sh\na\nb\n"]
    assert scripts(document(step("first", " {{commands}} "), **of_lines)) == ["#!/bin/sh\nfirst\na\nb\n"]
    assert scripts(document(whole, **of_lines), commands="c") == ["#!/bin/sh\nc\n"]


def test_a_list_that_goes_by_the_environment_has_commas_between() -> None:
    of_lines = {
        "parameters": {"words": {"type": "StringList", "default": ["a", "b"], "interpolationType": "ENV_VAR"}}
    }
    assert program_of("A:1", document(step("true"), **of_lines), {}).variables == {"SSM_words": "a,b"}


def test_braces_that_systems_manager_leaves_stay() -> None:
    assert scripts(document(step("docker ps --format '{{.Names}}'"))) == [
        "#!/bin/sh\ndocker ps --format '{{.Names}}'\n"
    ]


def test_what_is_for_another_platform_is_passed_over() -> None:
    windows = {
        "action": "aws:runPowerShellScript",
        "name": "windows",
        "precondition": {"StringEquals": ["platformType", "Windows"]},
    }
    linux = step("true", precondition={"StringEquals": ["platformType", "Linux"]})
    assert len(scripts(document(windows, linux))) == 1
    with pytest.raises(ValueError, match=r"^A:1 has no step for Linux; give it one of aws:runShellScript$"):
        program_of("A:1", document(windows), {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        (
            json.dumps({"schemaVersion": "1.2", "runtimeConfig": {}}),
            "is of schemaVersion '1.2'; store it as 2.2",
        ),
        (json.dumps({"schemaVersion": "2.2"}), "has no mainSteps, which a Command document needs"),
        (document(step("true"), files={"a": {}}), "has files {'a': {}}, which hooks do not run; take it out"),
        (
            document({"action": "aws:downloadContent", "name": "get"}),
            "step get, is aws:downloadContent; hooks run aws:runShellScript alone, so do it in a script",
        ),
        (document(step("true", inputs={"finallyStep": "true"})), "step run, has finallyStep 'true'"),
        (document(step("true", inputs={"onFailure": "successAndExit"})), "has onFailure 'successAndExit'"),
        (document({"action": SHELL, "name": "run"}), "step run, has no runCommand"),
        (document(step(7)), "step run, has runCommand.0 7, which hooks do not run"),
        (
            document({"action": SHELL, "name": "run", "inputs": {"runCommand": "true"}}),
            "has runCommand that is no list; write a list of lines",
        ),
        (
            document(step("true", precondition={"StringEquals": ["{{ X }}", "a"]})),
            "precondition.StringEquals.0",
        ),
        (
            document(step("echo {{ ssm:token }}")),
            "has {{ ssm:token }}, which Systems Manager fills in where it sends a command; let the script read it",
        ),
        (document(step("echo {{global:REGION}}")), "has {{global:REGION}}"),
        (
            document(
                step("echo {{ words }}"), parameters={"words": {"type": "StringList", "default": ["a"]}}
            ),
            "has the list words within a text; let it stand alone in its line",
        ),
        (
            document(step("true"), parameters={"n": {"type": "Integer", "default": 1}}),
            "has parameters.n.type",
        ),
    ],
)
def test_what_is_not_understood_is_refused_by_name(content: str, words: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - its words are what counts
        program_of("Agent:3", content, {})
    assert str(refusal.value).startswith("Agent:3")
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("parameter", "given", "words"),
    [
        ({}, {}, "needs the parameter Word; set it in parameters"),
        ({}, {"Word": "a", "Wrod": "b"}, "has no parameter Wrod; it has Word"),
        ({"allowedValues": ["a", "b"]}, {"Word": "c"}, "refuses the parameter Word: 'c' is none of a, b"),
        ({"allowedPattern": "[a-z]+"}, {"Word": "ab1"}, "'ab1' does not match [a-z]+"),
        ({"minChars": 2}, {"Word": "a"}, "'a' has fewer than 2 characters"),
        ({"maxChars": 2}, {"Word": "abc"}, "'abc' has more than 2 characters"),
        ({"allowedPattern": r"\p{Alpha}+"}, {"Word": "a"}, "without what Java alone has"),
    ],
)
def test_parameters_are_checked_as_systems_manager_does(
    parameter: dict[str, Any], given: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011
        program_of("Agent:3", document(step("true"), **declared(Word=parameter)), given)
    assert words in str(refusal.value)


def test_parameters_at_their_bounds_are_taken_and_defaults_are_not_checked() -> None:
    bounds = {"minChars": 2, "maxChars": 2, "allowedPattern": "[a-z]+", "allowedValues": ["ab"]}
    content = document(step("{{ Word }}"), **declared(Word={**bounds, "default": ""}))
    assert scripts(content, Word="ab") == ["#!/bin/sh\nab\n"]
    assert scripts(content) == ["#!/bin/sh\n\n"]


def test_a_document_without_parameters_says_so() -> None:
    with pytest.raises(ValueError, match=r"has no parameter A; it has none$"):
        program_of("Agent:3", document(step("true")), {"A": "b"})


def test_each_parameter_is_given_or_by_default_whatever_the_others_are() -> None:
    content = document(
        step("{{ A }} {{ B }} {{ C }}"), **declared(A={"default": "1"}, B={}, C={"default": "3"})
    )
    assert scripts(content, B="2") == ["#!/bin/sh\n1 2 3\n"]


def test_a_parameter_that_a_document_has_not_is_told_with_those_that_it_has() -> None:
    content = document(step("true"), **declared(A={"default": "1"}, B={"default": "2"}))
    with pytest.raises(ValueError, match=r"^Agent:3 has no parameter C; it has A, B$"):
        program_of("Agent:3", content, {"C": "3"})


@pytest.mark.parametrize("field", ["timeoutSeconds", "workingDirectory"])
def test_what_systems_manager_fills_in_is_told_with_its_step(field: str) -> None:
    told = []
    for content in (
        document(step("{{ global:REGION }}")),
        document(step("true", inputs={field: "{{ global:REGION }}"})),
    ):
        with pytest.raises(ValueError, match="which Systems Manager fills in") as raised:
            program_of("Agent:3", content, {})
        told.append(str(raised.value))
    assert told[0] == told[1]


def test_documents_are_hashed_and_named_by_what_they_do() -> None:
    hooks = HookSettings.model_validate({"provision": [{"document": "Agent"}]})
    one, other = (
        {"provision.0": program_of("Agent:3", document(step(line)), {})} for line in ("true", "false")
    )
    assert recipe_of(hooks, {}, None, one) != recipe_of(hooks, {}, None, other)
    assert recipe_of(hooks, {}, None, one) == recipe_of(hooks, {}, None, dict(one))
    assert named_hooks(hooks, {}, one)["provision"].startswith("Agent:3 ")
    assert named_hooks(hooks, {}, one) != named_hooks(hooks, {}, other)
