"""Every command with its arguments and options. Made from the typer application."""

import inspect
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from markdown_table import markdown_table
from typer.main import get_command
from value_names import type_name

import posestream


def command_reference() -> str:
    return "\n".join(_sections(get_command(posestream.app), "posestream", "##"))


def _sections(command: Any, path: str, heading: str) -> list[str]:
    below = getattr(command, "commands", None)
    if below is None:
        return [_section(command, path, heading)]
    return [text for name, one in sorted(below.items()) for text in _sections(one, f"{path} {name}", heading)]


def _section(command: Any, path: str, heading: str) -> str:
    about = inspect.cleandoc(command.help or "").replace("\f", "")
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    usage = " ".join([path, *(_argument_name(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
    return "\n\n".join(
        [
            f"{heading} `{path}`",
            f"```text\n{usage}\n```",
            about,
            markdown_table(
                ["argument", "meaning"], [[f"`{_argument_name(one)}`", one.help or ""] for one in arguments]
            ),
            markdown_table(["option", "values", "default", "meaning"], [_option_row(one) for one in options]),
        ]
    )


def _argument_name(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    plain = name.strip("[]")
    if argument.nargs == -1:
        return f"[{plain}]..."
    return plain if argument.required else f"[{plain}]"


def _option_row(option: Any) -> list[str]:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    return [names, "" if option.is_flag else _values(option), _default(option), option.help or ""]


def _values(option: Any) -> str:
    annotation = option.type_descriptor.annotation
    inner = next((one for one in get_args(annotation) if one is not type(None)), annotation)
    if inspect.isclass(inner) and issubclass(inner, Enum):
        return " · ".join(f"`{one.value}`" for one in inner)
    bounds = [
        words.format(f"{bound:g}")
        for words, bound in (("≥\N{NO-BREAK SPACE}{}", option.min), ("≤\N{NO-BREAK SPACE}{}", option.max))
        if isinstance(bound, int | float)
    ]
    return " ".join(["path" if inner is Path else type_name(inner), *bounds]) + (
        ", repeatable" if option.multiple else ""
    )


def _default(option: Any) -> str:
    if option.required:
        return "**required**"
    if option.default in (None, "", [], ()) or callable(option.default):
        return ""
    if option.is_flag:
        return "yes" if option.default else "no"
    return f"`{getattr(option.default, 'value', option.default)}`"
