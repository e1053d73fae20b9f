"""House rules of the state machine (docs/architecture.md); the numbers are those of the rules."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.template.stack import (
    CALLBACK,
    Document,
    function_of,
    functions,
    reachable_from,
    resources,
    scalars,
    state_machine,
    states,
    tasks,
)

from ami_lifecycle.errors import AmiLifecycleError, TransientError, names_of

# Names that Step Functions and Lambda report (Step Functions developer guide, Handling errors, and
# best practices, Handle transient Lambda service exceptions; Lambda developer guide, Runtime API).
LAMBDA_SERVICE_ERRORS = {
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
}
LAMBDA_RUNTIME_ERRORS = {"Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError"}
PLATFORM_ERRORS = LAMBDA_SERVICE_ERRORS | LAMBDA_RUNTIME_ERRORS | {"States.Timeout", "States.ALL"}
SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9]+)\}")

ALL_TASKS = sorted(tasks())
ALL_STATES = sorted(states())


def retried_names(task: str) -> set[str]:
    return {name for retrier in tasks()[task].get("Retry", []) for name in retrier["ErrorEquals"]}


def raised_names(base: type[AmiLifecycleError]) -> set[str]:
    """Names below `base` that an execution can see: those of classes that are no base of others."""
    below = base.__subclasses__()
    return {base.__name__} if not below else {name for child in below for name in raised_names(child)}


# Rule 1: parseable as it stands; substitutions are whole scalars; linted as CloudFormation would take it.


def test_every_substitution_is_a_whole_scalar() -> None:
    mixed = [
        scalar for scalar in scalars(state_machine()) if "${" in scalar and not SUBSTITUTION.fullmatch(scalar)
    ]
    assert mixed == []


def test_the_template_substitutes_what_the_state_machine_names_and_nothing_else() -> None:
    named = {match[1] for scalar in scalars(state_machine()) if (match := SUBSTITUTION.fullmatch(scalar))}
    properties = resources("AWS::Serverless::StateMachine")["BuildStateMachine"]
    given = dict(properties["DefinitionSubstitutions"])
    assert named == set(given)
    # Step Functions refuses a resource of another partition than its own.
    assert given.pop("InvokeAndWaitArn") == {
        "Fn::Sub": "arn:${AWS::Partition}:states:::lambda:invoke.waitForTaskToken"
    }
    for name, value in given.items():
        assert value == {"Fn::GetAtt": [name.removesuffix("Arn") + "Function", "Arn"]}


def as_deployed() -> Document:
    """The definition with substitutions made.

    Without the `OutputPath` of Succeed states, which the linter does not know and the language has (Amazon
    States Language specification, table of fields: InputPath and OutputPath belong to Succeed too).
    """
    function_arn = r"arn:aws:lambda:us-east-1:123456789012:function:\1"
    text = json.dumps(state_machine()).replace(CALLBACK, "arn:aws:states:::lambda:invoke.waitForTaskToken")
    definition: Document = json.loads(SUBSTITUTION.sub(function_arn, text))
    for state in definition["States"].values():
        if state["Type"] == "Succeed":
            state.pop("OutputPath", None)
    return definition


def test_the_state_machine_passes_the_linter(tmp_path: Path) -> None:
    wrapped = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": "arn:aws:iam::123456789012:role/machine",
                    "Definition": as_deployed(),
                },
            }
        },
    }
    file = tmp_path / "wrapped.json"
    file.write_text(json.dumps(wrapped))
    finished = subprocess.run(  # noqa: S603 - the linter of this environment, on a file made here
        [Path(sys.executable).with_name("cfn-lint"), file], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_every_state_can_be_reached_and_every_next_exists() -> None:
    assert reachable_from(state_machine()["StartAt"]) == set(states())


def test_every_step_function_is_invoked() -> None:
    beside = {"decide_approval", "resume_build", "sweep_environments"}
    assert {function_of(task) for task in tasks().values()} == set(functions()) - beside


# Rule 2: time limits.


def test_the_machine_has_a_time_limit_that_covers_a_day_of_snapshots() -> None:
    # "sometimes up to 24 hours" (EC2 user guide, Create an Amazon EBS-backed AMI).
    assert state_machine()["TimeoutSeconds"] > 24 * 3_600


@pytest.mark.parametrize("task", ALL_TASKS)
def test_a_task_is_given_at_least_its_functions_own_timeout(task: str) -> None:
    state = tasks()[task]
    assert state["TimeoutSeconds"] >= functions()[function_of(state)].timeout


# Rule 3: retries.


@pytest.mark.parametrize("task", ALL_TASKS)
def test_a_task_retries_lambdas_service_errors(task: str) -> None:
    assert retried_names(task) >= LAMBDA_SERVICE_ERRORS | LAMBDA_RUNTIME_ERRORS


@pytest.mark.parametrize("task", ALL_TASKS)
def test_a_task_retries_lost_time_and_lost_answers(task: str) -> None:
    assert {"States.Timeout", "ThrottledError", "ServiceUnavailableError"} <= retried_names(task)


@pytest.mark.parametrize("task", ALL_TASKS)
def test_every_retrier_is_bounded_and_spread(task: str) -> None:
    for retrier in tasks()[task]["Retry"]:
        assert retrier["JitterStrategy"] == "FULL"
        assert retrier["MaxAttempts"] > 0
        assert retrier["MaxDelaySeconds"] >= retrier["IntervalSeconds"]


@pytest.mark.parametrize("task", ALL_TASKS)
def test_no_retrier_takes_everything(task: str) -> None:
    assert not {"States.ALL", "States.TaskFailed"} & retried_names(task)


def test_only_known_errors_are_named() -> None:
    named = {
        name
        for state in states().values()
        for part in ("Retry", "Catch")
        for handler in state.get(part, [])
        for name in handler["ErrorEquals"]
    }
    assert named <= names_of(AmiLifecycleError) | PLATFORM_ERRORS


def test_each_transient_error_is_retried_and_no_other_error_of_ours() -> None:
    retried = {name for task in tasks() for name in retried_names(task)}
    assert retried & names_of(AmiLifecycleError) == raised_names(TransientError)


@pytest.mark.parametrize("task", ALL_TASKS)
def test_no_error_has_two_retriers(task: str) -> None:
    named = [name for retrier in tasks()[task]["Retry"] for name in retrier["ErrorEquals"]]
    assert len(named) == len(set(named))


# Rule 4: errors end in Fail.


@pytest.mark.parametrize("task", ALL_TASKS)
def test_a_task_catches_everything_in_the_end(task: str) -> None:
    assert tasks()[task]["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


def ends_of(start: str) -> set[str]:
    """Types of the states that end what begins here."""
    return {
        states()[name]["Type"]
        for name in reachable_from(start)
        if states()[name]["Type"] in {"Succeed", "Fail"} or states()[name].get("End")
    }


def asks_for_the_publication(name: str) -> bool:
    """Whether a state does nothing but ask whether the execution has published."""
    return states()[name]["Type"] == "Choice" and [
        (choice["Variable"], choice["IsNull"]) for choice in states()[name]["Choices"]
    ] == [("$.published", False)]


@pytest.mark.parametrize("task", ALL_TASKS)
def test_no_error_path_ends_in_success_unless_it_was_published(task: str) -> None:
    for catcher in tasks()[task]["Catch"]:
        if catcher["ErrorEquals"] == ["CommandUndeliveredError"]:
            continue
        unpublished = catcher["Next"]
        if asks_for_the_publication(unpublished):
            unpublished = states()[unpublished]["Default"]
        assert ends_of(unpublished) == {"Fail"}


def test_a_command_that_never_began_is_sent_again_and_told_which_one_that_was() -> None:
    for waiting, sending, result in (
        ("Await Provisioning", "Provision Builder", "$.provisioning"),
        ("Await Verification", "Verify Image", "$.verifying"),
    ):
        catcher = tasks()[waiting]["Catch"][0]
        assert (catcher["ErrorEquals"], catcher["Next"]) == (["CommandUndeliveredError"], sending)
        # The state stays as it is, with the command that is dead.
        assert catcher["ResultPath"] is None
        assert tasks()[sending]["ResultPath"] == tasks()[sending]["Parameters"]["undelivered.$"] == result
        assert "CommandUndeliveredError" not in {
            name for catcher in tasks()[sending]["Catch"] for name in catcher["ErrorEquals"]
        }


def test_whatever_fails_after_the_publication_leaves_the_outcome_to_it() -> None:
    after = set(reachable_from(states()["Publish Image"]["Next"])) & tasks().keys() - {"Clean Up Build"}
    assert "Release Environment" in after
    for task in after:
        for catcher in tasks()[task]["Catch"]:
            assert catcher["ResultPath"] == "$.unfinished"
            assert asks_for_the_publication(catcher["Next"])


def test_every_fail_state_says_what_failed_and_why() -> None:
    silent = [
        name
        for name, state in states().items()
        if state["Type"] == "Fail"
        and not ({"Error", "ErrorPath"} & state.keys() and {"Cause", "CausePath"} & state.keys())
    ]
    assert silent == []


def test_every_choice_has_a_default() -> None:
    # Without one, a value nobody thought of ends the execution with States.NoChoiceMatched, uncaught.
    assert [
        name for name, state in states().items() if state["Type"] == "Choice" and "Default" not in state
    ] == []


# Rule 5: a reader's view.


@pytest.mark.parametrize("name", ALL_STATES)
def test_a_state_says_in_one_line_why_it_is_there(name: str) -> None:
    comment = states()[name]["Comment"]
    assert comment.strip()
    assert "\n" not in comment.strip()


@pytest.mark.parametrize("name", ALL_STATES)
def test_a_state_has_a_name_of_its_kind(name: str) -> None:
    assert len(name) <= 80, "States have at most 80 characters (Amazon States Language)"
    assert name.endswith("?") == (states()[name]["Type"] == "Choice")


def test_what_waits_for_a_callback_passes_its_token_on() -> None:
    waiting = [task for task in tasks().values() if task["Resource"] == CALLBACK]
    assert waiting
    for task in waiting:
        assert task["Parameters"]["Payload"]["task_token.$"] == "$$.Task.Token"
