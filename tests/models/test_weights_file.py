"""Files of weights: every wrapping is seen through, nothing in a file is run, damage is named."""

import os
import pickle
import random
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.weights_file import WeightsError, load_state, load_tensors
from pose.errors import UserError

Saved = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """saved(content, **how): a file of torch.save."""

    def save(content: Any, **how: Any) -> Path:
        torch.save(content, tmp_path / "w.pth", **how)
        return tmp_path / "w.pth"

    return save


def state(prefix: str = "") -> "OrderedDict[str, Tensor]":
    return OrderedDict({f"{prefix}conv1.weight": torch.ones(2, 3), f"{prefix}model.bias": torch.zeros(2)})


ADAM = {"state": {0: {"step": 5, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}


@pytest.mark.parametrize(
    "content",
    [
        state(),
        state("module."),
        state("model."),
        state("model.module."),
        state("module.model.module.module."),
        # What HigherHRNet's code trains in half precision: a cast in front, then the network; then several GPUs.
        state("1."),
        state("module.1."),
        {"state_dict": state("1."), "optimizer": ADAM},
        {"state_dict": state()},
        {"model": state("module.")},
        {"model_state_dict": state(), "optimizer_state_dict": ADAM, "loss": torch.tensor(0.5)},
        {"model": {"state_dict": state("model.")}, "epoch": 3},
        {"state_dict": {"model": {"state_dict": state("module.")}}},
        # HRNet's and SimpleBaseline's code: `model` is the network's name, and another copy has no prefix.
        {
            "epoch": 210, "model": "pose_hrnet", "state_dict": state("module."), "best_state_dict": state(),
            "perf": np.float64(0.744), "optimizer": ADAM,
        },
        # pytorch-pose
        {"epoch": 100, "arch": "hg", "state_dict": state("module."), "best_acc": torch.tensor(0.88), "optimizer": ADAM},
    ],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [True, False])
def test_the_weights_are_found_in_whatever_wrapping(saved: Saved, content: Any, zipped: bool) -> None:
    found = load_state(saved(content, _use_new_zipfile_serialization=zipped))
    assert found.keys() == state().keys()
    assert torch.equal(found["conv1.weight"], torch.ones(2, 3))


@pytest.mark.parametrize("names", [{"module.conv1.weight", "fc.weight"}, {"1.0.weight", "2.0.weight"}])
def test_a_prefix_that_only_some_names_have_belongs_to_them(saved: Saved, names: set[str]) -> None:
    assert load_state(saved({name: torch.ones(1) for name in names})).keys() == names


@pytest.mark.parametrize(
    "score",
    [
        np.float64(0.7),
        np.float32(0.5),
        np.int64(3),
        np.bool_(True),
        np.array([0.25])[0],
        [np.float64(0.5), {"AP": np.float64(1)}],
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_numbers_of_numpy_beside_the_weights_load(saved: Saved, score: Any, zipped: bool) -> None:
    path = saved({"state_dict": state(), "best_acc": score}, _use_new_zipfile_serialization=zipped)
    assert load_tensors(path)["best_acc"] == score


def test_numbers_saved_under_numpys_older_module_names_load(saved: Saved, tmp_path: Path) -> None:
    path = saved({"best_acc": np.float64(0.7), "state_dict": state()}, _use_new_zipfile_serialization=False)
    old = path.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert old != path.read_bytes()
    path.write_bytes(old)
    assert load_tensors(path)["best_acc"] == 0.7


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(saved: Saved, tmp_path: Path, zipped: bool) -> None:
    content = {"best_acc": np.float64(0.7), "state_dict": state() | {"conv1.weight": _Payload(tmp_path / "pwned")}}
    path = saved(content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"w\.pth: damaged, or it holds more than tensors and numbers"):
        load_state(path)
    assert not (tmp_path / "pwned").exists()
    torch.load(path, weights_only=False)  # the payload is live
    assert (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "content", [np.zeros(3), np.str_("a"), np.datetime64("2020-01-01"), np.random.default_rng(0), Path("x"), len]
)
def test_of_numpy_only_numbers_are_allowed(saved: Saved, content: Any) -> None:
    with pytest.raises(WeightsError, match="more than tensors and numbers"):
        load_tensors(saved({"state_dict": state(), "best_acc": content}))


def test_reading_leaves_torchs_list_of_allowed_classes_as_it_was(saved: Saved) -> None:
    before = set(torch.serialization.get_safe_globals())
    load_state(saved({"best_acc": np.float64(1), "state_dict": state()}))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(3)], "holds a list, expected a dictionary"),
        ({}, "holds no dictionary from names to tensors, but an empty one"),
        ({"state_dict": {}}, "but an empty one"),
        ({"epoch": 3, "model": "pose_hrnet"}, "but epoch, model"),
        ({"state_dict": state() | {"scale": 3.0}}, "but scale"),
        ({i: torch.zeros(1) for i in range(12)}, "but 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 …"),
    ],
)
def test_a_file_without_weights_is_refused_by_what_it_holds(saved: Saved, content: Any, message: str) -> None:
    path = saved(content)
    with pytest.raises(WeightsError, match=message) as error:
        load_state(path)
    assert str(path) in str(error.value)
    assert isinstance(error.value, UserError)


def test_a_checkpoint_of_our_own_is_sent_to_the_command_that_takes_it(saved: Saved) -> None:
    path = saved({"format": 1, "recipe": "{}", "model": state(), "step": 7})
    with pytest.raises(WeightsError, match=f"checkpoint of posestream.*evaluate RECIPE --checkpoint {path}"):
        load_state(path)


def test_missing_and_truncated_files_are_named(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.pth: No such file"):
        load_state(tmp_path / "gone.pth")
    with pytest.raises(WeightsError, match=str(tmp_path)):
        load_state(tmp_path)
    path = saved(state())
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(WeightsError, match=r"w\.pth"):
            load_state(path)


def test_random_bytes_never_surface_as_another_error(tmp_path: Path) -> None:
    path, generator = tmp_path / "w.pth", random.Random(0)
    for _ in range(200):
        path.write_bytes(generator.randbytes(generator.randrange(1, 200)))
        with pytest.raises(WeightsError):
            load_state(path)


def test_a_pickle_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": np.zeros(3)}, protocol=2))
    with pytest.raises(WeightsError):
        load_state(tmp_path / "w.pth")


def test_a_dictionary_that_holds_itself_is_refused(saved: Saved) -> None:
    one: dict[str, Any] = {}
    one["model"] = {"state_dict": one}
    with pytest.raises(WeightsError, match=r"w\.pth holds a dictionary that holds itself"):
        load_state(saved(one))


@pytest.mark.parametrize(
    "odd",
    [
        torch.ones(2, 3).to_sparse(),
        torch.ones(2, 3, device="meta"),
        torch.ones(2, 3, dtype=torch.complex64),
        torch.ones(2, 3, dtype=torch.int64),
    ],
    ids=["sparse", "meta", "complex", "whole numbers"],
)
def test_tensors_that_are_no_plain_weights_are_named(saved: Saved, odd: Tensor) -> None:
    with pytest.raises(WeightsError, match=r"1 tensors that are no plain arrays .*, such as 'conv1\.weight'"):
        load_state(saved(state() | {"conv1.weight": odd}))


def test_a_compiled_networks_prefix_is_seen_through(saved: Saved) -> None:
    assert load_state(saved(state("module._orig_mod."))).keys() == state().keys()
