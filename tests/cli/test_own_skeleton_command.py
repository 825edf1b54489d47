"""`posestream convert coco --skeleton FILE.json --category NAME`, and what the commands after it make of the split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_skeleton import write_skeleton, write_stars
from typer.testing import CliRunner, Result

import posestream
from pose.errors import UserError
from sharding.synthetic import SyntheticFiles


@pytest.fixture
def run(mini_raw: Callable[[str], SyntheticFiles], tmp_path: Path) -> Callable[..., Result]:
    """run(*options): convert the stars with them."""
    files = mini_raw("coco")
    annotations = write_stars(files, tmp_path)

    def convert(*options: object, layout: str = "coco") -> Result:
        source = ["--images", files.images, "--annotations", annotations, "--out", tmp_path / "mini"]
        return CliRunner().invoke(posestream.app, [str(part) for part in ("convert", layout, *source, *options)])

    return convert


def test_own_keypoints_from_the_command_line(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("--skeleton", write_skeleton(tmp_path))
    assert result.exit_code == 0, result.output
    assert "note: 1 annotations of other categories than 'star' left out" in result.output
    for command in (["verify"], ["inspect", "--sheet", str(tmp_path / "crops.png")]):
        later = CliRunner().invoke(posestream.app, [*command, str(tmp_path / "mini")])
        assert later.exit_code == 0, later.output
    assert "star_5 of category star" in later.output
    assert (tmp_path / "crops.png").stat().st_size > 10_000
    assert run("--skeleton", write_skeleton(tmp_path), "--category", "star").exit_code == 0


def test_where_nobody_can_be_used_the_options_are_named(run: Callable[..., Result]) -> None:
    result = run()
    assert result.exit_code == 3
    assert "0 instances" in result.output
    assert "nobody could be used; keypoints of your own: --skeleton FILE.json" in result.output


@pytest.mark.parametrize(
    ("changes", "options", "layout", "message"),
    [
        ({"oks_sigmas": ...}, (), "coco", "star.json: oks_sigmas is missing"),
        (
            {},
            ("--category", "moon"),
            "coco",
            "has 0 categories 'moon': choose one with --category NAME of 'egg', 'star'",
        ),
        ({}, (), "crowdpose", "crowdpose has keypoints of its own; --skeleton and --category are for coco"),
    ],
)
def test_mistakes_are_errors_that_a_user_can_mend(
    run: Callable[..., Result],
    tmp_path: Path,
    changes: dict[str, Any],
    options: tuple[str, ...],
    layout: str,
    message: str,
) -> None:
    result = run("--skeleton", write_skeleton(tmp_path, **changes), *options, layout=layout)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
