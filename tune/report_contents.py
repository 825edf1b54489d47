"""What stands in a report of a search."""

import shlex
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sharding.storage import Folder
from tune import plots
from tune.plot_axes import is_number
from tune.plot_parallel import parallel_coordinates
from tune.plot_trials import Shown, best_first
from tune.report_importance import FEWEST_TRIALS, importances
from tune.report_page import Page, Row, Section
from tune.report_table import cells, columns, last_epoch
from tune.searched import Searched, distribution_text, value_text
from tune.trials import Trial


def page_of(
    folder: Folder,
    searched: Searched,
    shown: Sequence[Shown],
    best: Shown | None,
    recipe: Path | None,
) -> Page:
    return Page(
        title=f"{folder.name}: search over {searched.recipe}",
        facts=_facts(folder, searched, [one.trial for one in shown]),
        best=_best_text(best, searched),
        settings=_settings(searched, best),
        commands=_commands(folder, best, recipe),
        columns=columns(searched),
        rows=[_row(one, searched, folder) for one in best_first(shown, searched)],
        trials_text="The best first; a click on a column's name sorts by it.",
        sections=_sections(shown, searched),
    )


def _facts(folder: Folder, searched: Searched, trials: Sequence[Trial]) -> list[str]:
    counts = Counter(trial.status for trial in trials)
    states = ", ".join(f"{counts[status]} {status}" for status in ("finished", "stopped", "failed", "running")
                       if counts[status])  # fmt: skip
    begun = f"{len(trials)} of {searched.trials} trials" if searched.trials else f"{len(trials)} trials"
    reports = [epoch["timestamp"] for trial in trials for epoch in trial.epochs if is_number(epoch.get("timestamp"))]
    last = f"; last report {_moment(max(reports))}" if reports else ""
    end = "largest" if searched.mode == "max" else "smallest"
    seed = "" if searched.seed is None else f", seed {searched.seed}"
    versions = ", ".join(f"{name} {number}" for name, number in searched.versions.items())
    return [
        f"{begun} began{': ' + states if states else ''}{last}.",
        f"Wanted: the {end} {searched.metric}. Searcher {searched.searcher}{seed}; scheduler {searched.scheduler}; "
        f"{searched.epochs} epochs unless stopped.",
        " · ".join(filter(None, [folder.uri, versions, f"page of {_moment(time.time())}"])),
    ]


def _best_text(best: Shown | None, searched: Searched) -> str:
    if best is None:
        return f"No trial has reported {searched.metric} without failing."
    so_far = ", so far" if best.trial.status == "running" else ""
    text = (
        f"{searched.metric} {best.score:.4g} in trial {best.trial.id} after {last_epoch(best.trial):g} epochs{so_far}."
    )
    return f"{text} Its settings changed on the way; these are the last ones." if searched.is_pbt else text


def _settings(searched: Searched, best: Shown | None) -> list[list[str]]:
    rows = [["setting", "best", "recipe", "searched"]]
    for name, distribution in searched.search.items():
        found = "–" if best is None else value_text(best.trial.settings.get(name))
        rows.append([name, found, value_text(searched.base_value(name)), distribution_text(distribution)])
    return rows


def _commands(folder: Folder, best: Shown | None, recipe: Path | None) -> list[tuple[str, str]]:
    commands = []
    if recipe is not None and best is not None:
        commands.append(
            ("Train with these settings, from the start:", shlex.join(("posestream", "train", str(recipe))))
        )
        local = folder.local is not None and best.trial.checkpoint is not None
        if local:
            score = shlex.join(("posestream", "evaluate", str(recipe), "--checkpoint", str(best.trial.checkpoint)))
            commands.append(("Score what the search has trained already:", score))
    if folder.local is not None:
        board = shlex.join(("tensorboard", "--logdir", str(folder.local)))
    else:
        board = "tensorboard --logdir FOLDER  # a copy of " + folder.uri
    return [*commands, ("Ray's event files lie in the trials' folders; for TensorBoard:", board)]


def _row(shown: Shown, searched: Searched, folder: Folder) -> Row:
    kind = "best" if shown.is_best else "failed" if shown.trial.status == "failed" else ""
    return Row(shown.number, kind, cells(shown, searched, folder.uri))


def _sections(shown: Sequence[Shown], searched: Searched) -> list[Section]:
    """Figures of what there is."""
    if not any(one.trial.epochs for one in shown):
        return []
    metric = searched.metric
    curves = {"curve-metric": plots.learning_curves(metric, metric, shown)}
    if metric != "loss":
        curves["curve-loss"] = plots.learning_curves("loss", "loss", shown)
    slices = {f"slice-{at}": plots.slice_of(name, shown, searched) for at, name in enumerate(searched.search)}
    return [
        Section(
            "Progress of the search",
            "Grey to blue: the worst to the best trial. Orange: the best. Red: failed. The same in all figures.",
            {"history": plots.history(shown, searched)},
        ),
        Section(
            "Settings and score together",
            "Drag along an axis to pick trials, here and in the table; click on the axis to let go.",
            {"parallel": parallel_coordinates(shown, searched)},
        ),
        Section("Score over each setting", "Over the whole range that was searched.", slices, grid=True),
        _importance(shown, searched),
        Section("Learning curves", "Point at a line to see whose it is.", curves),
    ]


def _importance(shown: Sequence[Shown], searched: Searched) -> Section:
    heading = "Importance of the settings"
    shares = importances([one.trial for one in shown], searched)
    if not shares:
        return Section(
            heading, f"Too few trials to tell: it takes {FEWEST_TRIALS} that reported {searched.metric}.", {}
        )
    text = (
        "How much a setting decided whether a trial came among the best (PED-ANOVA). Stopped trials count with the "
        "value that they had; with few trials, the order of small shares means nothing."
    )
    return Section(heading, text, {"importance": plots.importance(shares)})


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
