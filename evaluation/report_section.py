"""What a report is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.evaluation_folder import Evaluation
from evaluation.report_html import Child, Html, data_text, element

COLOURS = 8  # that the page tells apart; runs beyond them take them again


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading. `body` None: nothing is known of it, and `missing` says why."""

    id: str
    heading: str
    body: Html | None
    missing: str = ""


def section_html(section: Section) -> Html:
    body = section.body or element("p", section.missing, class_="quiet")
    return element("section", element("h2", section.heading), body, id=section.id)


def absent(runs: Sequence[Evaluation], lacking: Sequence[Evaluation], file: str) -> Html | None:
    """Which of the runs a section cannot show."""
    if not lacking or len(lacking) == len(runs):
        return None
    names = [[", " if number else "", data_text(run.name)] for number, run in enumerate(lacking)]
    return element("p", "Not here, for want of ", element("code", file), ": ", names, ".", class_="quiet")


def run_key(runs: Sequence[Evaluation], numbers: Sequence[int]) -> Html | None:
    """Names and colours of several runs; nothing for one."""
    if len(runs) < 2:
        return None
    entries = [element("li", swatch(number), data_text(runs[number].name)) for number in numbers]
    return element("ul", entries, class_="key", aria_label="runs")


def swatch(number: int) -> Html:
    line = element("path", class_=f"line {run_class(number)}", d="M1 5H23")
    return element("svg", line, class_="swatch", viewBox="0 0 24 10", aria_hidden="true")


def run_class(number: int) -> str:
    return f"run-{number % COLOURS}"


def heading(text: Child) -> Html:
    return element("h3", text)
