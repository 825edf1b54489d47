"""A batch that the graph failed on: find the pictures that it cannot decode, and make the batch without them.

A graph raises for a whole batch. Pictures are tried one by one, in graphs that work on one batch at a time, so nothing
depends on what DALI's message looks like.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.placeholder import PLACEHOLDER

_PLACE = re.compile(r" sample #\d+| '#\d+'")  # in a batch of one picture and placeholders, which says nothing
BuildGraph = Callable[[Callable[[], GraphInput]], CropGraph]


def undecodable(graph_input: GraphInput, build_graph: BuildGraph) -> dict[int, str]:
    """Which of the P pictures cannot be decoded, and the decoder's words."""
    everything = range(len(graph_input.pictures))
    reasons = {}
    for number in everything:
        try:
            run_once(without(graph_input, [other for other in everything if other != number]), build_graph)
        except RuntimeError as error:
            reasons[number] = _cause(str(error))
    return reasons


def _cause(message: str) -> str:
    """The line of DALI's message that says what went wrong, if it is where it usually is."""
    lines = (message.partition("encountered:")[2] or message).strip().splitlines()
    return _PLACE.sub("", lines[0]).strip(" :") if lines else "no reason given"


def without(graph_input: GraphInput, bad: Collection[int]) -> GraphInput:
    """The same batch with placeholders for the pictures `bad`."""
    pictures = [PLACEHOLDER if number in bad else data for number, data in enumerate(graph_input.pictures)]
    sizes = graph_input.picture_sizes
    if sizes is not None:
        sizes = np.where(np.isin(np.arange(len(pictures)), list(bad))[:, None], 1, sizes)
    return replace(graph_input, pictures=pictures, picture_sizes=sizes)


def run_once(graph_input: GraphInput, build_graph: BuildGraph) -> Any:
    """What a graph of its own makes of one batch. Raises RuntimeError if it cannot."""
    inputs: Iterator[GraphInput] = iter([graph_input])
    graph = build_graph(lambda: next(inputs))
    try:
        return graph.run()
    finally:
        graph.close()
