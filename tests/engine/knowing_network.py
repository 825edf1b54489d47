"""A network that knows who is in a picture, and draws the maps that a perfect one would."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.bottomup import BottomUpTask
from engine.evaluation_pictures import EvaluationPicture, EvaluationPictureLoader, EvaluationPictures
from engine.network_input import network_input
from models import OutputMap
from pose.center_offsets import encode_centers, person_centers
from pose.crop import transform_points
from pose.heatmaps import Encoding
from pose.person_heatmaps import encode_persons

CENTERS = (OutputMap("center", 4, kind="center"), OutputMap("offsets", 4, kind="offsets"), OutputMap("heatmaps", 4))
TAGS = (
    OutputMap("coarse", 4, averaged=True),
    OutputMap("tags", 4, kind="tags"),
    OutputMap("heatmaps", 2, averaged=True),
)  # fmt: skip


class KnowingNetwork(torch.nn.Module):
    """Told persons by `show`, it answers for their picture at any scale and for its mirror image."""

    def __init__(self, outputs: Sequence[OutputMap], flip_indices: Sequence[int], encoding: Encoding) -> None:
        super().__init__()
        self.outputs, self.flip_indices, self.encoding = outputs, list(flip_indices), encoding
        self.asked = 0

    def show(self, inputs: Sequence[Tensor], scales: Sequence[float], keypoints: Tensor, labelled: Tensor) -> None:
        """Inputs (1, 3, h, w) at these scales; persons' keypoints (M, K, 2) in px of scale 1."""
        self.inputs, self.scales, self.keypoints, self.labelled = inputs, scales, keypoints, labelled

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        self.asked += 1
        for known, scale in zip(self.inputs, self.scales, strict=True):
            if known.shape == pixels.shape:
                if torch.equal(known, pixels):
                    return self._maps(pixels, self.keypoints * scale, self.labelled)
                return self._mirrored(known, pixels, scale)
        raise AssertionError("an input that nobody showed")

    def _mirrored(self, known: Tensor, pixels: Tensor, scale: float) -> tuple[Tensor, ...]:
        width = known.shape[3]
        move = next(m for m in (0, 1, 3) if torch.equal(known.flip(3)[..., m:], pixels[..., : width - m]))
        keypoints = (self.keypoints * scale)[:, self.flip_indices].clone()
        keypoints[:, :, 0] = width - 1 - move - keypoints[:, :, 0]
        return self._maps(pixels, keypoints, self.labelled[:, self.flip_indices])

    def _maps(self, pixels: Tensor, keypoints: Tensor, labelled: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._map(output, pixels, keypoints / output.stride, labelled) for output in self.outputs)

    def _map(self, output: OutputMap, pixels: Tensor, keypoints: Tensor, labelled: Tensor) -> Tensor:
        height, width = (round(side / output.stride) for side in pixels.shape[2:])
        nobody = torch.zeros(len(keypoints), dtype=torch.long)
        centers = person_centers(keypoints, labelled, keypoints[:, :4])
        if output.kind == "heatmaps":
            return encode_persons(keypoints, labelled, nobody, 1, (height, width), 2.0, self.encoding)
        if output.kind == "center":
            return encode_centers(centers, labelled.any(1), nobody, 1, (height, width))
        places = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), -1).float()
        if not len(keypoints):
            return torch.zeros(1, keypoints.shape[1] * (2 if output.kind == "offsets" else 1), height, width)
        if output.kind == "offsets":
            known = torch.where(labelled[..., None], keypoints, centers[:, None])
            nearest = torch.cdist(places.flatten(0, 1), centers).argmin(1)
            offsets = known[nearest] - places.flatten(0, 1)[:, None]
            return offsets.flatten(1).T.unflatten(1, (height, width))[None]
        far = torch.where(labelled[..., None], keypoints, 1e6)
        nearest = torch.cdist(places.flatten(0, 1)[None], far.transpose(0, 1)).argmin(2)
        return (7.0 * nearest).unflatten(1, (height, width))[None]


class KnowingTask(BottomUpTask):
    """A bottom-up task whose network is told each picture's annotated persons before it is asked."""

    network: KnowingNetwork

    def evaluation_loader(
        self, samples: EvaluationPictures, device: torch.device, with_persons: bool = False
    ) -> EvaluationPictureLoader:
        return super().evaluation_loader(samples, device, with_persons=True)

    def predict(self, model, outputs, batch: EvaluationPicture):  # type: ignore[no-untyped-def]
        persons, matrix = batch.persons, batch.picture.image_to_input
        assert persons is not None
        points = transform_points(np.repeat(matrix[None], len(persons.keypoints), 0), persons.keypoints[:, :, :2])
        labelled = torch.from_numpy(persons.keypoints[:, :, 2] > 0)
        seen = labelled.any(1)
        inputs = [network_input(self.recipe.data, pixels[None]) for pixels in batch.picture.inputs]
        self.network.show(inputs, self.config.test.scales, torch.from_numpy(points).float()[seen], labelled[seen])
        return super().predict(model, outputs, batch)
