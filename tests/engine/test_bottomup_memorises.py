"""`memorise_bottomup` learns a few whole pictures by heart and finds everybody in them, without boxes."""

from pathlib import Path

import pytest
from rich.console import Console

from engine.config import override
from engine.train import train
from recipes import load_recipe
from sharding.convert import ConversionSettings, convert
from sharding.raw import read_raw
from sharding.storage import open_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("layout", "annotations"), [("coco", "person_keypoints_mini.json"), ("crowdpose", "crowdpose_mini.json")]
)
def test_real_pictures_are_learnt_by_heart(
    real_data: Path, tmp_path: Path, console: Console, layout: str, annotations: str
) -> None:
    source, shards = real_data / "mini" / layout, tmp_path / "mini"
    raw = read_raw(layout, source / annotations, "mini")
    convert(raw, open_folder(str(shards)), ConversionSettings(source / "images", "mini"))
    recipe = override(
        load_recipe("memorise_bottomup"),
        [f"data.train={shards}", f"data.val={shards}", f"run_dir={tmp_path / 'run'}", "train.verdict_seconds=0"],
    )
    result = train(recipe, console)
    assert result.score is not None
    assert result.score.value >= 0.85


def test_synthetic_pictures_are_learnt_by_heart(mini_shards, tmp_path: Path, console: Console) -> None:  # type: ignore[no-untyped-def]
    shards = mini_shards("coco")
    recipe = override(
        load_recipe("memorise_bottomup"),
        [
            f"data.train={shards}",
            f"data.val={shards}",
            f"run_dir={tmp_path / 'run'}",
            "train.epochs=60",
            "train.validate_every=60",
            "train.verdict_seconds=0",
        ],
    )
    result = train(recipe, console)
    assert result.score is not None
    assert result.score.value >= 0.3  # 16 pictures, 240 steps: on the way
