"""What was evaluated, with what and how: the loader's verdict, the recipe, versions and notes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluation.evaluation_folder import Evaluation
from evaluation.report_html import Child, Html, data_text, element, fragment, table
from evaluation.report_section import Section, absent, swatch

_ADVICE = {
    "network": "The network is the limit: the hardware is used. A smaller crop or network, bf16 "
    "(train.precision=auto) or more devices make it faster; a faster loader does not.",
    "loader": "The loader is the limit. In this order: data.threads where cores are idle; data.shuffle=image instead "
    "of instance; for remote shards storage.cache, storage.connections, storage.ahead_mb, and a data.shuffle_window "
    "above 0; pictures much larger than the crops are best scaled down before they are converted.",
}
_UNEVEN = (
    "Though the loader alone is faster than the network, the training often waited: batches come unevenly. "
    "data.prefetch=4 evens it out, for remote shards storage.ahead_mb too; on a CPU, the two fight for its cores."
)
_WAITING = 0.05


def verdict_section(runs: Sequence[Evaluation]) -> Section:
    judged = [n for n, run in enumerate(runs) if run.training is not None and run.training.verdict]
    if not judged:
        missing = (
            "No verdict on the loader: none lay in the folder of the training (train.verdict_seconds measures it)."
        )
        return Section("verdict", "Loader's verdict", None, missing)
    cards = [_verdict(runs[n], n, len(runs) > 1) for n in judged]
    lacking = [run for n, run in enumerate(runs) if n not in judged]
    body = fragment(element("div", cards, class_="cards"), absent(runs, lacking, "training.json's verdict"))
    return Section("verdict", "Loader's verdict", body)


def recipe_section(runs: Sequence[Evaluation]) -> Section:
    settings = {run.name: dict(_leaves(run.recipe)) for run in runs if run.recipe is not None}
    if not settings:
        return Section("recipe", "Recipe", None, "No recipe: there is no recipe.json.")
    keys = list(dict.fromkeys(key for own in settings.values() for key in own))
    rows = [(key, [own.get(key, "–") for own in settings.values()]) for key in keys]
    differing = sum(len(set(values)) > 1 for _, values in rows)
    several = len(settings) > 1
    search = element(
        "input", type="search", id="find-setting", placeholder="find a setting", aria_label="find a setting"
    )
    only = element("button", f"only what differs ({differing})", type="button", id="differing", aria_pressed="false")
    tools = element("div", search, only if several else None, class_="tools", hidden=True)
    built = _settings_table(list(settings), rows)
    summary = f"{len(keys)} settings" + (f", {differing} of them differ" if several else "")
    lacking = [run for run in runs if run.recipe is None]
    body = element("details", element("summary", summary), tools, built, id="settings")
    return Section("recipe", "Recipe", fragment(body, absent(runs, lacking, "recipe.json")))


def facts_section(runs: Sequence[Evaluation]) -> Section:
    keys = list(dict.fromkeys(key for run in runs for key in run.metrics.facts))
    header: list[Child] = ["", *(data_text(run.name) for run in runs)]
    rows: list[list[Child]] = [["folder", *(data_text(str(run.folder)) for run in runs)]]
    rows += [[key, *(data_text(run.metrics.facts.get(key, "–")) for run in runs)] for key in keys]
    notes = [
        element("li", [data_text(run.name), ": "] if len(runs) > 1 else None, data_text(note))
        for run in runs
        for note in run.metrics.notes
    ]
    listed = element("ul", notes) if notes else element("p", "No notes.", class_="quiet")
    return Section("facts", "Data, versions, notes", fragment(table(header, rows, class_="texts"), listed))


def _verdict(run: Evaluation, number: int, several: bool) -> Html:
    assert run.training is not None
    verdict = run.training.verdict or {}
    waiting = verdict.get("waiting")
    limit = str(verdict.get("limit", ""))
    uneven = limit == "network" and isinstance(waiting, float) and waiting > _WAITING
    share = f"{100 * waiting:.1f} %" if isinstance(waiting, float) else "–"
    figures = [
        ("training", _rate(verdict, "achieved")),
        ("loader alone", _rate(verdict, "loader_alone")),
        ("network alone", _rate(verdict, "network_alone")),
        ("waiting for data", share),
    ]
    return element(
        "article",
        element("p", swatch(number), data_text(run.name), class_="name") if several else None,
        element("p", "limit: ", element("b", limit or "unknown"), class_="score small-score"),
        element("dl", [[element("dt", name), element("dd", value)] for name, value in figures]),
        element("p", _UNEVEN if uneven else _ADVICE.get(limit)),
        class_="card",
    )


def _rate(verdict: Mapping[str, Any], key: str) -> str:
    value = verdict.get(key)
    return f"{value:,.1f} samples/s" if isinstance(value, float) else "–"


def _settings_table(names: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> Html:
    head = element("tr", [element("th", text, scope="col") for text in ["setting", *map(data_text, names)]])
    body = [
        element(
            "tr", element("th", _breakable(key), scope="row"), [element("td", data_text(value)) for value in values],
            class_="differs" if len(set(values)) > 1 else None, data_find=f"{key} {' '.join(values)}".lower(),
        )
        for key, values in rows
    ]  # fmt: skip
    built = element("table", element("thead", head), element("tbody", body), class_="texts")
    return element("div", built, class_="scroll", tabindex=0, role="group", aria_label="settings")


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted path and value of every setting."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)


def _breakable(key: str) -> list[Child]:
    """A dotted path that may go on in the next line after each dot."""
    first, *others = key.split(".")
    return [first, *([".", element("wbr"), part] for part in others)]
