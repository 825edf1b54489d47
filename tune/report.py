"""What a search found: the best trials on the screen, its best settings as a recipe, and a page with all of it."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from engine.config import ConfigError
from sharding.storage import Folder
from tune.plot_trials import Shown, best_first, shown_trials
from tune.report_contents import page_of
from tune.report_page import page_html
from tune.report_table import best_table
from tune.searched import Searched, best_recipe, read_searched
from tune.trials import read_trials

PAGE, RECIPE = "report.html", "best_recipe.json"
_SHOWN = 10


@dataclass(frozen=True)
class Report:
    """`page`; `recipe` is None while no trial has a value of the metric. `notes` say what went wrong."""

    page: Path
    recipe: Path | None
    notes: tuple[str, ...]


def write_report(folder: Folder, out: Path | None, console: Console) -> Report:
    """Write the page and the best recipe of a search, finished or not, and print its best trials.

    Args:
        folder: of the experiment. out: where to write; by default there, of a URI in runs/NAME-report.
    Raises:
        ReportError: the folder is none of a search. StorageError: it cannot be
            read. ConfigError: its recipe is none of this version.
    """
    target = out or folder.local or Path("runs") / f"{folder.name}-report"
    searched = read_searched(folder)
    shown = shown_trials(read_trials(folder), searched)
    console.print(best_table(best_first(shown, searched), searched, _SHOWN))
    target.mkdir(parents=True, exist_ok=True)
    best = next((one for one in shown if one.is_best), None)
    recipe, notes = _write_recipe(best, searched, folder, target)
    (target / PAGE).write_text(page_html(page_of(folder, searched, shown, best, recipe)), encoding="utf-8")
    return Report(target / PAGE, recipe, notes)


def _write_recipe(
    best: Shown | None, searched: Searched, folder: Folder, target: Path
) -> tuple[Path | None, tuple[str, ...]]:
    if best is None:
        return None, (f"no trial has reported {searched.metric} without failing: there are no best settings yet",)
    try:
        recipe = best_recipe(searched, best.trial.settings, f"{folder.name}-best")
    except ConfigError as error:
        return None, (f"the settings of trial {best.trial.id} are no recipe of this version: {error}",)
    (target / RECIPE).write_text(recipe.to_json(), encoding="utf-8")
    return target / RECIPE, ()
