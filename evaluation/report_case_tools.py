"""Buttons and lists that say which pictures are shown, in which order, and with what drawn over them."""

from collections.abc import Sequence

from evaluation.case import Case
from evaluation.report_html import Child, Html, element

# Name of what is switched, its key in the magnified picture, and whether it is on at first.
TOGGLES = (
    ("predicted", "p", True), ("annotated", "a", True), ("keypoints", "k", True), ("errors", "e", True),
    ("heatmap", "h", False), ("boxes", "b", False), ("ids", "i", False),
)  # fmt: skip


def case_tools(cases: Sequence[Case], several: bool) -> Html:
    """Hidden until the page's script makes them work."""
    ranks = sorted({case.rank for case in cases})
    errors = sorted({error for case in cases for error, count in case.counts.items() if count})
    orders = [("gap", "greatest loss first"), ("-gap", "greatest gain first")] if several else []
    orders += [("value", "worst first"), ("-value", "best first")]
    orders += [("name", "file name"), *((f"count:{error}", f"most {error}") for error in errors)]
    chosen: list[Child] = [
        _select("rank", "show", [("", "all"), *((rank, rank) for rank in ranks)]),
        _select("error", "with", [("", "any error or none"), *((error, error) for error in errors)]),
        _select("order", "sort", orders),
        element("output", id="shown-pictures", class_="quiet"),
    ]
    return element("div", toggle_buttons(), element("div", chosen, class_="tools"), class_="case-tools", hidden=True)


def toggle_buttons() -> Html:
    buttons = [
        element(
            "button", name, type="button", data_toggle=name, data_key=key, title=f"key {key}",
            aria_pressed="true" if on else "false",
        )
        for name, key, on in TOGGLES
    ]  # fmt: skip
    return element("div", buttons, class_="tools toggles", role="group", aria_label="what is drawn")


def case_dialog() -> Html:
    """The magnified picture; the script fills it."""
    steps = (("‹", "previous", "previous picture"), ("›", "next", "next picture"), ("−", "out", "smaller"),
             ("+", "in", "larger"), ("1:1", "whole", "whole picture"), ("×", "close", "close"))  # fmt: skip
    buttons = [
        element("button", sign, type="button", data_act=act, aria_label=told, title=told) for sign, act, told in steps
    ]
    head = element("header", element("h3", id="closer-name"), element("div", buttons, class_="tools"))
    hint = "arrows: other pictures · + − 0: size · shift and arrows, or drag: move · letters switch · Esc: close"
    return element(
        "dialog", head, toggle_buttons(), element("div", class_="stage"), element("p", hint, class_="quiet small hint"),
        id="closer", aria_labelledby="closer-name",
    )  # fmt: skip


def _select(name: str, label: str, options: Sequence[tuple[str, str]]) -> Html:
    choices = [element("option", text, value=value) for value, text in options]
    return element("label", label, " ", element("select", choices, id=f"case-{name}"))
