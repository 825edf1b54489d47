"""The worst and the median pictures with what was predicted and annotated, those of several runs side by side."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.case import Case, CasePerson
from evaluation.case_files import Cases
from evaluation.evaluation_folder import Evaluation
from evaluation.report_case_tools import case_dialog, case_tools
from evaluation.report_drawing import case_svg, picture_definition
from evaluation.report_html import Child, Html, data_text, element, fragment, percent
from evaluation.report_section import Section, absent, run_key, swatch

_MEASURES = {"OKS": "mean OKS of the annotated persons, percent", "correct": "share of correct keypoints, percent"}


@dataclass(frozen=True)
class _Shown:
    """A case of one run. `measure` is what its value is, percent."""

    number: int
    run: str
    cases: Cases
    case: Case
    measure: str


def cases_section(runs: Sequence[Evaluation]) -> Section:
    pictures: dict[tuple[int, str], list[_Shown]] = {}
    for number, run in enumerate(runs):
        for case in run.cases.cases if run.cases is not None else ():
            assert run.cases is not None
            one = _Shown(number, run.name, run.cases, case, _measure(run))
            pictures.setdefault((case.image_id, case.file_name), []).append(one)
    if not pictures:
        return Section("cases", "Pictures", None, "No pictures: there is no cases/cases.json.")
    definitions: dict[str, Html] = {}
    cards = [_card(shown, definitions, len(runs) > 1) for shown in pictures.values()]
    several = [number for number, run in enumerate(runs) if run.cases is not None]
    every = [one.case for shown in pictures.values() for one in shown]
    kept = element("svg", definitions.values(), width=0, height=0, class_="definitions", aria_hidden="true")
    body = fragment(
        run_key(runs, several), case_tools(every, len(several) > 1), kept, element("div", cards, class_="gallery"),
        case_dialog(), absent(runs, [run for run in runs if run.cases is None], "cases/cases.json"),
    )  # fmt: skip
    return Section("cases", "Pictures", element("div", body, class_="cases no-heatmap no-boxes no-ids", id="pictures"))


def _card(shown: Sequence[_Shown], definitions: dict[str, Html], several: bool) -> Html:
    first = shown[0].case
    panes = [_pane(one, definitions, several) for one in shown]
    counts = [sum(one.case.counts.get(name, 0) for one in shown) for name in _errors(shown)]
    return element(
        "article",
        element("h3", data_text(first.file_name)),
        element("div", panes, class_="panes" if len(panes) == 1 else "panes both"),
        class_="case" if len(panes) == 1 else "case pair",
        data_ranks=json.dumps(sorted({one.case.rank for one in shown})),
        data_value=min(one.case.value for one in shown),
        data_gap=shown[-1].case.value - shown[0].case.value if len(shown) > 1 else "",
        data_name=first.file_name,
        data_counts=json.dumps(dict(zip(_errors(shown), counts, strict=True))),
    )


def _pane(one: _Shown, definitions: dict[str, Html], several: bool) -> Html:
    case = one.case
    picture = _define(one, case.picture, "jpeg", definitions)
    heatmap = _define(one, case.heatmap, "png", definitions) if case.heatmap else None
    name = f"{case.file_name}: {_summary(case)}"
    drawing = case_svg(case, one.cases.skeleton, picture, heatmap, name)
    run: list[Child] = [swatch(one.number), data_text(one.run)] if several else []
    chips = [
        element("span", f"{count} {error}", class_="chip") for error, count in case.counts.items() if count and error
    ]
    value = element("b", f"{one.measure} {percent(case.value)}", title=_MEASURES[one.measure])
    caption = element("figcaption", run, value, _rank(case), chips)
    button = element("button", drawing, type="button", class_="zoom", aria_label=f"look closely: {name}")
    persons = element("ul", [_person(person, one.cases) for person in case.persons], class_="persons", hidden=True)
    return element("figure", button, caption, persons, class_="shown")


def _measure(run: Evaluation) -> str:
    return "correct" if run.metrics.primary.startswith("PCKh") else "OKS"


def _define(one: _Shown, file: str, kind: str, definitions: dict[str, Html]) -> str:
    """The id of the picture in the page; the same bytes are there once."""
    content = one.cases.read(file)
    name = f"picture-{hashlib.sha256(content).hexdigest()[:16]}"
    if name not in definitions:
        definitions[name] = picture_definition(name, one.case, base64.b64encode(content).decode("ascii"), kind)
    return name


def _rank(case: Case) -> Html:
    return element("span", case.rank, class_="chip rank")


def _summary(case: Case) -> str:
    wrong = ", ".join(f"{count} {error}" for error, count in case.counts.items() if count)
    return f"{percent(case.value)} ({case.rank}){'; ' + wrong if wrong else ''}"


def _person(person: CasePerson, cases: Cases) -> Html:
    """A line that says in words what the picture shows."""
    names = cases.skeleton.keypoint_names
    wrong = "; ".join(f"{names[k].replace('_', ' ')}: {error}" for k, error in sorted(person.errors.items()))
    told = [f"{person.kind} {person.id}"]
    told += [f"OKS {percent(person.oks)}"] if person.oks is not None else []
    told += [f"score {person.score:.3g}"] if person.score is not None else []
    return element("li", element("b", ", ".join(told)), f": {wrong}" if wrong else None)


def _errors(shown: Sequence[_Shown]) -> list[str]:
    return list(dict.fromkeys(error for one in shown for error in one.case.counts))
