"""The reader of the guides notices what does not work: else following a page would prove nothing."""

import pytest
from guide_blocks import Block
from guide_runner import Reader, reader

__all__ = ["reader"]


def test_what_works_is_followed(reader: Reader) -> None:
    reader.follow(Block("bash", "posestream recipes memorise\n", "", "", 1))
    reader.follow(Block("text", "memorise_bottomup\n", "prints", "", 4))
    reader.follow(Block("python", "number = 3\n", "", "", 7))
    reader.follow(Block("python", ">>> number + 1\n4\n", "", "", 9))
    reader.follow(Block("bash", "posestream recipes zzz\n", "exit", "2", 12))


@pytest.mark.parametrize(
    "block",
    [
        Block("bash", "posestream recipes zzz\n", "", "", 1),
        Block("bash", "posestream recipes memorise\n", "exit", "2", 1),
        Block("text", "never printed\n", "prints", "", 1),
        Block("python", "assert 1 == 2\n", "", "", 1),
        Block("python", ">>> 1 + 1\n3\n", "", "", 1),
    ],
    ids=["fails", "does not fail", "prints", "python", "doctest"],
)
def test_what_does_not_work_is_noticed(reader: Reader, block: Block) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        reader.follow(block)
