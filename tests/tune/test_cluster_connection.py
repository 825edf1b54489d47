"""Getting at a cluster: what is refused at once, and what the cluster's processes are told."""

import os
import signal
import socket
import time

import pytest

from engine.config import override, parse_recipe
from recipes import load_recipe
from sharding.storage import open_folder
from tune import load_space
from tune.ablation_data import ready_options
from tune.claim import SEARCH, claim
from tune.cluster import ClusterError, _environment, connect
from tune.distributed import Workers, train_on_workers
from tune.held import held
from tune.interruption import Interruption, own_interrupts
from tune.places import shown_tree
from tune.space import Resources
from tune.table_options import AblationOptions
from tune.tables import find_table
from tune.trial_recipe import base_recipe


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", "give HOST:6379 .* or `posestream submit`"),
        ("head", "not of the form HOST:PORT"),
        ("head:port", "not of the form HOST:PORT"),
    ],
)
def test_addresses_that_cannot_be_are_refused(address: str, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        connect(address)


def test_a_port_where_nobody_listens_is_said_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(ClusterError, match=r"no Ray cluster answers at 127\.0\.0\.1:\d+"):
        connect(f"127.0.0.1:{closed_port()}")
    assert time.monotonic() - started < 5


def test_secrets_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    told = _environment()
    assert told["AWS_ENDPOINT_URL"] == "http://store"
    assert "secret" not in told.values()
    written = shown_tree({"train": ("s3://key:secret@bucket/x",), "settings": ["data.val=s3://key:secret@bucket/y"]})
    assert "secret" not in str(written)
    assert "bucket/y" in str(written)
    assert shown_tree("optim.lr=1e-3") == "optim.lr=1e-3"


def test_a_process_has_one_gpu(tiny_base) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="take workers=2 with gpus=1"):
        Resources(gpus=2)
    recipe = parse_recipe(tiny_base().to_json())
    for workers in (Workers(2, 2, 1, 0.5), Workers(1, 1, 1, 2)):
        with pytest.raises(ValueError, match="GPUs per worker: a worker uses one"):
            train_on_workers(recipe, workers, print)


def test_a_search_is_written_down_without_secrets(tiny_space, tmp_path) -> None:  # type: ignore[no-untyped-def]
    space = tiny_space()
    base = override(base_recipe(space), ["data.val=s3://key:secret@bucket/val"])
    for _ in range(2):  # the second finds the same search
        claim(open_folder(tmp_path / "out"), space, base)
    written = (tmp_path / "out" / SEARCH).read_text()
    assert "bucket/val" in written
    assert "secret" not in written


def test_one_command_at_a_time_runs_in_a_folder(tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = open_folder(tmp_path / "out")
    with held(folder), pytest.raises(ValueError, match=r"another command runs in .*out; wait"), held(folder):
        pass
    with held(folder):
        pass


def test_a_recipe_beside_its_space_is_found_from_anywhere(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "recipe.json").write_text(load_recipe("demo_synthetic").to_json())
    (tmp_path / "mine" / "space.py").write_text(
        "from tune.distributions import Uniform\nfrom tune.space import Space\n"
        'space = Space(recipe="recipe.json", search={"optim.lr": Uniform(0.1, 0.2)})\n'
    )
    monkeypatch.chdir(tmp_path)
    assert load_recipe(load_space("mine/space.py").recipe) == load_recipe("demo_synthetic")


class Searching(Interruption):
    """Ctrl-C in the third step."""

    def on_step_begin(self, iteration, trials, **info) -> None:  # type: ignore[no-untyped-def]
        super().on_step_begin(iteration, trials, **info)
        if iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interruption_is_noted_and_passed_on() -> None:
    rays, mine = [], signal.getsignal(signal.SIGINT)
    with own_interrupts():
        signal.signal(signal.SIGINT, lambda number, frame: rays.append(number))
        searching = Searching()
        for iteration in range(4):
            assert searching.seen == (iteration > 2)
            searching.on_step_begin(iteration, [])
    assert searching.seen
    assert rays == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is mine


def test_a_space_with_a_typing_error_says_what_it_is(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "space.py").write_text(
        "from tune.space import Space\nspace = Space(recipe='demo_synthetic', search={}, trails=4)\n"
    )
    with pytest.raises(ValueError, match=r"space\.py: trails: Extra inputs are not permitted$"):
        load_space(str(tmp_path / "space.py"))


def test_files_that_are_not_there_are_missed_before_anything_starts(tmp_path, mini_shards) -> None:  # type: ignore[no-untyped-def]
    split = str(mini_shards("coco"))
    options = AblationOptions(train=(split,), val=split, weights={"resnet50": "nosuch.pth"})
    with pytest.raises(ValueError, match=r"--weights: nosuch\.pth does not exist"):
        ready_options(find_table("enhancenet-5a"), options, open_folder(tmp_path))
