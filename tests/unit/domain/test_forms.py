"""The form of each value that people write: what is taken, and what the refusal says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ami_lifecycle.domain import forms
from ami_lifecycle.domain.forms import FORMS, Form, name_problem
from ami_lifecycle.domain.settings import ContainerSettings, encoded

NAME = "write lower-case letters, digits and hyphens, at most 32, with a letter at the start and no hyphen at the end"
PLAIN = "leave out line breaks, tabs and other control characters"
SCRIPT = "leave out control characters other than tabs and line breaks"


def refusal(annotated: Any, value: object) -> str | None:
    """What pydantic says of a value of this type; None where it takes it."""
    try:
        TypeAdapter(annotated).validate_python(value)
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    return None


@pytest.mark.parametrize(("length", "accepted"), [(1, False), (2, True), (3, True), (4, False)])
def test_a_form_has_a_shortest_and_a_longest_text(length: int, accepted: bool) -> None:
    assert Form("x*", "x", shortest=2, longest=3).accepts("x" * length) is accepted


def test_a_form_is_of_the_whole_text() -> None:
    form = Form("x", "an x")
    assert (form.accepts("x"), form.accepts("xy"), form.accepts("yx"), form.accepts("x\n")) == (
        True,
        False,
        False,
        False,
    )
    assert form.check("x") == "x"
    with pytest.raises(ValueError, match=r"^write an x \(got 'y'\)$"):
        form.check("y")


@pytest.mark.parametrize("name", ["p", "prod", "prod-eu-1", "a" * 32])
def test_a_name_is_lower_case(name: str) -> None:
    assert name_problem(name) is None
    assert refusal(forms.EnvironmentName, name) is None


@pytest.mark.parametrize("name", ["", "Prod", "1prod", "prod-", "a" * 33, "prod_eu"])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    assert name_problem(name) == NAME
    for annotated in (forms.EnvironmentName, forms.ApplicationName):
        assert refusal(annotated, name) == f"{NAME} (got {name!r})"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "aws-images",
            "Parameter Store takes no name that begins with aws or ssm; write another application name",
        ),
        ("ssm", "Parameter Store takes no name that begins with aws or ssm; write another application name"),
        (
            "docker",
            "docker.service is a unit of Ubuntu's own, which would be replaced; write another application name",
        ),
        (
            "systemd-x",
            "systemd-x.service is a unit of Ubuntu's own, which would be replaced; write another application name",
        ),
    ],
)
def test_an_application_is_not_named_like_what_others_have(name: str, problem: str) -> None:
    assert name_problem(name, is_application=True) == problem
    assert refusal(forms.ApplicationName, name) == f"{problem} (got {name!r})"
    assert name_problem(name) is None, "an environment names neither a unit nor a path's root"


@pytest.mark.parametrize(
    "text", ["", "plain", "tilde ~ é 語 \N{ROCKET}", "\ufdcf", "\ufdf0", "\ufffd", "\ufffc"]
)
def test_one_line_of_characters_is_plain(text: str) -> None:
    assert refusal(forms.PlainText, text) is None
    assert refusal(forms.ScriptText, text) is None


@pytest.mark.parametrize("text", ["\n", "\t", "a\x00", "\x1f", "\x7f", "\x85", "\x9f"])
def test_control_characters_are_not_plain(text: str) -> None:
    assert refusal(forms.PlainText, text) == f"{PLAIN} (got {text!r})"


@pytest.mark.parametrize("text", ["\ufdd0", "\ufdef", "x\ufffe", "\uffff", "\U0001fffe", "\U0010ffff"])
def test_what_is_no_character_is_not_plain(text: str) -> None:
    """The Unicode Standard, 23.7: U+FDD0..U+FDEF, and the last two code points of each plane."""
    assert refusal(forms.PlainText, text) == f"{PLAIN} (got {text!r})"


def test_a_script_has_lines_and_tabs_and_no_other_control_characters() -> None:
    assert refusal(forms.ScriptText, "if true; then\n\tcurl localhost\nfi\n") is None
    for text in ("\x1b", "\r", "a\nb\x00"):
        assert refusal(forms.ScriptText, text) == f"{SCRIPT} (got {text!r})"


@pytest.mark.parametrize(
    ("annotated", "value"),
    [(forms.PortMapping, 127_342), (forms.ImageTag, 2024), (forms.EnvironmentName, True)],
)
def test_what_yaml_reads_as_something_else_is_not_taken_for_text(annotated: Any, value: object) -> None:
    assert refusal(annotated, value) == "Input should be a valid string"


def test_a_long_value_is_cut_in_the_refusal() -> None:
    assert len(refusal(forms.ImageTag, "x" * 5_000) or "") < 250


@pytest.mark.parametrize("name", FORMS)
def test_each_form_says_what_to_write(name: str) -> None:
    with pytest.raises(ValueError, match=r"^write .+ \(got '\\x00'\)$"):
        FORMS[name].check("\x00")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"B": "2", "A": "1"}, {"B": "2", "A": "1"}),
        (["--port", "8188"], ["--port", "8188"]),
        (("é",), ["é"]),
    ],
)
def test_documents_take_lists_and_mappings_in_base64(value: Any, plain: object) -> None:
    assert json.loads(base64.b64decode(encoded(value))) == plain


@pytest.mark.parametrize("value", [{}, [], ()])
def test_documents_take_a_dash_for_nothing(value: Any) -> None:
    assert encoded(value) == "-"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"ports": ("80:1", "81:1", "80:2")},
            "ports use port 80 of the host twice; give each its own",
        ),
        (
            {"volumes": ("/a:/data", "/b:/other", "/c:/data/")},
            "volumes mount /data of the container twice; give each its own",
        ),
        (
            {"volumes": ("/a:/..",)},
            "volumes mount over / of the container, which Docker refuses; name a directory below it",
        ),
    ],
)
def test_docker_takes_a_port_and_a_directory_once(values: dict[str, Any], problem: str) -> None:
    assert refusal(ContainerSettings, values) == problem


NO_PORTS = "with which Docker publishes no ports, but ports are"
NO_MEMORY = (
    "with which the container has no /dev/shm of its own, but shm_mib is 64; set shm_mib: 0, or another ipc"
)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"network": "host", "ports": ("80:1", "81:2")},
            f"network is host, {NO_PORTS} 80:1, 81:2; set ports: [], or another network",
        ),
        (
            {"network": "none", "ports": ("80:1",)},
            f"network is none, {NO_PORTS} 80:1; set ports: [], or another network",
        ),
        ({"network": "bridge", "ports": ("80:1",)}, None),
        ({"network": "host", "ports": ()}, None),
        ({"ipc": "host", "shm_mib": 64}, f"ipc is host, {NO_MEMORY}"),
        ({"ipc": "none", "shm_mib": 64}, f"ipc is none, {NO_MEMORY}"),
        ({"ipc": "private", "shm_mib": 64}, None),
        ({"ipc": "host", "shm_mib": 0}, None),
    ],
)
def test_what_docker_would_pass_over_is_refused(values: dict[str, Any], problem: str | None) -> None:
    assert refusal(ContainerSettings, values) == problem


@pytest.mark.parametrize("limit", ["nofile=-1", "nofile=-1:-1", "nofile=1024:-1"])
def test_open_files_have_a_number(limit: str) -> None:
    """setrlimit(2): beyond fs.nr_open the kernel refuses it."""
    told = f"ulimits has {limit}, which no kernel takes; name a number, nofile=1048576 at most"
    assert refusal(ContainerSettings, {"ulimits": (limit,)}) == told


@pytest.mark.parametrize("limit", ["nofile=2:1", "memlock=-1:1", "stack=10:9"])
def test_a_soft_limit_above_the_hard_one_is_refused(limit: str) -> None:
    told = f"ulimits has {limit}, whose soft limit is above the hard one; write soft:hard"
    assert refusal(ContainerSettings, {"ulimits": (limit,)}) == told


@pytest.mark.parametrize(
    "limits",
    [
        ("nofile=1024",),
        ("nofile=1:1",),
        ("nofile=1024:65536", "memlock=-1", "stack=1"),
        ("memlock=-1:-1",),
        ("memlock=9:-1",),
    ],
)
def test_limits_that_a_kernel_takes_are_taken(limits: tuple[str, ...]) -> None:
    assert refusal(ContainerSettings, {"ulimits": limits}) is None


def test_a_limit_is_given_once() -> None:
    told = "ulimits name nofile twice; give it one limit"
    assert refusal(ContainerSettings, {"ulimits": ("nofile=1", "stack=1", "nofile=2")}) == told


@pytest.mark.parametrize("device", ["/dev/../etc/passwd", "/dev/fuse:/dev/..", "/dev/..:/dev/fuse:r"])
def test_a_device_is_named_by_its_own_path(device: str) -> None:
    told = "devices have a path with ..; write the path itself"
    assert refusal(ContainerSettings, {"devices": (device,)}) == told


@pytest.mark.parametrize("name", ["utc", "Europe/Atlantis", "localtime"])
def test_a_time_zone_is_one_of_the_database(name: str) -> None:
    told = f"write the name of a time zone of the IANA database: Europe/Berlin, or UTC (got {name!r})"
    assert refusal(forms.TimeZone, name) == told
    assert refusal(forms.TimeZone, "Europe/Berlin") is None


def test_for_utc_which_is_the_default_no_database_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "_zones", lambda: pytest.fail("the database was read"))
    assert refusal(forms.TimeZone, "UTC") is None
