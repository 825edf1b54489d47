"""What the runs get wrong, and what it costs: bars per run, side by side."""

from collections.abc import Sequence

from evaluation.evaluation_folder import Evaluation
from evaluation.report_bars import Row, bar_rows, meter, stack
from evaluation.report_diagnosis_details import Diagnosed, keypoint_bars, sensitivity_bars
from evaluation.report_html import Child, Html, data_text, element, fragment, percent, signed, table
from evaluation.report_section import Section, absent, heading, run_key, swatch
from evaluation.stored_diagnosis import percents

_KINDS = {
    "good": "near the truth, as annotators agree",
    "jitter": "close to the right place",
    "inversion": "at another keypoint of the same person, such as left for right",
    "swap": "at somebody else's keypoint",
    "miss": "at nobody's keypoint",
}
_COUNTS = {
    "images": "pictures",
    "persons": "annotated persons",
    "detections": "detections",
    "matched": "matched, OKS 0.1 or more",
    "missed": "missed persons",
    "background": "detections of nobody",
    "duplicates": "second detections of a person",
}


def diagnosis_section(runs: Sequence[Evaluation]) -> Section | None:
    """None where no run's benchmark has a diagnosis."""
    found = [(number, run.name, run.diagnosis) for number, run in enumerate(runs) if run.diagnosis is not None]
    wanted = [run for run in runs if not run.metrics.primary.startswith("PCKh")]
    if not found:
        missing = "No diagnosis: there is no diagnosis.json; `posestream evaluate` writes it."
        return Section("diagnosis", "Diagnosis", None, missing) if wanted else None
    notes = dict.fromkeys(note for _, _, diagnosis in found for note in diagnosis.notes)
    body = fragment(
        run_key(runs, [number for number, _, _ in found]),
        heading("Right and wrong keypoints"), _kinds(), _overall(found),
        heading("What each kind of error costs"), _costs(found),
        heading("Per keypoint"), keypoint_bars(found),
        heading("Who is hard"), sensitivity_bars(found),
        heading("Persons and detections"), _counts(found),
        [element("p", note, class_="quiet small") for note in notes],
        absent(runs, [run for run in wanted if run.diagnosis is None], "diagnosis.json"),
    )  # fmt: skip
    return Section("diagnosis", "Diagnosis", body)


def _kinds() -> Html:
    entries = [
        element("li", element("span", class_=f"square kind-{kind}"), element("b", kind), " ", meaning)
        for kind, meaning in _KINDS.items()
    ]
    return element("ul", entries, class_="kinds")


def _overall(found: Diagnosed) -> Html:
    bars: list[Row] = []
    rows: list[list[Child]] = []
    for number, name, diagnosis in found:
        shares = diagnosis.errors.overall.shares
        label: Child = [swatch(number), data_text(name)] if len(found) > 1 else "all keypoints"
        bars.append((label, stack(percents(shares), name), None))
        rows.append([label, *(percent(shares.get(kind)) for kind in _KINDS), percent(diagnosis.mean_oks)])
    header: list[Child] = ["percent", *_KINDS, "mean OKS"]
    return fragment(bar_rows(bars), table(header, rows, class_="numbers"))


def _costs(found: Diagnosed) -> Html:
    """Bars of the AP that each correction alone gains, all at one scale."""
    gains = {
        (number, cost.name): None if cost.gain is None else 100 * cost.gain
        for number, _, diagnosis in found
        for cost in diagnosis.costs
    }
    labels = {cost.name: cost.label for _, _, diagnosis in found for cost in diagnosis.costs}
    most = max((gain for gain in gains.values() if gain is not None), default=0.0)
    rows: list[Row] = []
    for cost, label in labels.items():
        own = [(number, name, gains.get((number, cost))) for number, name, _ in found]
        rows.append((label, [meter(gain, most, signed(gain), number, name) for number, name, gain in own], None))
    text = "AP that the results would gain if this alone were mended."
    return fragment(element("p", text, class_="quiet"), bar_rows(rows), _cumulative(found, labels))


def _cumulative(found: Diagnosed, labels: dict[str, str]) -> Html:
    """AP after this and all above it are mended."""
    header: list[Child] = ["mended, one upon the other", *(data_text(name) for _, name, _ in found)]
    rows: list[list[Child]] = [["as it is", *(percent(diagnosis.ap) for _, _, diagnosis in found)]]
    for cost, label in labels.items():
        reached = [{own.name: own.cumulative_ap for own in diagnosis.costs}.get(cost) for _, _, diagnosis in found]
        rows.append([label, *map(percent, reached)])
    return element("details", element("summary", "AP step by step"), table(header, rows, class_="numbers"))


def _counts(found: Diagnosed) -> Html:
    header: list[Child] = ["", *(data_text(name) for _, name, _ in found)]
    rows: list[list[Child]] = [
        [text, *(f"{diagnosis.counts[name]:,}" if name in diagnosis.counts else "–" for _, _, diagnosis in found)]
        for name, text in _COUNTS.items()
    ]
    return table(header, rows, class_="numbers")
