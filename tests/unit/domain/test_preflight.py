"""What consumers of `latest` are told of its data type, and how texts are made to fit."""

from __future__ import annotations

import json

import pytest

from ami_lifecycle.domain import texts
from ami_lifecycle.domain.preflight import ParameterShape, data_type_finding, parameter_problem

NAME = "/comfyui/ami/prod/latest"


def test_a_latest_of_text_is_told_with_the_commands_that_make_it_again() -> None:
    told = data_type_finding(NAME, "text", "ami-0123456789abcdef0")
    assert told is not None
    for part in (
        "resolve:ssm",
        f"delete-parameter --name {NAME}",
        "sleep 30",
        "--data-type aws:ec2:image",
        "ami-01",
    ):
        assert part in told
    assert data_type_finding(NAME, "aws:ec2:image", "ami-0123456789abcdef0") is None


@pytest.mark.parametrize("data_type", ["text", "aws:ec2:image"])
def test_a_latest_of_either_data_type_can_be_written(data_type: str) -> None:
    assert parameter_problem(ParameterShape(NAME, "String", data_type), "prod") is None


def test_a_subject_is_one_line_of_printable_ascii() -> None:
    assert texts.subject("a\x1b[31m\n b é") == "a [31m b ?"
    assert texts.subject("\x00") == "ami-lifecycle"
    assert len(texts.subject("x" * 300)) == 100


@pytest.mark.parametrize("limit", [4_000, 20_000, texts.EVENT_BYTES])
def test_a_long_message_is_made_to_fit_and_says_what_it_lacks(limit: int) -> None:
    message = {
        "outcome": "Image Published",
        "decisions": [{"reason": "é" * 200}] * 5_000,
        "cause": "x" * 50_000,
    }
    text = texts.fitting(message, limit)
    assert len(text.encode()) <= limit
    found = json.loads(text)
    assert found["outcome"] == "Image Published"
    assert found["left_out"]["decisions"] + len(found["decisions"]) == 5_000


def test_a_message_that_fits_is_not_changed() -> None:
    assert json.loads(texts.fitting({"a": [1, 2]}, 1_000)) == {"a": [1, 2]}
