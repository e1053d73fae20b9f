"""Hooks: what is refused, and what makes another recipe."""

from __future__ import annotations

import base64
import json
import random
import zlib
from typing import Any

import pytest
from pydantic import ValidationError

from ami_lifecycle.domain.hooks import HookSettings, encoded_hooks, script_problems
from ami_lifecycle.domain.recipe import baked_part, recipe_of

NAME = "config/hooks/a.sh"
TEXT = "#!/bin/bash\ntrue\n"


def hooks(**stages: list[dict[str, Any]]) -> HookSettings:
    return HookSettings.model_validate(stages)


def one(**fields: Any) -> list[dict[str, Any]]:
    return [{"script": NAME, **fields}]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"verify": one(script="config/hooks/../a.sh")}, "directly below config/hooks/"),
        ({"verify": one(script="/bin/sh")}, "directly below config/hooks/"),
        ({"verify": one(parameters={"PATH": "/opt"})}, "PATH, which the service or the shell sets"),
        ({"verify": one(parameters={"LD_PRELOAD": "x"})}, "LD_PRELOAD"),
        ({"verify": one(parameters={"A B": "x"})}, "a variable's name"),
        ({"verify": one(timeout_seconds=1_801)}, "less than or equal to 1800"),
        ({"verify": one() * 5}, "at most 4"),
        ({"verify": one(timeout_seconds=1_000) * 2}, "are 2000 together, at most 1800"),
        (
            {"provision": one(timeout_seconds=1_000), "provision_after": one(timeout_seconds=1_000)},
            "are 2000 together",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(stages: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        hooks(**stages)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "does not exist"),
        ("true\n", "does not say what runs it"),
        ("#!/bin/bash\r\ntrue\r\n", "does not say what runs it"),
        ("#!/bin/bash\ntrue\r\n", "lines that end in"),
        ("#!/bin/bash\n\0", "control characters"),
    ],
)
def test_a_script_that_cannot_run_is_named_with_its_place(text: str | None, words: str) -> None:
    ((place, message),) = script_problems(hooks(verify=one()), {} if text is None else {NAME: text})
    assert place == ("hooks", "verify", "0", "script")
    assert words in message
    assert NAME in message


def test_scripts_that_no_parameter_holds_are_refused() -> None:
    words = random.Random(1)  # noqa: S311
    text = TEXT + "".join(f"# {words.getrandbits(300):x}\n" for _ in range(600))
    found = list(script_problems(hooks(verify=one()), {NAME: text}))
    assert [place for place, _ in found] == [("hooks", "verify")]
    assert "at most 16384 fit" in found[0].message


def test_scripts_that_no_plan_holds_are_refused() -> None:
    text = TEXT + "# \N{EURO SIGN}" * 11_000
    (found,) = script_problems(hooks(verify=one()), {NAME: text})
    assert found.place == ("hooks",)
    assert "at most 65536 fit" in found.message


def test_a_document_gets_its_stages_and_no_others() -> None:
    settings = hooks(provision=one(parameters={"A": "b"}), verify=one())
    given = encoded_hooks(settings, {NAME: TEXT}, "provision", "provision_after")
    assert json.loads(zlib.decompress(base64.b64decode(given))) == {
        "provision": [{"name": NAME, "parameters": {"A": "b"}, "timeout_seconds": 300, "script": TEXT}],
        "provision_after": [],
    }
    assert encoded_hooks(hooks(verify=one()), {NAME: TEXT}, "provision") == "-"


def test_without_hooks_there_is_no_recipe() -> None:
    assert recipe_of(HookSettings(), {}) is None
    assert baked_part(None) is None


def test_text_parameters_and_stage_change_the_recipe_and_name_and_time_do_not() -> None:
    before = recipe_of(hooks(provision=one()), {NAME: TEXT})
    assert before is not None
    assert recipe_of(hooks(provision=one()), {NAME: TEXT + "#"}) != before
    assert recipe_of(hooks(provision=one(parameters={"A": "b"})), {NAME: TEXT}) != before
    assert recipe_of(hooks(provision_after=one()), {NAME: TEXT}) != before
    other = {"script": "config/hooks/b.sh", "timeout_seconds": 9}
    assert recipe_of(hooks(provision=[other]), {"config/hooks/b.sh": TEXT}) == before


def test_what_only_looks_is_no_part_of_the_disk() -> None:
    both = recipe_of(hooks(provision=one(), verify=one()), {NAME: TEXT})
    assert both is not None
    assert baked_part(both) == recipe_of(hooks(provision=one()), {NAME: TEXT})
    assert both.split()[1].startswith("verify:")
