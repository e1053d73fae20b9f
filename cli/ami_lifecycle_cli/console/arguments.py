"""Arguments that look like options: a negative number, or a value such as --lowvram."""

from __future__ import annotations

import difflib
import re
from typing import Any

import typer.core

_NUMBER = re.compile(r"-\.?[0-9].*")


class CommandWithArguments(typer.core.TyperCommand):
    """A command that accepts negative numbers as values, and explains how to pass other values that look like
    options.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for parameter in self.params:
            # Otherwise the help shows a switch as if it took a value.
            if getattr(parameter, "is_flag", False) and parameter.metavar is None:
                parameter.metavar = ""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command's arguments."""
        if any(parameter.param_type_name == "argument" for parameter in self.params):
            args = self._escape_negative_numbers(ctx, list(args))
        return super().parse_args(ctx, args)

    def _escape_negative_numbers(self, ctx: Any, words: list[str]) -> list[str]:
        """The arguments with negative numbers moved behind `--`, where nothing is parsed as an option."""
        end = words.index("--") if "--" in words else len(words)
        takes_value = {name: self._takes_value(option) for option in self.params for name in option.opts}
        takes_value |= dict.fromkeys([*self._switches(), *ctx.help_option_names], False)
        before: list[str] = []
        numbers: list[str] = []
        rest = iter(words[:end])
        for word in rest:
            name = word.split("=", 1)[0]
            short = word[:2]
            if word == "-" or not word.startswith("-"):
                before.append(word)
            elif _NUMBER.fullmatch(word):
                numbers.append(word)
            elif name in takes_value or (not word.startswith("--") and short in takes_value):
                before.append(word)
                if takes_value.get(word, False) and (value := next(rest, None)) is not None:
                    before.append(value)
            else:
                close = difflib.get_close_matches(name, takes_value, n=1)
                ctx.fail(
                    f"No such option: {word}. "
                    + (f"Did you mean {close[0]}? " if close else "")
                    + f"If it is a value, put -- before it: {ctx.command_path} ... -- {word}"
                )
        behind = [*numbers, *words[end + 1 :]]
        return [*before, "--", *behind] if numbers or end < len(words) else before

    @staticmethod
    def _takes_value(parameter: Any) -> bool:
        return parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)

    def _switches(self) -> list[str]:
        return [name for option in self.params for name in option.secondary_opts]
