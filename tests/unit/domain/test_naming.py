"""Derived names: within AWS's limits, the same for the same thing, different for different things."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.builders import DIGEST, settings

from ami_lifecycle.domain.model import Role
from ami_lifecycle.domain.naming import (
    client_token,
    document_comment,
    execution_name,
    is_of_queued_request,
    run_id,
)
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.request import Action, Trigger

ARNS = st.text(min_size=1, max_size=200)
DIGESTS = st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
ENVIRONMENTS = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
TOKEN_PARTS = st.tuples(
    ARNS, st.sampled_from(Role), st.sampled_from(["m7i.large", "m5.large"]), st.text(), st.integers(0, 99)
)


@given(ARNS, DIGESTS)
def test_a_run_id_is_short_and_plain(arn: str, digest: str | None) -> None:
    assert re.fullmatch(r"([0-9a-f]{12}-)?[0-9a-f]{8}", run_id(arn, digest))
    assert run_id(arn, digest) == run_id(arn, digest)


@given(ARNS, DIGESTS, st.from_regex(r"[A-Za-z0-9()\[\] ./'@_-]{3,80}", fullmatch=True))
def test_a_candidates_name_is_one_that_ec2_takes(arn: str, digest: str | None, image_name: str) -> None:
    plan = BuildPlan(
        action=Action.BUILD,
        trigger=Trigger.PUSH,
        environment="prod",
        reasons=(),
        run_id=run_id(arn, digest),
        settings=settings(image_name=image_name),
    )
    # EC2 API reference, CreateImage: 3 to 128 characters of these.
    assert re.fullmatch(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}", plan.candidate_name)


@given(TOKEN_PARTS)
def test_a_client_token_has_64_ascii_characters(parts: tuple[str, Role, str, str, int]) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", client_token(*parts))
    assert client_token(*parts) == client_token(*parts)


@given(TOKEN_PARTS, TOKEN_PARTS)
def test_different_launches_have_different_tokens(
    one: tuple[str, Role, str, str, int], other: tuple[str, Role, str, str, int]
) -> None:
    is_same = one == other
    # A line feed separates the parts, and no ARN, type or subnet has one.
    if not any("\n" in str(part) for part in (*one, *other)):
        assert (client_token(*one) == client_token(*other)) == is_same


@given(ENVIRONMENTS, st.sampled_from(["queued", "build", "publish", "retire"]), st.lists(st.text()))
def test_an_execution_name_is_one_that_step_functions_takes(
    environment: str, purpose: str, parts: list[str]
) -> None:
    name = execution_name(environment, purpose, *parts)
    # Step Functions API reference, StartExecution; and CloudWatch wants no characters beyond ASCII.
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", name)
    assert name.startswith(f"{environment}-{purpose}-")
    assert name == execution_name(environment, purpose, *parts)
    if purpose == "queued":
        assert is_of_queued_request(name)


@given(st.lists(st.tuples(ENVIRONMENTS, st.integers(0, 10_000)), unique=True, max_size=50))
def test_no_two_queued_requests_have_one_execution_name(requests: list[tuple[str, int]]) -> None:
    names = {execution_name(environment, "queued", str(number)) for environment, number in requests}
    assert len(names) == len(requests)


@given(st.sampled_from(["provision", "verify"]), st.text(max_size=300))
def test_a_comment_fits_a_command(purpose: str, run: str) -> None:
    assert len(document_comment(purpose, run)) <= 100, "SSM API reference, SendCommand"


def test_the_comments_of_one_run_tell_its_commands_apart() -> None:
    run = run_id("arn", DIGEST)
    assert document_comment("provision", run) != document_comment("verify", run)


def test_a_launch_has_a_token_for_each_role_type_subnet_and_attempt() -> None:
    one = ("arn", Role.BUILDER, "m7i.large", "subnet-1", 0)
    others = [
        ("arn:2", Role.BUILDER, "m7i.large", "subnet-1", 0),
        ("arn", Role.CANARY, "m7i.large", "subnet-1", 0),
        ("arn", Role.BUILDER, "m5.large", "subnet-1", 0),
        ("arn", Role.BUILDER, "m7i.large", "subnet-2", 0),
        ("arn", Role.BUILDER, "m7i.large", "subnet-1", 1),
    ]
    assert len({client_token(*parts) for parts in (one, *others)}) == 6


def test_a_command_that_is_sent_again_has_a_comment_of_its_own() -> None:
    assert [document_comment("verify", "run-1", number) for number in (1, 2, 3)] == [
        "ami-lifecycle verify run-1",
        "ami-lifecycle verify run-1 (2)",
        "ami-lifecycle verify run-1 (3)",
    ]
    assert document_comment("verify", "run-1") == document_comment("verify", "run-1", 1)
    # SSM API reference, SendCommand, Comment.
    assert len(document_comment("verify", "x" * 200, 2)) == 100


def test_a_run_is_named_by_digest_and_execution() -> None:
    assert run_id("arn:1", DIGEST).startswith("abababababab-")
    assert run_id("arn:1", DIGEST) != run_id("arn:2", DIGEST)
    assert run_id("arn:1", None) != run_id("arn:2", None)
    assert run_id("arn:1", DIGEST).endswith(run_id("arn:1", None))


@pytest.mark.parametrize(
    ("purpose", "start"), [("Build_1.x", "prod-Build_1.x-"), ("ü b/c", "prod---b-c-"), ("q", "prod-q-")]
)
def test_an_execution_is_named_by_what_it_is_for(purpose: str, start: str) -> None:
    name = execution_name("prod", purpose, "part")
    assert re.fullmatch(re.escape(start) + "[0-9a-f]{16}", name)


def test_a_long_name_of_an_execution_keeps_what_tells_it_apart() -> None:
    one, other = (execution_name("e" * 32, "p" * 60, part) for part in ("one", "other"))
    assert len(one) == len(other) == 80
    assert one != other


def test_a_token_stays_the_same_when_the_service_is_updated_under_a_build_that_runs() -> None:
    parts = hashlib.sha256(b"arn\nbuilder\nm7i.large\nsubnet-1\n0").hexdigest()
    assert client_token("arn", Role.BUILDER, "m7i.large", "subnet-1", 0) == parts
