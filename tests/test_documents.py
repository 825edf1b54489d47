"""What README and docs/ say can be followed."""

import re
import shlex
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from typer.main import get_command

import posestream
from engine.config import override
from recipes import list_recipes, load_recipe
from sharding.dataset import ShardedDataset
from tune.job_arguments import SUBMITTED

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


def options_of(command: Any) -> set[str]:
    """Of a command, and of those that it is short for."""
    below = [options_of(one) for one in getattr(command, "commands", {}).values()]
    return {option for parameter in command.params for option in parameter.opts}.union(*below)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_exists_with_its_options_and_its_recipe(document: Path) -> None:
    commands = get_command(posestream.app).commands  # type: ignore[attr-defined]
    text = document.read_text().replace("\\\n", " ")
    lines = [line for block in re.findall(r"^```\n(.*?)^```", text, re.S | re.M) for line in block.splitlines()]
    for call in re.findall(r"posestream ([^;&#|]+)", "\n".join(lines)):
        name, *words = shlex.split(call.split("\n")[0])
        assert name in commands, call
        known = options_of(commands[name])
        if name == "submit":
            assert words[0] in SUBMITTED, call
            known |= options_of(commands[words[0]])
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, call
        if name in ("train", "evaluate") and words[0] != "RECIPE":
            assert words[0] in list_recipes(), call
            override(load_recipe(words[0]), [word for word in words if re.match(r"[a-z_.]+=", word)])


def test_the_query_in_the_guide_runs(mini_coco: ShardedDataset) -> None:
    query = re.search(r'duckdb\.sql\("(.*?)"\)', (ROOT / "docs" / "shards.md").read_text())
    assert query is not None
    connection = duckdb.connect()
    connection.register("images", pa.Table.from_batches(mini_coco.sidecars))
    (found,) = connection.execute(query[1]).fetchone() or (None,)
    counts = mini_coco.instance_column("num_keypoints").all()
    assert found == (counts > 10).sum() > 0
