"""A report as one HTML file that needs nothing else: scores, notes, and pictures of answers beside the truth."""

import base64
from collections.abc import Iterable, Mapping
from html import escape

from evaluation.score import Score
from evaluation.table import score_rows

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 2rem 0; } figure div { display: flex; gap: .5rem; flex-wrap: wrap; }
figure img { max-width: 48%; height: auto; border-radius: 4px; }
@media (max-width: 40rem) { figure img { max-width: 100%; } }
figcaption, .quiet { color: #888; overflow-wrap: anywhere; }
"""


def report_html(
    title: str,
    scores: Mapping[str, Score],
    facts: Mapping[str, str],
    pictures: Iterable[tuple[str, bytes, bytes]],
) -> str:
    """The page.

    Args:
        scores: named scores of one benchmark, a row or more each.
        facts: what was evaluated, on what, with what.
        pictures: caption, JPEG with the annotated persons, JPEG with the predicted ones. Every text is escaped.
    """
    header, rows = score_rows(scores)
    notes = dict.fromkeys(note for score in scores.values() for note in score.notes)
    figures = [
        f"<figure><div>{_image(annotated, 'annotated: ' + caption)}{_image(predicted, 'predicted: ' + caption)}</div>"
        f"<figcaption>{escape(caption)}: annotated, predicted</figcaption></figure>"
        for caption, annotated, predicted in pictures
    ]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        _table(header, rows),
        *(f"<p class=quiet>{escape(note)}</p>" for note in notes),
        *figures,
        _table(["", ""], [[name, value] for name, value in facts.items()]),
        "</html>",
    ]
    return "\n".join(parts)


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _image(jpeg: bytes, description: str) -> str:
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{escape(description)}">'
