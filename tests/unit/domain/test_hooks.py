"""Hooks: what is refused, and what makes another recipe."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import zlib
from bisect import bisect
from typing import Any

import pytest
from pydantic import ValidationError

from ami_lifecycle.domain.hook_documents import HookProgram, HookStep
from ami_lifecycle.domain.hooks import HookSettings, encoded_hooks, script_problems
from ami_lifecycle.domain.model import TAG_RECIPE
from ami_lifecycle.domain.recipe import baked_part, hooks_part, named_hooks, recipe_of, recipe_tags

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
    assert hooks_part(None) is None


def test_text_parameters_and_stage_change_the_recipe_and_name_and_time_do_not() -> None:
    before = recipe_of(hooks(provision=one()), {NAME: TEXT})
    assert before is not None
    assert recipe_of(hooks(provision=one()), {NAME: TEXT + "#"}) != before
    assert recipe_of(hooks(provision=one(parameters={"A": "b"})), {NAME: TEXT}) != before
    assert recipe_of(hooks(provision_after=one()), {NAME: TEXT}) != before
    other = {"script": "config/hooks/b.sh", "timeout_seconds": 9}
    assert recipe_of(hooks(provision=[other]), {"config/hooks/b.sh": TEXT}) == before


def test_each_hook_is_named_with_the_hash_of_what_it_does() -> None:
    named = named_hooks(hooks(provision=[*one(), *one(parameters={"A": "b"})], verify=one()), {NAME: TEXT})
    assert set(named) == {"provision", "verify"}
    first, second = named["provision"].split(", ")
    assert re.fullmatch(r"a\.sh [0-9a-f]{12}", first)
    assert first != second
    assert named["verify"] == first
    changed = named_hooks(hooks(verify=one()), {NAME: TEXT + "#"})
    assert changed["verify"] != first
    assert named_hooks(HookSettings(), {}) == {}


def test_what_only_looks_is_no_part_of_the_disk() -> None:
    both = recipe_of(hooks(provision=one(), verify=one()), {NAME: TEXT})
    assert both is not None
    assert baked_part(both) == recipe_of(hooks(provision=one()), {NAME: TEXT})
    assert both.split()[1].startswith("verify:")


# To the letter, and at the bounds.


@pytest.mark.parametrize(
    "name",
    [
        "AMI_LIFECYCLE_X",
        "SSM_X",
        "LD_X",
        "AWS_SSM_X",
        "PATH",
        "HOME",
        "IFS",
        "ENV",
        "BASH_ENV",
        "SHELLOPTS",
        "PYTHONX",
    ],
)
def test_a_variable_that_is_taken_is_named(name: str) -> None:
    with pytest.raises(ValidationError) as raised:
        hooks(verify=one(parameters={"OK": "1", name: "x"}))
    (problem,) = raised.value.errors()
    assert problem["msg"] == (
        f"Value error, parameters sets {name}, which the service or the shell sets; choose another name"
    )


def test_hooks_may_take_all_the_time_of_their_document_and_no_more() -> None:
    half = one(timeout_seconds=900)
    assert hooks(provision=half, provision_after=half, verify=half * 2)
    for stages, names in (
        ({"provision": one(timeout_seconds=901), "provision_after": half}, "provision and provision_after"),
        ({"verify": [*half, *one(timeout_seconds=901)]}, "verify"),
    ):
        with pytest.raises(ValidationError) as raised:
            hooks(**stages)
        (problem,) = raised.value.errors()
        assert problem["msg"] == (
            f"Value error, the timeout_seconds of {names} are 1801 together, at most 1800 are there; lower them"
        )


def test_every_hook_is_told_with_its_stage_and_place() -> None:
    settings = hooks(provision=one() * 2, provision_after=one(), verify=one())
    assert [(stage, position) for stage, position, _ in settings.all] == [
        ("provision", 0),
        ("provision", 1),
        ("provision_after", 0),
        ("verify", 0),
    ]
    assert [hook for _, _, hook in settings.all][1] == settings.provision[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist; add the file, or correct the name"),
        (
            "true\n#!/bin/bash",
            "does not say what runs it; let its first line be #!/bin/bash or the like, with no \\r",
        ),
        (
            "#!/bin/bash\n\x1b",
            "has control characters, or lines that end in \\r\\n; save it as plain text with \\n",
        ),
    ],
)
def test_what_is_wrong_with_a_script_is_told_of_each(text: str | None, message: str) -> None:
    settings = hooks(provision=[{"script": "config/hooks/b.sh"}, *one()], verify=one())
    scripts = {"config/hooks/b.sh": TEXT} | ({} if text is None else {NAME: text})
    assert list(script_problems(settings, scripts)) == [
        (("hooks", "provision", "1", "script"), f"{NAME} {message}"),
        (("hooks", "verify", "0", "script"), f"{NAME} {message}"),
    ]


def test_what_fits_a_parameter_to_the_last_character_is_taken_and_what_does_not_is_told() -> None:
    words = random.Random(2)  # noqa: S311
    text = TEXT + "".join(f"# {words.getrandbits(300):x}\n" for _ in range(600))
    settings = hooks(provision=one(), provision_after=one())
    stages = ("provision", "provision_after")
    lengths = range(len(text))
    first = bisect(lengths, 16_384, key=lambda end: len(encoded_hooks(settings, {NAME: text[:end]}, *stages)))
    fits, more = text[: first - 1], text[:first]
    assert len(encoded_hooks(settings, {NAME: fits}, *stages)) == 16_384
    assert list(script_problems(settings, {NAME: fits})) == []
    assert list(script_problems(settings, {NAME: more})) == [
        (
            ("hooks", "provision"),
            (
                "the scripts of provision and provision_after take 16388 characters as a parameter of the document, at "
                "most 16384 fit; shorten them, or have them fetch what is large"
            ),
        )
    ]
    characters = len(encoded_hooks(hooks(verify=one()), {NAME: text}, "verify"))
    assert list(script_problems(hooks(verify=one()), {NAME: text})) == [
        (
            ("hooks", "verify"),
            (
                f"the scripts of verify take {characters} characters as a parameter of the document, at most "
                "16384 fit; shorten them, or have them fetch what is large"
            ),
        )
    ]


def test_what_fits_a_plan_to_the_last_character_is_taken_and_what_does_not_is_told() -> None:
    around = len(json.dumps([TEXT]))
    fits = TEXT + "x" * (65_536 - around)
    assert list(script_problems(hooks(verify=one()), {NAME: fits})) == []
    assert list(script_problems(hooks(verify=one()), {NAME: fits + "x"})) == [
        (
            ("hooks",),
            (
                "the scripts take 65537 characters in a plan, at most 65536 fit; shorten them, or have them fetch what "
                "is large"
            ),
        )
    ]


def digits(*steps: tuple[str, str, dict[str, str]]) -> str:
    """The part of a recipe, written down once more."""
    told = [
        [stage, hashlib.sha256(text.encode()).hexdigest(), parameters] for stage, text, parameters in steps
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def test_a_recipe_stays_the_same_from_version_to_version() -> None:
    settings = hooks(
        provision=one(parameters={"B": "2", "A": "1"}),
        provision_after=one(),
        verify=one(parameters={"C": "3"}),
    )
    baked = digits(("provision", TEXT, {"A": "1", "B": "2"}), ("provision_after", TEXT, {}))
    checked = digits(("verify", TEXT, {"C": "3"}))
    recipe = recipe_of(settings, {NAME: TEXT})
    assert recipe == f"provision:{baked} verify:{checked}"
    assert baked_part(recipe) == f"provision:{baked}"
    assert baked_part(f"verify:{checked}") is None
    assert recipe_of(hooks(verify=one()), {}) == f"verify:{digits(('verify', '', {}))}"


def test_a_recipe_is_told_in_a_tag_where_there_is_one() -> None:
    assert recipe_tags(None) == {}
    assert recipe_tags("provision:x") == {TAG_RECIPE: "provision:x"}


def test_a_hook_is_named_the_same_from_version_to_version() -> None:
    """The order in which a file lists parameters says nothing, and a script that is missing counts as empty."""

    def named(text: str, parameters: dict[str, str]) -> str:
        told = json.dumps([text, parameters])
        return f"a.sh {hashlib.sha256(told.encode()).hexdigest()[:12]}"

    settings = hooks(provision=one(parameters={"B": "2", "A": "1"}))
    assert named_hooks(settings, {NAME: TEXT}) == {"provision": named(TEXT, {"A": "1", "B": "2"})}
    assert named_hooks(hooks(verify=one()), {}) == {"verify": named("", {})}


# Documents of Systems Manager.

SHARED = "arn:aws:ssm:us-east-1:210987654321:document/Agent"
PROGRAM = HookProgram(
    name="Agent:3",
    variables={"SSM_Word": "a"},
    steps=(HookStep(name="run", script="#!/bin/sh\ntrue\n", directory="/opt", timeout_seconds=60),),
)


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ({}, "a hook is a script or a document; write one of the two"),
        ({"script": NAME, "document": "Agent"}, "a hook is a script or a document"),
        ({"script": NAME, "version": 1}, "version belongs to a document; leave it out"),
        ({"document": "Ag"}, "the name of a Command document of this account"),
        ({"document": "Agent:3"}, "the name of a Command document of this account"),
        ({"document": "Agent", "version": 0}, "greater than or equal to 1"),
        ({"document": "Agent", "version": "$LATEST"}, "a valid integer"),
        ({"document": "AWS-RunShellScript"}, "a document of AWS; copy it into one of your own"),
        ({"document": "amazonThing"}, "a document of AWS"),
        ({"document": SHARED}, "has no version; write one, so that nobody but you says what runs as root"),
        ({"document": "Agent", "parameters": {"A": "{{ssm:token}}"}}, "hand over the name"),
    ],
)
def test_a_hook_is_one_thing_and_whose_it_is(hook: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        hooks(verify=[hook])


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        ({"document": "Agent"}, "Agent"),
        ({"document": "Our.Agent_1-x", "version": 1}, "Our.Agent_1-x:1"),
        ({"document": SHARED, "version": 2}, f"{SHARED}:2"),
        ({"document": "My-aws-agent", "parameters": {"PATH": "/opt"}}, "My-aws-agent"),
        ({"script": NAME}, NAME),
    ],
)
def test_a_hook_is_called_as_the_settings_have_it(hook: dict[str, Any], name: str) -> None:
    (only,) = hooks(verify=[hook]).verify
    assert only.name == name


def test_a_document_is_given_as_its_steps() -> None:
    settings = hooks(provision=[*one(), {"document": "Agent", "timeout_seconds": 9}])
    given = encoded_hooks(settings, {NAME: TEXT}, "provision", programs={"provision.1": PROGRAM})
    script, document = json.loads(zlib.decompress(base64.b64decode(given)))["provision"]
    assert script == {"name": NAME, "parameters": {}, "timeout_seconds": 300, "script": TEXT}
    assert document == {
        "name": "Agent:3",
        "parameters": {"SSM_Word": "a"},
        "timeout_seconds": 9,
        "steps": [{"name": "run", "script": "#!/bin/sh\ntrue\n", "directory": "/opt", "timeout_seconds": 60}],
    }


def test_nobody_goes_on_with_a_document_that_was_not_read() -> None:
    settings = hooks(verify=[{"document": "Agent", "version": 3}])
    for act in (
        lambda: encoded_hooks(settings, {}, "verify"),
        lambda: recipe_of(settings, {}),
        lambda: named_hooks(settings, {}),
    ):
        with pytest.raises(LookupError, match="the document Agent:3 has not been read"):
            act()


def test_what_a_document_does_changes_the_recipe_and_its_number_and_limits_do_not() -> None:
    settings = hooks(verify=[{"document": "Agent"}])

    def recipe(program: HookProgram) -> str | None:
        return recipe_of(settings, {}, programs={"verify.0": program})

    (only,) = PROGRAM.steps
    before = recipe(PROGRAM)
    assert before is not None
    assert before.startswith("verify:")
    for same in (
        PROGRAM.model_copy(update={"name": "Agent:4"}),
        PROGRAM.model_copy(update={"steps": (only.model_copy(update={"timeout_seconds": 5, "name": "x"}),)}),
    ):
        assert recipe(same) == before
    others = [
        PROGRAM.model_copy(update={"variables": {"SSM_Word": "b"}}),
        PROGRAM.model_copy(update={"steps": (only.model_copy(update={"directory": "/"}),)}),
        PROGRAM.model_copy(update={"steps": (only.model_copy(update={"script": "#!/bin/sh\n"}),)}),
        PROGRAM.model_copy(update={"steps": (only, only)}),
    ]
    assert len({before, *map(recipe, others)}) == 5


def test_a_document_is_named_with_its_version_and_a_shared_one_without_its_arn() -> None:
    settings = hooks(verify=[{"document": SHARED, "version": 3}])
    program = PROGRAM.model_copy(update={"name": f"{SHARED}:3"})
    assert re.fullmatch("Agent:3 [0-9a-f]{12}", named_hooks(settings, {}, {"verify.0": program})["verify"])


def test_documents_that_do_not_fit_into_ours_are_refused_once_they_are_read() -> None:
    words = random.Random(1)  # noqa: S311
    text = "".join(f"# {words.getrandbits(300):x}\n" for _ in range(600))
    (only,) = PROGRAM.steps
    large = PROGRAM.model_copy(update={"steps": (only.model_copy(update={"script": text}),)})
    settings = hooks(verify=[{"document": "Agent"}])
    assert list(script_problems(settings, {})) == []
    (found,) = script_problems(settings, {}, {"verify.0": large})
    assert found.place == ("hooks", "verify")
    assert "at most 16384 fit" in found.message
    wide = PROGRAM.model_copy(
        update={"steps": (only.model_copy(update={"script": "# \N{EURO SIGN}" * 11_000}),)}
    )
    (found,) = script_problems(settings, {}, {"verify.0": wide})
    assert found.place == ("hooks",)


def test_a_script_beside_a_document_is_judged_before_that_is_read() -> None:
    (found,) = script_problems(hooks(verify=[{"document": "Agent"}, *one()]), {})
    assert found.place == ("hooks", "verify", "1", "script")
