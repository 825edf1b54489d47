"""Crowds on demand: as many persons as asked for, the same ones every time, and everybody else's pictures as before."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import posestream
from sharding.synthetic import render_scene, write_dataset
from sharding.synthetic.cast import cast_people


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("crowd", [(1, 1), (2, 12), (7, 7)])
def test_as_many_are_cast_as_asked_for(crowd: tuple[int, int]) -> None:
    counts = [len(cast_people(np.random.default_rng(seed), (300, 400), 150.0, crowd)) for seed in range(60)]
    assert (min(counts), max(counts)) == crowd


def test_without_a_crowd_nobody_changes() -> None:
    """The persons of these scenes were the same before crowds could be asked for."""
    scenes = [render_scene(4, index) for index in (1, 3, 9)]
    assert [len(scene.persons) for scene in scenes] == [3, 1, 5]
    hips = [scene.persons[0].keypoints["left_hip"][:2] for scene in scenes]
    np.testing.assert_allclose(hips, [(85.3, 41.7), (115.9, 179.3), (256.2, 133.7)], atol=0.06)
    assert render_scene(4, 1, None).image.tobytes() == scenes[0].image.tobytes()


def test_crowds_are_seen_and_are_crowds() -> None:
    """Some of them stand behind others, so not all can be seen."""
    seen = [len(render_scene(0, index, (2, 12)).persons) for index in range(12)]
    assert min(seen) >= 1
    assert max(seen) <= 12
    assert np.mean(seen) > 4
    usual = [len(render_scene(0, index).persons) for index in range(12)]
    assert np.mean(seen) > np.mean(usual) + 1


def test_bytes_depend_on_seed_and_crowd_alone(tmp_path: Path) -> None:
    write_dataset("crowdpose", tmp_path / "one", 2, seed=9, workers=1, crowd=(2, 4))
    write_dataset("crowdpose", tmp_path / "two", 2, seed=9, workers=2, crowd=(2, 4))
    write_dataset("crowdpose", tmp_path / "none", 2, seed=9, workers=1)
    one, two, none = (files_of(tmp_path / name) for name in ("one", "two", "none"))
    assert one == two
    assert all(one[name] != none[name] for name in one.keys() & none.keys())


@pytest.mark.parametrize("crowd", [(0, 3), (4, 3), (-1, -1)])
def test_a_crowd_of_nobody_or_the_wrong_way_round_is_refused(tmp_path: Path, crowd: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"crowd must be (least, most) with 1 <= least <= most, got {crowd}")
    ):
        write_dataset("coco", tmp_path, 1, seed=0, workers=1, crowd=crowd)
    assert not (tmp_path / "images").exists()


def test_the_command_takes_least_and_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    given = ["synth", "coco", "--images", "3", "--seed", "2", "--workers", "1", "--out"]
    done = CliRunner().invoke(posestream.app, [*given, str(tmp_path / "made"), "--crowd", "3-4"])
    assert done.exit_code == 0, done.output
    write_dataset("coco", tmp_path / "expected", 3, seed=2, workers=1, crowd=(3, 4))
    assert files_of(tmp_path / "made") == files_of(tmp_path / "expected")
    rows = json.loads(next((tmp_path / "made" / "annotations").iterdir()).read_text())["annotations"]
    persons = [row["image_id"] for row in rows if not row["iscrowd"]]
    assert {persons.count(image) for image in (1, 2, 3)} <= {1, 2, 3, 4}
    for wrong in ("0-3", "4-3", "3", "many", "-3", "3-100", "3-4-5", "2-"):
        refused = CliRunner().invoke(posestream.app, [*given, str(tmp_path / "no"), f"--crowd={wrong}"])
        assert refused.exit_code == 2
        assert f"expected LEAST-MOST such as 2-12, got '{wrong}'" in refused.output
    assert not (tmp_path / "no").exists()
