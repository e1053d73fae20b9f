"""An environment can be named as an argument or with -e, whichever way a command declares it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, get_args

import typer
from typer.models import ArgumentInfo

# Parameters that take the name of an environment as an argument.
_ARGUMENTS: Final = ("environment", "what")
_OTHER: Final = "other_environment"
_Option = Annotated[
    str | None, typer.Option("--environment", "-e", metavar="ENV", help="The same as the argument ENV.")
]
_Argument = Annotated[
    str | None,
    typer.Argument(metavar="[ENV]", help="The same as --environment.", show_default=False),
]

Merge = Callable[[typer.Context, dict[str, Any]], None]


def both_ways(
    own: Sequence[inspect.Parameter], shared: Sequence[inspect.Parameter]
) -> tuple[list[inspect.Parameter], Merge]:
    """The command's parameters with the missing form (argument or option) added, and a function that merges both.

    Args:
        shared: the options that the command gets beside its own.
    """
    argument = next((each for each in own if each.name in _ARGUMENTS and is_argument(each)), None)
    if argument is not None:
        needed = argument.default is inspect.Parameter.empty
        other = inspect.Parameter(_OTHER, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Option)
        changed = [each.replace(default="") if each is argument else each for each in own]
        return [*changed, other], _merge(argument.name, "", needed=needed)
    has_option = any(each.name == "environment" for each in shared)
    if has_option and not any(is_argument(each) for each in own):
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        other = inspect.Parameter(_OTHER, kind, default=None, annotation=_Argument)
        return [other, *own], _merge("environment", None, needed=False)
    return list(own), lambda _context, _arguments: None


def is_argument(parameter: inspect.Parameter) -> bool:
    """Whether a parameter is positional."""
    return any(isinstance(each, ArgumentInfo) for each in get_args(parameter.annotation))


def _merge(name: str, absent: str | None, *, needed: bool) -> Merge:
    def merge(context: typer.Context, arguments: dict[str, Any]) -> None:
        other, given = arguments.pop(_OTHER), arguments.get(name)
        # A typed value takes precedence over an environment variable.
        source = context.get_parameter_source(name)
        if other and given and other != given and source is not None and source.name == "COMMANDLINE":
            context.fail(
                f"{given} and {other} are two environments; name one of them, as the argument or with --environment"
            )
        if needed and not other and not given:
            context.fail("Missing argument 'ENV'.")
        arguments[name] = other or given or absent

    return merge
