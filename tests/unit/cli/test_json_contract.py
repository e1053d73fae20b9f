"""The contract of --json and of exit codes: every command has one, and its documents have one form."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.json_contract import check_document
from tests.unit.cli.samples import NOW, a_record, a_run, an_observation

from ami_lifecycle.domain.environment import Claim, EnvironmentRecord, Pin
from ami_lifecycle.domain.plan import BuildPlan, Source
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle_cli.commands import config, emulator
from ami_lifecycle_cli.console import output
from ami_lifecycle_cli.json_documents import DOCUMENTS, WITHOUT
from ami_lifecycle_cli.json_reference import json_markdown, json_schema
from ami_lifecycle_cli.main import COMMANDS
from ami_lifecycle_cli.stack.builds import Build
from ami_lifecycle_cli.stack.logs import Line
from ami_lifecycle_cli.stack.publication_wait import EXIT_CODES, Outcome, Verdict, WaitObservation, WaitTarget
from ami_lifecycle_cli.stack.records import record_as_json
from ami_lifecycle_cli.stack.runs import StateRun

ROOT = Path(__file__).resolve().parents[3]


def printed(capsys: pytest.CaptureFixture[str], document: dict[str, Any]) -> Any:
    output.print_json(document)
    return json.loads(capsys.readouterr().out)


def test_every_command_has_a_contract_or_says_that_it_has_none() -> None:
    groups = {"config": config.app, "emulator": emulator.app}
    below = {
        f"{group} {each}"
        for group, app in groups.items()
        for each in typer.main.get_command(app).commands  # type: ignore[attr-defined]  # of a group
    }
    assert DOCUMENTS.keys() | WITHOUT.keys() == (COMMANDS.keys() - groups.keys()) | below


def test_a_command_without_a_document_says_why_in_the_reference() -> None:
    text = json_markdown()
    assert [command for command, why in WITHOUT.items() if f"- `{command}` {why}." not in text] == []
    assert not WITHOUT.keys() & DOCUMENTS.keys()


def test_dates_have_one_form_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = datetime(2026, 1, 2, 5, 4, 5, 987_654, timezone(timedelta(hours=2)))
    found = printed(capsys, {"at": elsewhere, "list": [{"at": elsewhere}]})
    moment = "2026-01-02T03:04:05Z"
    assert found == {"schema_version": 1, "at": moment, "list": [{"at": moment}]}


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:04:05.123456+00:00", "2026-01-02 03:04:05", "2026-02-30 00:00:00", "2026-01-02"],
)
def test_what_somebody_wrote_is_printed_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = {"path": "training.since", "value": text, "source": "yaml"}
    found = printed(capsys, {"values": [value]})
    assert found["values"] == [value]
    check_document("config show", found)
    line = Line(NOW, "provision", "stdout", text)
    assert printed(capsys, line.as_json())["message"] == text
    facts = a_record(1, facts={"image_labels": {"made": text}})
    assert printed(capsys, record_as_json(facts))["facts"]["image_labels"]["made"] == text


def test_dates_of_a_record_have_one_form_and_one_that_is_none_is_null() -> None:
    record = a_record(1, creation_date="2026-01-02 05:04:05.5+02:00", status_since="2026-02-30 00:00:00")
    fields = record_as_json(record)
    assert (fields["creation_date"], fields["status_since"]) == ("2026-01-02T03:04:05Z", None)


def test_an_environment_in_every_state_has_the_form_of_status(capsys: pytest.CaptureFixture[str]) -> None:
    micros = NOW.replace(microsecond=123_456)
    claim = Claim(
        execution_arn="arn:aws:states:us-east-1:123456789012:execution:m:one",
        number=1,
        action=Action.BUILD,
        claimed_at=micros,
        lease_until=micros,
    )
    busy = EnvironmentRecord(
        environment="prod",
        claim=claim,
        queued_request=BuildRequest(environment="prod"),
        pin=Pin(image_id="ami-0123456789abcdef0", at=micros),
    )
    seen = [an_observation(), an_observation(record=busy, metadata=None, history=None)]
    check_document("status", printed(capsys, {"environments": [each.as_json() for each in seen]}))


def test_a_record_has_its_number_as_a_number_and_no_date_where_none_was_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, odd = a_record(12), a_record(1, workflow_run_number="unknown", verified_at=None, creation_date="")
    images = [record_as_json(each) for each in (good, odd)]
    assert [each["workflow_run_number"] for each in images] == [12, None]
    document = {"environment": "prod", "images": images, "unreadable": []}
    check_document("history", printed(capsys, document))


def test_a_build_has_the_form_of_its_contract(capsys: pytest.CaptureFixture[str]) -> None:
    states = (StateRun("Plan Build", NOW, NOW + timedelta(seconds=1)), StateRun("Await Provisioning", NOW))
    running = Build(a_run(1, status="RUNNING", stopped=None, output={}), states, None)
    builds = [each.as_json(NOW) for each in (running, Build(a_run(2), states, a_record(2)))]
    check_document("builds", printed(capsys, {"environment": "prod", "builds": builds}))
    check_document("show", printed(capsys, {"kind": "build", **builds[0]}))


def test_the_digest_of_a_build_that_was_asked_for_by_tag_is_that_of_its_plan() -> None:
    source = Source(repository_uri="registry/comfyui", digest=f"sha256:{7:064x}")
    plan = BuildPlan(
        action=Action.BUILD, trigger=Trigger.MANUAL, environment="prod", reasons=("why",), source=source
    )
    visit = StateRun("Plan Build", NOW, NOW, {"plan": plan.model_dump(mode="json")})
    aborted = Build(a_run(1, status="ABORTED", output={}), (visit,), None)
    assert aborted.digest == source.digest


@pytest.mark.parametrize("outcome", list(Outcome))
def test_each_outcome_of_wait_has_its_exit_code_in_the_document_and_in_the_reference(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: WaitObservation | None = None
    document = Verdict(outcome, "because", seen).as_json(WaitTarget("prod"), 1.25)
    assert printed(capsys, document)["exit_code"] == EXIT_CODES[outcome]
    check_document("wait", {"schema_version": 1, **document})
    if EXIT_CODES[outcome]:
        assert f"| {EXIT_CODES[outcome]} | `wait`: {outcome.value} |" in json_markdown()


def test_no_two_outcomes_of_wait_end_alike() -> None:
    assert sorted({*EXIT_CODES.values()}) == [0, 3, 4, 5, 6, 7, 124]
    assert len(EXIT_CODES) == len(Outcome)


@pytest.mark.parametrize(
    "document",
    [
        {"environments": []},
        {"schema_version": "1", "environments": []},
        {"schema_version": 1, "environments": {}},
        {"schema_version": 1, "environments": [], "more": 1},
    ],
)
def test_a_document_of_another_form_is_found(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        check_document("status", document)


@pytest.mark.parametrize("fields", [{"left": "ami-1"}, {"dry_run": "true"}, {"status": 1}])
def test_a_text_is_neither_a_list_nor_a_truth_value(fields: dict[str, Any]) -> None:
    document = {"schema_version": 1, "environment": "prod", "execution_arn": None, "status": "STOPPING"}
    check_document("stop", document)
    with pytest.raises(ValueError, match="validation error"):
        check_document("stop", {**document, **fields})


@pytest.mark.parametrize("at", ["2026-01-02T03:04:05.1+00:00", "2026-01-02 03:04:05Z"])
def test_a_date_of_another_form_is_found(at: str) -> None:
    pin = {"image_id": "ami-0123456789abcdef0", "digest": None, "at": at, "reason": ""}
    fields = {"environment": "prod", "was_pinned": True, "dry_run": True, "pin": pin, "next": None}
    with pytest.raises(ValueError, match=r"another form|validation error"):
        check_document("unpin", {"schema_version": 1, **fields})


def test_reference_and_schema_are_those_of_the_models() -> None:
    assert (ROOT / "docs/json.md").read_text(encoding="utf-8") == json_markdown()
    schema = json_schema()
    assert json.loads((ROOT / "docs/json.schema.json").read_text(encoding="utf-8")) == schema
    references = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    assert references <= schema["$defs"].keys()
    assert DOCUMENTS.keys() <= schema["$defs"].keys()


def test_the_published_schema_lets_a_later_version_add_fields() -> None:
    assert '"additionalProperties": false' not in json.dumps(json_schema())


def test_every_part_that_a_field_holds_has_a_section() -> None:
    text = json_markdown()
    sections = re.findall(r"^\*\*(\w+)\*\*: \S", text, re.MULTILINE)
    fields = re.sub(r"`[^`]*`", "", "".join(re.findall(r"^Fields: (.*)$", text, re.MULTILINE)))
    assert set(re.findall(r"\b[A-Z]\w+", fields)) <= set(sections)
    documents = {model.__name__ for models in DOCUMENTS.values() for model in models}
    parts = [each for each in sections if each not in documents]
    assert len(parts) == len(set(parts))
