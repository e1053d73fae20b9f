"""The picture of the state machine, as a Mermaid flowchart, drawn from its definition."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_SHAPES = {
    "Task": '["{}"]',
    "Pass": '["{}"]',
    "Choice": '{{"{}"}}',
    "Wait": '[/"{}"/]',
    "Succeed": '(["{}"])',
    "Fail": '[["{}"]]',
}


def draw(definition: Path) -> str:
    """Return the flowchart of a state machine in Amazon States Language.

    Every Task leads to the clean-up when it fails, so those edges are one dotted line.
    """
    machine = yaml.safe_load(definition.read_text(encoding="utf-8"))
    states: dict[str, Any] = machine["States"]
    ids = {name: f"s{number}" for number, name in enumerate(states)}
    lines = ["flowchart TD", f"    start((start)) --> {ids[machine['StartAt']]}"]
    for name, state in states.items():
        lines.append(f"    {ids[name]}{_SHAPES[state['Type']].format(name)}")
    for name, state in states.items():
        for target, label in _edges(state):
            arrow = f"-- {label} -->" if label else "-->"
            lines.append(f"    {ids[name]} {arrow} {ids[target]}")
    lines.append(f"    any{{{{any step fails}}}} -.-> {ids['Clean Up Build']}")
    return "\n".join(lines) + "\n"


def _edges(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "Next" in state:
        yield state["Next"], ""
    for choice in state.get("Choices", ()):
        yield choice["Next"], _label(choice)
    if "Default" in state:
        yield state["Default"], "else" if state["Type"] == "Choice" else ""
    for catch in state.get("Catch", ()):
        if catch["Next"] != "Clean Up Build":
            yield catch["Next"], "fails"


def _label(choice: dict[str, Any]) -> str:
    rules = choice.get("And", [choice])
    rule = rules[-1]
    if "IsNull" in rule:
        return "no" if rule["IsNull"] else "yes"
    value = rule.get("StringEquals", rule.get("BooleanEquals"))
    return "yes" if value is True else str(value)
