"""Public checkpoints and ImageNet weights → a network. Strict: every tensor of both sides must have its place."""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from models.heatmap_network import BaseNetwork, HeatmapNetwork
from models.weights_file import WeightsError, load_state
from models.weights_mismatch import Mismatch

Part = Literal["network", "backbone"]

# What networks for ImageNet have behind their backbone: torchvision's ResNets, and HRNet under two sets of names.
_CLASSIFIER = r"^(fc|classifier)\.(weight|bias)$|^(incre_modules|downsamp_modules|final_layer|head)\.\d"
# HRNet for ImageNet ends in maps of all four resolutions; a backbone that ends in fewer lacks what makes the others.
_OTHER_RESOLUTIONS = r"^stage4\.\d+\.fuse_layers\.[123]\."
# Files from before PyTorch 0.4 lack the batch counters, which only a momentum of None would use.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class LoadedWeights:
    """What a file brought into a model.

    Attributes:
        part: "network" if the file holds the whole base network, "backbone" if it holds ImageNet weights.
        tensors: how many were loaded.
        dropped: the file's names of tensors that were left out.
        fresh: the model's names of tensors that keep the values which they had, such as the plug-in's.
    """

    path: Path
    part: Part
    tensors: int
    dropped: tuple[str, ...]
    fresh: tuple[str, ...]


def load_published(model: HeatmapNetwork, path: Path | str) -> LoadedWeights:
    """Load a public checkpoint into the base network, or into its backbone if a classifier shows ImageNet weights.

    Raises:
        WeightsError: the file cannot be read (see `weights_file.load_state`), the network has no backbone for ImageNet
            weights, a tensor is left over, missing or of another shape, or tensors differ that the network has as one.
            The model is then as it was.
    """
    path = Path(path)
    state = load_state(path)
    place = _place(model, state, path)
    mismatch = place.mismatch(state)
    target = type(model.base).__name__ if place.part == "network" else f"the backbone of {type(model.base).__name__}"
    if mismatch:
        raise WeightsError(
            f"{path} does not fit {target}: {mismatch.describe(place.weights_on(model.base.feature_channels))}"
        )
    if torn := place.torn(state):
        raise WeightsError(f"{path} does not fit {target}, where these are one tensor: {'; '.join(torn)}")
    fitting = place.fitting(state)
    place.module.load_state_dict(fitting, strict=False)
    prefix = next(name for name, module in model.named_modules() if module is place.module)
    loaded = {f"{prefix}.{own}" for own in fitting}
    return LoadedWeights(
        path=path,
        part=place.part,
        tensors=len(fitting),
        dropped=tuple(name for name in state if name not in {place.names[own] for own in fitting}),
        fresh=tuple(name for name in model.state_dict() if name not in loaded and not name.endswith(_COUNTER)),
    )


def published_name(base: BaseNetwork, own: str) -> str:
    """The name that a tensor of a base network has in public checkpoints."""
    for prefix, public in base.published_names:
        if own.startswith(prefix):
            return public + own.removeprefix(prefix)
    return own


@dataclass(frozen=True)
class _Place:
    """Where the tensors of a file go: `names` are those of the module's tensors → what they are called in the file.

    `may_be_new` are names of the module, `may_be_dropped` of the file. What is both may have another shape.
    """

    part: Part
    module: nn.Module
    names: Mapping[str, str]
    may_be_new: Set[str] = frozenset()
    may_be_dropped: Set[str] = frozenset()

    def fitting(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The module's names → the file's tensors, where the shapes agree."""
        own = self.module.state_dict()
        return {
            name: state[theirs]
            for name, theirs in self.names.items()
            if theirs in state and state[theirs].shape == own[name].shape
        }

    def weights_on(self, channels: int) -> set[str]:
        """The file's names of the weights of convolutions that take that many channels."""
        return {
            self.names[f"{name}.weight"]
            for name, module in self.module.named_modules()
            if isinstance(module, nn.Conv2d) and module.in_channels == channels
        }

    def torn(self, state: Mapping[str, Tensor]) -> list[str]:
        """Pairs of the file's names whose values differ, though the module shares them. Nothing may be missing."""
        firsts: dict[nn.Parameter, str] = {}
        pairs = [
            (self.names[firsts.setdefault(parameter, own)], self.names[own])
            for own, parameter in self.module.named_parameters(remove_duplicate=False)
            if own not in self.may_be_new
        ]
        return [
            f"{first} and {other}"
            for first, other in pairs
            if first != other and not torch.equal(state[first], state[other])
        ]

    def mismatch(self, state: Mapping[str, Tensor]) -> Mismatch:
        own, known = self.module.state_dict(), set(self.names.values())
        return Mismatch(
            missing=tuple(
                theirs
                for name, theirs in self.names.items()
                if theirs not in state and name not in self.may_be_new and not name.endswith(_COUNTER)
            ),
            left_over=tuple(name for name in state if name not in known and name not in self.may_be_dropped),
            shapes={
                theirs: (tuple(state[theirs].shape), tuple(own[name].shape))
                for name, theirs in self.names.items()
                if theirs in state
                and state[theirs].shape != own[name].shape
                and not (name in self.may_be_new and theirs in self.may_be_dropped)
            },
            fitting=len(self.fitting(state)),
        )


def _place(model: HeatmapNetwork, state: Mapping[str, Tensor], path: Path) -> _Place:
    """A base network may have `new_tensors` and `dropped_tensors`: regular expressions, searched in the backbone's
    names and in the file's, of tensors that ImageNet weights need not hold, and of those that may be left over."""
    base, network = model.base, model.get_submodule("base")
    names = {own: published_name(base, own) for own in network.state_dict()}
    if not _matching(state.keys() - names.values(), [_CLASSIFIER]):
        return _Place("network", network, names)
    if base.backbone is None:
        raise WeightsError(f"{path} holds ImageNet weights; {type(base).__name__} has no backbone for them")
    names = {own: own for own in base.backbone.state_dict()}
    dropped = (_CLASSIFIER, _OTHER_RESOLUTIONS, *getattr(base, "dropped_tensors", ()))
    return _Place(
        "backbone",
        base.backbone,
        names,
        may_be_new=_matching(names, getattr(base, "new_tensors", ())),
        may_be_dropped=_matching(state, dropped),
    )


def _matching(names: Iterable[str], patterns: Iterable[str]) -> set[str]:
    return {name for name in names if any(re.search(pattern, name) for pattern in patterns)}
