"""The report: one HTML page that needs nothing else, about one evaluation or several side by side."""

import base64
import hashlib
from collections.abc import Sequence

from evaluation.evaluation_folder import Evaluation
from evaluation.report_case_script import CASE_SCRIPT
from evaluation.report_cases import cases_section
from evaluation.report_curves import learning_section, pckh_section
from evaluation.report_diagnosis import diagnosis_section
from evaluation.report_expected import Expected
from evaluation.report_facts import facts_section, recipe_section, verdict_section
from evaluation.report_html import Html, data_text, element, fragment
from evaluation.report_scores import scores_section
from evaluation.report_script import EARLY_SCRIPT, SCRIPT
from evaluation.report_section import Section, section_html
from evaluation.report_style import STYLE
from evaluation.report_style_cases import CASE_STYLE


def report_page(runs: Sequence[Evaluation], expected: Expected) -> str:
    """The whole file. `expected`: published scores, by recipe.

    Raises EvaluationFolderError for a picture that cases.json names and that cannot be read, and ValueError for no run.
    """
    if not runs:
        raise ValueError("a report needs at least one evaluation, received none")
    sections = _sections(runs, expected)
    script = SCRIPT + CASE_SCRIPT
    title = runs[0].name if len(runs) == 1 else " and ".join(run.name for run in runs[:3]) + (" …" if runs[3:] else "")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(EARLY_SCRIPT, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title}: evaluation"),
        element("style", Html(STYLE + CASE_STYLE)),
        element("script", Html(EARLY_SCRIPT)),
    )
    body = element(
        "body",
        _header(runs, sections),
        element("main", [section_html(section) for section in sections]),
        element("div", id="tip", role="status", hidden=True),
        element("script", Html(script)),
    )
    page = Html("<!doctype html>\n") + element("html", head, "\n", body, lang="en") + "\n"
    return page.encode("utf-8", "replace").decode("utf-8")  # file names may hold what is no character


def _sections(runs: Sequence[Evaluation], expected: Expected) -> list[Section]:
    every = [
        scores_section(runs, expected),
        diagnosis_section(runs),
        pckh_section(runs),
        learning_section(runs, expected),
        cases_section(runs),
        verdict_section(runs),
        recipe_section(runs),
        facts_section(runs),
    ]
    return [section for section in every if section is not None]


def _header(runs: Sequence[Evaluation], sections: Sequence[Section]) -> Html:
    splits = list(
        dict.fromkeys(run.metrics.facts[key] for run in runs for key in ("split",) if key in run.metrics.facts)
    )
    names, places = (
        [[" · " if number else None, data_text(word)] for number, word in enumerate(words)]
        for words in ([run.name for run in runs], splits)
    )
    links = [element("a", section.heading, href=f"#{section.id}") for section in sections]
    switch = element("button", "dark", type="button", id="theme", hidden=True)
    return fragment(
        element("header", element("h1", names), switch, class_="top"),
        element("p", places, class_="quiet"),
        element("nav", links, aria_label="sections"),
    )


def _policy(*scripts: str) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
