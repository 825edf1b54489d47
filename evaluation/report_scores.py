"""The scores of every run, beside what was published."""

from collections.abc import Sequence

from evaluation.evaluation_folder import Evaluation
from evaluation.report_expected import Expected, counterpart
from evaluation.report_html import Child, Html, data_text, element, fragment, percent, signed, table
from evaluation.report_section import Section, run_class, swatch


def scores_section(runs: Sequence[Evaluation], expected: Expected) -> Section:
    cards = [_card(run, number, expected, len(runs) > 1) for number, run in enumerate(runs)]
    tables = [_table(runs, numbers) for numbers in _of_one_benchmark(runs)]
    body = fragment(element("div", cards, class_="cards"), _different_data(runs), tables)
    return Section("scores", "Scores", body)


def _different_data(runs: Sequence[Evaluation]) -> Html | None:
    digests = {run.metrics.facts.get("dataset digest") for run in runs}
    if len(digests) < 2:
        return None
    warning = "These runs were evaluated on different data: their numbers do not compare. What each was evaluated on "
    return element("p", element("b", "Careful: "), warning, "stands under ", element("a", "data", href="#facts"), ".")


def _card(run: Evaluation, number: int, expected: Expected, several: bool) -> Html:
    metrics = run.metrics
    value = metrics.metrics.get(metrics.primary)
    recipe = metrics.facts.get("recipe", "")
    lines: list[Child] = [
        element("p", [swatch(number) if several else None, data_text(run.name)], class_="name"),
        element("p", element("strong", percent(value, metrics.factor)), " ", metrics.primary, class_="score"),
        _published(run, value, expected),
        element("p", data_text(recipe), class_="quiet") if recipe and recipe != run.name else None,
    ]
    return element("article", lines, class_=f"card {run_class(number)}" if several else "card")


def _published(run: Evaluation, value: float | None, expected: Expected) -> Html:
    rows = [row for row in expected.get(run.metrics.facts.get("recipe", ""), ()) if row.metric == run.metrics.primary]
    found = counterpart(rows, run.recipe)
    if found is None:
        why = "None was published for this recipe." if rows else "No published score is known for this recipe."
        return element("p", why, class_="quiet")
    number, row = found
    difference = None if value is None or value < 0 else round(run.metrics.factor * value, 1) - number
    text = ["published ", element("b", f"{number:g}"), " (", signed(difference), ")"]
    conditions = "; ".join(filter(None, (row.what, row.source)))
    return fragment(element("p", text), element("p", conditions, class_="quiet small"))


def _of_one_benchmark(runs: Sequence[Evaluation]) -> list[list[int]]:
    """Numbers of the runs whose scores have the same names."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, run in enumerate(runs):
        groups.setdefault(tuple(run.metrics.metrics), []).append(number)
    return list(groups.values())


def _table(runs: Sequence[Evaluation], numbers: Sequence[int]) -> Html:
    """A row per metric, a column per run, with the change to the first run."""
    chosen = [runs[number] for number in numbers]
    first = chosen[0].metrics
    header: list[Child] = ["percent"]
    header += [[swatch(number), data_text(runs[number].name)] if len(runs) > 1 else "score" for number in numbers]
    rows = []
    for name in first.metrics:
        if name.endswith("/Mean") and name.removesuffix("/Mean") in first.metrics:  # MPII has it under two names
            continue
        values = [run.metrics.metrics.get(name) for run in chosen]
        cells = [_cell(value, values, first.factor, at > 0) for at, value in enumerate(values)]
        rows.append([element("b", name) if name == first.primary else name, *cells])
    return table(header, rows, class_="numbers")


def _cell(value: float | None, values: Sequence[float | None], factor: int, compared: bool) -> Html:
    known = [other for other in values if other is not None]
    best = len(values) > 1 and value is not None and value >= 0 and value == max(known)
    text = element("b", percent(value, factor)) if best else percent(value, factor)
    first = values[0]
    if not compared or value is None or first is None or min(value, first) < 0:
        return fragment(text)
    return fragment(text, element("small", signed(factor * (value - first)), class_="change"))
