"""What does not fit between a file of weights and a network, in words."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

_LISTED = 50  # names of each kind

Shapes = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Mismatch:
    """Names are those in the file.

    Attributes:
        missing: the network has it, the file does not. left_over: the other way round.
        shapes: in both, but of another shape: (in the file, in the network).
        fitting: how many tensors fit.
    """

    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    shapes: dict[str, Shapes]
    fitting: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.left_over or self.shapes)

    def describe(self, on_features: Collection[str]) -> str:
        """One line: the cause where it shows, how many tensors of each kind, and their names.

        Args:
            on_features: names of the weights of convolutions that take the features; one of them makes the heatmaps.
        """
        shapes = [f"{name} {theirs} instead of {own}" for name, (theirs, own) in self.shapes.items()]
        lists = (("missing", self.missing), ("left over", self.left_over), ("of another shape", shapes))
        text = "; ".join(f"{len(names)} {kind}: {_listed(names)}" for kind, names in lists if names)
        hint = self._hint(on_features)
        return f"{hint}. {text}" if hint else text

    def _hint(self, on_features: Collection[str]) -> str:
        if self.fitting < len(self.missing):
            return "it is of another network, since most names disagree"
        if self.missing or self.left_over:
            return ""
        sizes = {pair for shapes in self.shapes.values() for pair in zip(*shapes, strict=False) if len(set(pair)) > 1}
        heatmaps = {(theirs[0], own[0]) for name, (theirs, own) in self.shapes.items() if name in on_features}
        if len(heatmaps) == 1:
            ((theirs, own),) = heatmaps
            # Bottom-up networks have several maps for each keypoint, and layers that see them.
            if theirs != own and all((one - other) % (theirs - own) == 0 for one, other in sizes):
                return f"it has another number of keypoints, since its last layer has {theirs} channels, not {own}"
        return "it is the same network with another width or other sizes, since every name agrees"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
