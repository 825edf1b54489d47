"""The command line, and what notebooks import: `load`, `draw`."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from commands.demo import demo
from commands.export import export
from commands.inspection import inspect, verify
from commands.jobs import status, stop, submit
from commands.predict import predict
from commands.results import diagnose, evaluate, report, score_net
from commands.searches import SpaceOrCommand, ablate, tune_report, tune_run
from commands.splits import convert, synth
from commands.training import models, recipes, train

if TYPE_CHECKING:
    from engine.estimator import draw, load

__all__ = ["draw", "load"]

_PACKAGES = ("pose", "sharding", "pipelines", "models", "evaluation", "engine", "recipes", "tune", "commands")


_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Start": (demo,),
    "Data": (convert, synth, inspect, verify),
    "Networks": (train, recipes, models),
    "Results": (evaluate, diagnose, report, predict, export, score_net),
    "Searches": (ablate,),
    "Clusters": (submit, status, stop),
}
_PASSES_ARGUMENTS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def _app() -> typer.Typer:
    made = typer.Typer(
        help="2-D human pose estimation whose data pipeline comes first.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    for panel, commands in _COMMANDS.items():
        for command in commands:
            settings = _PASSES_ARGUMENTS_ON if command is submit else None
            name = command.__name__.replace("_", "-")
            made.command(name, rich_help_panel=panel, context_settings=settings)(command)
    searches = typer.Typer(cls=SpaceOrCommand, no_args_is_help=True, rich_markup_mode="markdown")
    searches.command("run")(tune_run)
    searches.command("report")(tune_report)
    about = "Search a recipe's settings: `posestream tune SPACE`."
    made.add_typer(searches, name="tune", help=about, rich_help_panel="Searches")
    return made


app = _app()


def __getattr__(name: str) -> Any:
    """`load` and `draw` bring torch, which the command line does not always need."""
    if name not in __all__:
        raise AttributeError(f"module 'posestream' has no attribute {name!r}")
    import engine.estimator

    return getattr(engine.estimator, name)


def _require_own_packages() -> None:
    """In an editable install a foreign top-level `models` in site-packages would win over ours."""
    root = Path(__file__).resolve().parent
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None
        if found is None or root not in found.parents:
            sys.exit(
                f"posestream: the package {name!r} comes from {found}, not from {root}; "
                "uninstall what brings it, or run from the checkout"
            )


def main() -> None:
    """Entry point: errors that a user can mend are printed without a traceback."""
    _require_own_packages()
    from pose.errors import UserError

    try:
        app()
    except (UserError, OSError) as error:  # an OSError that reaches this far names a file that cannot be used
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
