"""`posestream score-net` on the command line: from a trained network to poses that are ranked by what was learnt."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import posestream

RECIPE = "guided_hrnet_w32_coco_512"
NETWORK = (
    "data.crop_size=64,64", "model.options.width=4", "model.options.stem=4", "model.options.modules=[1,1,1]",
    "model.options.blocks=1", "model.options.regression_width=8",
)  # fmt: skip
QUICK = ("data.threads=1", "train.epochs=1", "train.batch_size=16", "train.verdict_seconds=0")
# Hardly trained maps are faint.
TESTING = ("bottomup.grouping.center_threshold=0", "bottomup.grouping.threshold=0", "evaluate.flip_test=false")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("NO_COLOR", "1")


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(posestream.app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """main(*arguments): exit status and stderr of the real entry point."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["posestream", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            posestream.main()
        return int(end.value.code or 0), capsys.readouterr().err

    return run


@pytest.fixture
def checkpoint(mini_shards: Callable[[str], Path], tmp_path: Path) -> Path:
    result = invoke(
        "train", RECIPE, f"data.train={mini_shards('coco')}", f"run_dir={tmp_path / 'run'}", *NETWORK, *QUICK
    )
    assert result.exit_code == 0, result.output
    return tmp_path / "run" / "last.ckpt"


def test_it_is_learnt_from_a_checkpoint_and_used(checkpoint: Path, mini_shards: Callable[[str], Path]) -> None:
    shards = mini_shards("coco")
    settings = (f"data.train={shards}", *TESTING, "bottomup.score_net.epochs=60")
    learnt = invoke("score-net", RECIPE, "--checkpoint", checkpoint, *settings)
    assert learnt.exit_code == 0, learnt.output
    assert "note: data.crop_size is [64, 64] as in the checkpoint, not [512, 512]" in learnt.output
    said = re.search(r"(\d+) poses; .* ([\d.]+) in the first epoch, ([\d.]+) in the last", learnt.output)
    assert said is not None
    assert int(said[1]) > 16
    assert float(said[3]) < float(said[2])
    scorer = checkpoint.with_name("last.score-net.pt")
    assert learnt.output.split()[-1] == str(scorer)
    assert scorer.exists()

    scores = {}
    for scoring in ("naive", "learned"):
        out = checkpoint.parent / scoring
        done = invoke(
            "evaluate", RECIPE, "--checkpoint", checkpoint, f"data.val={shards}", *TESTING, "--out", out,
            f"bottomup.grouping.scoring={scoring}",
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        assert json.loads((out / "metrics.json").read_text())["scoring"] == scoring
        scores[scoring] = [row["score"] for row in json.loads((out / "results.json").read_text())]
    assert len(scores["naive"]) == len(scores["learned"]) > 16
    assert scores["naive"] != scores["learned"]


def test_what_a_person_can_mend_is_said(
    checkpoint: Path, mini_shards: Callable[[str], Path], main: Callable[..., tuple[int, str]]
) -> None:
    shards = mini_shards("coco")
    given = ("--checkpoint", checkpoint)
    ranked = ("evaluate", RECIPE, *given, f"data.val={shards}", "bottomup.grouping.scoring=learned", *TESTING)
    for arguments, message in (
        (ranked, f"make it with `posestream score-net RECIPE --checkpoint {checkpoint}`"),
        (("score-net", RECIPE, *given), "data.train is not set"),
        (("score-net", "memorise", *given, f"data.train={shards}"), "recipe memorise is not bottom-up"),
        (("score-net", RECIPE, "--checkpoint", "gone.ckpt", f"data.train={shards}"), "gone.ckpt does not exist"),
        (
            ("score-net", RECIPE, "--weights", checkpoint, f"data.train={shards}", *NETWORK),
            f"--checkpoint {checkpoint}",
        ),
    ):
        status, error = main(*arguments)
        assert status == 1
        assert error.startswith("error: ")
        assert message in error
        assert error.count("\n") == 1
    assert not list(checkpoint.parent.glob("*score-net*"))
    neither = CliRunner().invoke(posestream.app, ["score-net", RECIPE])
    assert neither.exit_code == 2
    assert "--checkpoint" in neither.output
