"""The curves of a run folder, in one piece however often its training was interrupted."""

import json
import logging
import os
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from engine.learning_curves import VerdictFileError, training_record


def write(run: Path, number: int, values: dict[int, float], name: str = "train/loss", purge: int | None = None) -> None:
    """A file of events; those of the resumed training have higher numbers."""
    board = SummaryWriter(run / "tensorboard", purge_step=purge)
    for step, value in values.items():
        board.add_scalar(name, value, step, walltime=1e9 + 1000 * number + step)
    board.close()
    (path,) = (run / "tensorboard").glob(f"*.{os.getpid()}.*")
    path.rename(path.with_name(f"events.out.tfevents.{number}.host"))


def test_files_are_joined_and_what_was_written_last_stands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, 1, {10: 0.1, 20: 0.2, 30: 0.3, 40: 0.4})
    with caplog.at_level(logging.WARNING, "tensorboard"):
        write(tmp_path, 2, {30: 3.0, 50: 5.0}, purge=30)
        record = training_record(tmp_path)
    assert record == {"curves": {"train/loss": [[10, 0.1], [20, 0.2], [30, 3.0], [50, 5.0]]}, "verdict": None}
    assert not caplog.records


def test_a_torn_file_gives_what_stands_before_the_tear(tmp_path: Path) -> None:
    write(tmp_path, 1, {1: 1.0, 2: 2.0})
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    write(tmp_path, 2, {3: 3.0})
    record = training_record(tmp_path)
    assert record is not None
    assert record["curves"]["train/loss"] == [[1, 1.0], [3, 3.0]]


def test_only_the_trainings_own_curves_count_and_no_numbers_are_none(tmp_path: Path) -> None:
    write(tmp_path, 1, {1: float("nan"), 2: 0.5}, name="val/AP")
    write(tmp_path, 2, {1: 1.0}, name="verdict/achieved")
    (tmp_path / "verdict.json").write_text('{"limit": "loader"}')
    record = training_record(tmp_path)
    assert record == {"curves": {"val/AP": [[1, None], [2, 0.5]]}, "verdict": {"limit": "loader"}}
    json.dumps(record, allow_nan=False)


def test_a_folder_without_a_training_has_none(tmp_path: Path) -> None:
    assert training_record(tmp_path) is None
    (tmp_path / "verdict.json").write_text("[]")
    with pytest.raises(VerdictFileError, match=r"verdict\.json: expected an object"):
        training_record(tmp_path)
