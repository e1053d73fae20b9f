"""Each function, invoked alone with its files in events/: a result or an error with a name, never a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.template.stack import functions
from tests.workflows.configuration import PROJECT
from tests.workflows.service import Service

from ami_lifecycle.errors import AmiLifecycleError, names_of

NAMED = names_of(AmiLifecycleError)
BY_NAME = {name: function.logical_id for name, function in functions().items()}
EVENTS = {
    path.name: name
    for path in sorted((PROJECT / "events").glob("*.json"))
    for name in BY_NAME
    if path.stem == name or path.stem.startswith(f"{name}_")
}


def outcome(service: Service, function: str, event: Any) -> str:
    """`ok`, or the name of the error; its message must say something."""
    answer, payload = service.invoke(BY_NAME[function], event)
    if "FunctionError" not in answer:
        return "ok"
    assert len(payload["errorMessage"]) > 20
    return str(payload["errorType"])


def test_every_function_has_an_event() -> None:
    assert set(EVENTS.values()) == set(BY_NAME)


@pytest.mark.parametrize("file", EVENTS)
def test_a_function_answers_its_event_or_names_what_is_wrong(service: Service, file: str) -> None:
    event = json.loads((PROJECT / "events" / file).read_text())
    assert outcome(service, EVENTS[file], event) in NAMED | {"ok"}


@pytest.mark.parametrize("function", sorted(set(BY_NAME) - {"sweep_environments"}))
@pytest.mark.parametrize("event", [17, [], "prod", None, {}, {"plan": {}}, {"detail": []}], ids=repr)
def test_a_function_refuses_an_event_of_no_known_shape_by_name(
    service: Service, function: str, event: Any
) -> None:
    assert outcome(service, function, event) == "InvalidRequestError"


def test_the_sweep_takes_any_event(service: Service) -> None:
    assert outcome(service, "sweep_environments", {"whatever": 1}) == "ok"
