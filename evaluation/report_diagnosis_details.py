"""Errors per keypoint, and per size, occlusion and crowding of the persons."""

from collections.abc import Sequence

from evaluation.diagnosis_errors import ERROR_TYPES
from evaluation.diagnosis_sensitivity import Group
from evaluation.report_bars import bar_rows, meter, stack
from evaluation.report_html import Child, Html, data_text, element, fragment, percent, table
from evaluation.stored_diagnosis import StoredDiagnosis, percents

Diagnosed = Sequence[tuple[int, str, StoredDiagnosis]]  # number and name of the run


def keypoint_bars(found: Diagnosed) -> Html:
    """A row per keypoint with a bar per run, and its AP; the numbers behind them on demand."""
    names = list(dict.fromkeys(one.name for _, _, diagnosis in found for one in diagnosis.errors.keypoints))
    by_name = [(run, {one.name: one for one in diagnosis.errors.keypoints}) for _, run, diagnosis in found]
    rows: list[tuple[Child, Child, Child]] = []
    numbers: list[list[Child]] = []
    for name in names:
        own = [(run, keypoints[name]) for run, keypoints in by_name if name in keypoints]
        bars = [stack(percents(one.shares), f"{name}, {run}") for run, one in own]
        rows.append((_readable(name), bars, [element("div", percent(one.ap)) for _, one in own]))
        for run, one in own:
            label = _readable(name) if len(found) == 1 else fragment(_readable(name), ", ", data_text(run))
            shares = [percent(one.shares.get(kind)) for kind in ERROR_TYPES]
            numbers.append([label, f"{one.keypoints:,}", *shares, percent(one.mean_similarity), percent(one.ap)])
    header: list[Child] = ["", "labelled", *ERROR_TYPES, "OKS", "AP"]
    more = element("details", element("summary", "Numbers"), table(header, numbers, class_="numbers"))
    return fragment(bar_rows(rows, ("keypoint", "share of each kind", "AP")), more)


def sensitivity_bars(found: Diagnosed) -> Html:
    """A small table per dimension: AP per group of persons, how many they are, and how many were missed."""
    dimensions = {one.name: (one.label, one.note) for _, _, diagnosis in found for one in diagnosis.sensitivity}
    boxes = [_dimension(name, label, note, found) for name, (label, note) in dimensions.items()]
    return element("div", boxes, class_="boxes")


def _dimension(name: str, label: str, note: str, found: Diagnosed) -> Html:
    groups: dict[str, list[tuple[int, str, Group]]] = {}
    for number, run, diagnosis in found:
        for dimension in diagnosis.sensitivity:
            for group in dimension.groups if dimension.name == name else []:
                groups.setdefault(group.group, []).append((number, run, group))
    rows: list[tuple[Child, Child, Child]] = []
    for group_name, own in groups.items():
        bars = [meter(group.ap, 1, percent(group.ap), number, _told(run, group)) for number, run, group in own]
        rows.append((group_name, bars, f"{own[0][2].persons:,}"))
    caption = [element("h4", label), element("p", note, class_="quiet small") if note else None]
    return element("div", caption, bar_rows(rows, ("", "AP", "persons")), class_="box")


def _told(run: str, group: Group) -> str:
    """What the bar's tooltip says."""
    wrong = ", ".join(f"{kind} {percent(group.shares.get(kind))} %" for kind in ERROR_TYPES[1:])
    return f"{run}: AR {percent(group.ar)}, mean OKS {percent(group.mean_oks)}, {group.missed} missed; {wrong}"


def _readable(keypoint: str) -> Html:
    return data_text(keypoint.replace("_", " "))
