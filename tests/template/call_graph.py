"""Which ports a function can call, read from the source: from `app.py` through the steps to the ports.

It reads annotations, so it sees what the type checker sees: a parameter or a field `images: Images` makes
`images.get(...)` a call of `Images.get`, and a field `planner: Planner` makes `self.planner.images.get(...)` one.
It may find more than one run does, and never less.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.template.stack import ROOT

STEPS = ROOT / "layers" / "ami_lifecycle" / "ami_lifecycle" / "steps"
PACKAGE = "ami_lifecycle.steps"
# Where the functions that need many adapters have them put together.
COMPOSITION = "ami_lifecycle.adapters.composition"


@dataclass(frozen=True)
class Definition:
    """A function or a method of the steps, or a whole `app.py`."""

    module: str
    owner: str | None
    name: str
    node: ast.AST
    ports: dict[str, str] = field(default_factory=dict, hash=False, compare=False)
    # Which class each field and argument is of.
    objects: dict[str, str] = field(default_factory=dict, hash=False, compare=False)


@dataclass
class Module:
    """A module's definitions, and where the names come from that it uses."""

    definitions: list[Definition] = field(default_factory=list)
    imported: dict[str, str] = field(default_factory=dict)


def _ports_module() -> set[str]:
    tree = ast.parse((STEPS.parent / "ports.py").read_text())
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Protocol" for base in node.bases)
    }


@cache
def port_names() -> frozenset[str]:
    """Names of all ports."""
    return frozenset(_ports_module())


def _annotated_ports(pairs: Iterator[tuple[str, ast.expr | None]]) -> dict[str, str]:
    found = {}
    for name, annotation in pairs:
        words = (
            {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)} if annotation else set()
        )
        for port in words & port_names():
            found[name] = port
    return found


def _annotated_objects(pairs: Iterator[tuple[str, ast.expr | None]]) -> dict[str, str]:
    return {name: annotation.id for name, annotation in pairs if isinstance(annotation, ast.Name)}


def _arguments(node: ast.FunctionDef) -> Iterator[tuple[str, ast.expr | None]]:
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        yield argument.arg, argument.annotation


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None]]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield f"self.{item.target.id}", item.annotation
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            for name, annotation in _arguments(item):
                yield f"self.{name}", annotation
                yield f"self._{name}", annotation


def _read(name: str, path: Path, *, whole: bool) -> Module:
    tree = ast.parse(path.read_text())
    module = Module()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith((PACKAGE, COMPOSITION)):
            for alias in node.names:
                source = f"{node.module}.{alias.name}" if node.module == PACKAGE else str(node.module)
                module.imported[alias.asname or alias.name] = source
    if whole:
        module.definitions.append(Definition(name, None, "<module>", tree))
        return module
    for item in tree.body:
        if isinstance(item, ast.FunctionDef):
            ports = _annotated_ports(_arguments(item))
            module.definitions.append(Definition(name, None, item.name, item, ports))
        elif isinstance(item, ast.ClassDef):
            fields = _annotated_ports(_fields(item))
            objects = _annotated_objects(_fields(item))
            for method in item.body:
                if isinstance(method, ast.FunctionDef):
                    ports = fields | _annotated_ports(_arguments(method))
                    known = objects | _annotated_objects(_arguments(method))
                    module.definitions.append(Definition(name, item.name, method.name, method, ports, known))
    return module


@cache
def _steps() -> dict[str, Module]:
    files = {f"{PACKAGE}.{path.stem}": path for path in sorted(STEPS.glob("*.py"))}
    files[COMPOSITION] = STEPS.parent / "adapters" / "composition.py"
    return {name: _read(name, path, whole=False) for name, path in files.items()}


def _visible(module: Module, own_name: str) -> set[str]:
    sources = {own_name, *module.imported.values()}
    if COMPOSITION in sources:
        sources |= set(_steps()[COMPOSITION].imported.values())
    return sources & _steps().keys()


def _next(definition: Definition, module: Module) -> Iterator[Definition]:
    """Definitions that this one may use: functions by name, methods by attribute, in modules that it sees."""
    names = {node.id for node in ast.walk(definition.node) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(definition.node) if isinstance(node, ast.Attribute)}
    for source in _visible(module, definition.module):
        for candidate in _steps()[source].definitions:
            local = source == definition.module or candidate.name in module.imported
            if candidate.owner is None and candidate.name in names and local:
                yield candidate
            # A private method is called by its own class alone.
            private = candidate.name.startswith("_") and candidate.owner != definition.owner
            if candidate.owner is not None and candidate.name in attributes and not private:
                yield candidate


def _port_calls(definition: Definition) -> Iterator[tuple[str, str]]:
    ports = definition.ports | _borrowed_ports(definition)
    for node in ast.walk(definition.node):
        if isinstance(node, ast.Assign) and ast.unparse(node.value) in ports:
            for target in node.targets:
                ports[ast.unparse(target)] = ports[ast.unparse(node.value)]
    for node in ast.walk(definition.node):
        if isinstance(node, ast.Attribute):
            port = ports.get(ast.unparse(node.value))
            if port is not None:
                yield port, node.attr


def _borrowed_ports(definition: Definition) -> dict[str, str]:
    """Ports that belong to an object in a field: `self.planner.images`, where `Planner` has `self.images`."""
    found = {}
    for held, owner in definition.objects.items():
        for module in _steps().values():
            for other in module.definitions:
                if other.owner == owner:
                    borrowed = {name.replace("self", held, 1): port for name, port in other.ports.items()}
                    found.update(
                        {name: port for name, port in borrowed.items() if name.startswith(f"{held}.")}
                    )
    return found


@cache
def _reached(function: str) -> frozenset[Definition]:
    """The function's `app.py`, and every definition that it may use."""
    app = _read(function, ROOT / "functions" / function / "app.py", whole=True)
    waiting = [app.definitions[0]]
    seen: set[Definition] = set()
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting.extend(_next(current, _steps().get(current.module, app)))
    return frozenset(seen)


def port_calls(function: str) -> frozenset[tuple[str, str]]:
    """`(port, method)` for everything that a function may call."""
    return frozenset(call for definition in _reached(function) for call in _port_calls(definition))


def names_used(function: str) -> frozenset[str]:
    """Every name and attribute in a function's `app.py`, and in what puts its adapters together."""
    nodes = [
        node
        for definition in _reached(function)
        if definition.module in {function, COMPOSITION}
        for node in ast.walk(definition.node)
    ]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return frozenset(names | {node.attr for node in nodes if isinstance(node, ast.Attribute)})
