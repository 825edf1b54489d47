"""The commands that run on Ray, as a user types them, on a Ray of their own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import posestream

ROOT = Path(__file__).resolve().parents[2]
SPACE = """
from tune.distributions import Choice, LogUniform
from tune.space import Asha, Space

space = Space(
    recipe="demo_synthetic",
    settings=("train.epochs=2", "train.batch_size=16", "train.validate_every=1", "train.precision=32-true"),
    search={"optim.lr": LogUniform(1e-4, 1e-2), "heatmap.sigma": Choice(1.5, 2.0)},
    metric="loss",
    mode="min",
    trials=3,
    scheduler=Asha(grace_epochs=1, reduction=2),
)
"""


def command(folder: Path, *words: object, status: int = 0) -> str:
    """What a command prints, called in a folder of the user's, with relative paths."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "posestream.py"), *map(str, words)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_raw_pictures_to_the_best_recipe(tmp_path: Path) -> None:
    command(tmp_path, "synth", "coco", "--out", "raw", "--images", 16)
    raw = ("--images", "raw/images", "--annotations", "raw/annotations/person_keypoints.json")
    command(tmp_path, "convert", "coco", *raw, "--out", "shards", "--ray")
    assert "all intact" in command(tmp_path, "verify", "shards")

    (tmp_path / "mine.py").write_text(SPACE)
    splits = ("data.train=shards", "data.val=shards")
    told = command(tmp_path, "tune", "mine.py", *splits, "--out", "runs/mine")
    assert len(re.findall(r"^trial \w+  loss \d", told, re.M)) == 3
    assert "next: posestream tune report" in told
    again = command(tmp_path, "tune", "mine.py", *splits, "--out", "runs/mine")
    assert "trial" in again  # all are finished: the same best again, and nothing is trained
    assert re.findall(r"best loss \S+ in trial \w+", again) == re.findall(r"best loss \S+ in trial \w+", told)
    refused = command(tmp_path, "tune", "mine.py", *splits, "optim.lr=1e-3", "--out", "runs/mine", status=1)
    assert "holds another search" in refused

    command(tmp_path, "tune", "report", "runs/mine")
    page = (tmp_path / "runs" / "mine" / "report.html").read_text()
    assert "heatmap.sigma" in page
    best = tmp_path / "runs" / "mine" / "best_recipe.json"
    learned = json.loads(best.read_text())["optim"]["lr"]
    assert 1e-4 <= learned <= 1e-2

    told = command(tmp_path, "train", best, "run_dir=runs/two", "train.verdict_seconds=0", "--workers", 2)
    assert re.search(
        r"2 workers\n(.*\n)*epoch 1/2  loss .*\n(.*\n)*epoch 2/2  loss .*\n(.*\n)*best: runs/two/best.ckpt", told
    )
    assert (tmp_path / "runs" / "two" / "last.ckpt").exists()
    command(tmp_path, "evaluate", best, "--checkpoint", "runs/two/best.ckpt")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tune", "nonsense"], "learning_rate"),
        (["tune", "learning_rate", "tune.trails=3"], "trials"),
        (["tune", "learning_rate", "optim.rl=3"], "optim has: name, lr"),
        (["ablate", "enhancenet-5x"], "enhancenet-5"),
        (["train", "demo_synthetic", "--workers", "4-2"], "4 is more than 2"),
        (["convert", "coco", "--images", ".", "--annotations", "x", "--out", "y", "--address", "h:1"], "--ray"),
        (["submit", "verify", "--address", "http://localhost:1"], "train, tune, ablate, convert"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_before_anything_starts(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(posestream.app, words)
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_lists() -> None:
    for words, name in ((["tune", "list"], "learning_rate"), (["ablate", "list"], "enhancenet-5d")):
        assert name in CliRunner().invoke(posestream.app, words).output.splitlines()
