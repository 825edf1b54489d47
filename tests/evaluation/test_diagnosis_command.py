"""`posestream diagnose` prints what a person reads, or JSON."""

import json

import pytest
from typer.testing import CliRunner

from posestream import app


@pytest.fixture
def files(make_truth, tmp_path):
    truth = make_truth(17)
    results = [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 0.5}
        for a in truth["annotations"]
    ]
    paths = tmp_path / "mine.json", tmp_path / "other.json", tmp_path / "truth.json"
    for path, content in zip(paths, (results, results[:5], truth), strict=True):
        path.write_text(json.dumps(content))
    return [str(path) for path in paths]


def run(*arguments):
    return CliRunner().invoke(app, ["diagnose", *arguments], env={"COLUMNS": "80"})


def test_tables(files):
    mine, _, truth = files
    result = run(mine, "--annotations", truth)
    assert result.exit_code == 0, result.output
    for text in ("AP 100.0", "9 persons in 3 images", "left_wrist", "missed persons", "large", "overlap"):
        assert text in result.output


def test_json_is_the_stored_form(files):
    mine, other, truth = files
    told = json.loads(run(mine, "--annotations", truth, "--json").output)
    assert (told["kind"], told["ap"], len(told["costs"])) == ("coco", pytest.approx(1), 8)
    told = json.loads(run(mine, other, "--annotations", truth, "--json").output)
    assert list(told["diagnoses"]) == told["comparison"]["names"] == ["mine", "other"]


def test_comparison(files):
    mine, other, truth = files
    result = run(mine, other, "--annotations", truth)
    assert result.exit_code == 0, result.output
    assert "Side by side" in result.output
    assert "44.4 (+44.4)" in result.output


def test_errors_name_the_file_without_a_traceback(files):
    mine, _, truth = files
    result = run(truth, "--annotations", mine)
    assert result.exit_code != 0
    assert "annotations in COCO layout" in " ".join(str(result.exception or result.output).split())
    assert run(mine, "--annotations", truth, "--layout", "mpii").exit_code == 2
