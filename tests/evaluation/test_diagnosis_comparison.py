"""Diagnoses side by side, and what is printed of them."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from evaluation.diagnosis import diagnose
from evaluation.diagnosis_comparison import compare
from evaluation.diagnosis_table import comparison_table, diagnosis_summary, diagnosis_tables
from pose.errors import UserError
from pose.skeletons import COCO_17, CROWDPOSE_14


@pytest.fixture
def told(make_truth):
    """told(noise): the stored form of a diagnosis of answers with that noise, px."""
    truth = make_truth(17)

    def tell(noise):
        rng = np.random.default_rng(0)
        results = []
        for person in truth["annotations"]:
            keypoints = np.array(person["keypoints"], float).reshape(-1, 3)
            keypoints[:, :2] += rng.normal(0, 1, (17, 2)) * noise
            results.append({"image_id": person["image_id"], "category_id": 1, "score": float(rng.random()),
                            "keypoints": keypoints.reshape(-1).tolist()})  # fmt: skip
        return json.loads(json.dumps(diagnose(truth, results, COCO_17).to_json()))

    return tell


def shown(renderable, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_changes_are_to_the_first(told):
    base, better = told(10), told(3)
    compared = compare({"base": base, "better": better, "base again": base})
    jitter = next(row for row in compared["errors"] if row["name"] == "jitter")
    shares = [base["errors"]["overall"]["shares"]["jitter"], better["errors"]["overall"]["shares"]["jitter"]]
    assert jitter["shares"] == [*shares, shares[0]]
    assert jitter["changes"] == [0, shares[1] - shares[0], 0]
    good = compared["errors"][0]
    assert good["changes"][1] > 0
    assert sum(row["changes"][1] for row in compared["errors"]) == pytest.approx(0)
    assert compared["ap"]["changes"][1] == better["ap"] - base["ap"] > 0
    assert [row["name"] for row in compared["keypoints"]] == list(COCO_17.keypoint_names)
    assert {row["name"]: row["gains"][1] for row in compared["costs"]} == {
        cost["name"]: cost["gain"] for cost in better["costs"]
    }
    json.dumps(compared, allow_nan=False)


def test_what_cannot_be_compared(told, make_truth):
    with pytest.raises(UserError, match="two diagnoses or more, got 1"):
        compare({"alone": told(1)})
    crowd = diagnose(make_truth(14), [], CROWDPOSE_14, "crowdpose").to_json()
    with pytest.raises(UserError, match="one coco coco_17, other crowdpose crowdpose_14"):
        compare({"one": told(1), "other": crowd})


def test_undefined_changes_stay_undefined(told, make_truth):
    empty = diagnose(make_truth(17), [], COCO_17).to_json()
    compared = compare({"empty": empty, "full": told(3)})
    assert compared["errors"][0]["changes"] == [None, None]
    assert "–" in shown(comparison_table(compared))


def test_tables_fit_80_columns_and_show_the_numbers(told, make_truth):
    diagnosis = told(6)
    crowd = diagnose(make_truth(14), [], CROWDPOSE_14, "crowdpose").to_json()
    for one in (diagnosis, crowd):
        text = "".join(map(shown, diagnosis_tables(one)))
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text
    text = "".join(map(shown, diagnosis_tables(diagnosis)))
    jitter = next(cost for cost in diagnosis["costs"] if cost["name"] == "jitter")
    line = next(line for line in text.splitlines() if line.strip().startswith("jitter"))
    expected = [jitter["changed"], *(f"{100 * jitter[key]:.1f}" for key in ("ap", "gain", "cumulative_ap"))]
    assert line.split()[1:] == [f"{jitter['changed']:,}", *expected[1:]]
    for name in ("left_wrist", "labelled", "visible", "overlap", "missed persons"):
        assert name in text
    assert f"AP {100 * diagnosis['ap']:.1f}" in diagnosis_summary(diagnosis)


def test_names_are_text_not_markup(told):
    compared = compare({"[red]a[/red]": told(3), "b": told(6)})
    assert "[red]a[/red]" in shown(comparison_table(compared))
