"""The only file that knows DALI: decode each picture once, warp it into its instances' crops, or whole to some scales.

The same graph runs on the host and on a GPU; the host decodes only what crops show. Nothing random happens inside;
matrices are fed in. DALI's warp is told to count from pixel centres, as the whole project does.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from nvidia.dali import __version__ as DALI_VERSION
from nvidia.dali import fn, pipeline_def, types
from torch import Tensor

from pipelines.graph_input import GraphInput, cut_into_pieces
from pipelines.whole_picture_geometry import WholePictureInput

__all__ = ["DALI_VERSION", "CropGraph", "GraphInput", "WholePictureGraph"]


class CropGraph:
    """Encoded pictures in, crops out.

    Args:
        source: called for each next batch; raises StopIteration at the end.
        batch_size: B, instances in a batch.
        crop_size: (height, width), crop px.
        device: a CUDA device for the GPU backend, a CPU device for the host backend.
        threads: for decoding and warping on the host.
        prefetch: batches that are being worked on at the same time.
        with_masks: also warp a mask for each instance.
    """

    def __init__(
        self,
        source: Callable[[], GraphInput],
        batch_size: int,
        crop_size: tuple[int, int],
        device: torch.device,
        threads: int,
        prefetch: int = 2,
        with_masks: bool = False,
    ) -> None:
        self._source = source
        self._batch_size, self._crop_size = batch_size, crop_size
        self._on_gpu, self._with_masks = device.type == "cuda", with_masks
        self._pipeline = self._definition()(
            batch_size=batch_size,
            num_threads=threads,
            device_id=(device.index or 0) if self._on_gpu else None,
            prefetch_queue_depth=prefetch,
        )
        self._pipeline.build()

    def run(self) -> Any:
        """The next crops (B, 3, H, W), uint8 RGB, in channels-last memory; 0 outside the picture.

        A graph with masks gives a pair: crops, and masks (B, H, W) uint8, 1 where more than half is marked, else 0.
        Raises StopIteration at the end.
        """
        crops, *masks = self._pipeline.run()
        crops = self._tensor(crops, 3).permute(0, 3, 1, 2)
        return (crops, self._tensor(masks[0], 1)[..., 0]) if masks else crops

    def close(self) -> None:
        """Give back threads and memory. Pipeline and `_feed` hold each other, so they would wait for the collector."""
        del self._pipeline

    def _definition(self) -> Callable[..., Any]:
        return partial(_crop_pipeline, self._feed, self._crop_size, self._on_gpu, self._with_masks)

    def _tensor(self, warped: Any, channels: int) -> Tensor:
        """The crops of all pieces, one behind the other: (B, H, W, C)."""
        return torch.from_dlpack(warped.as_reshaped_tensor([self._batch_size, *self._crop_size, channels]))

    def _feed(self) -> tuple[object, ...]:
        pieces = cut_into_pieces(self._source(), self._crop_size, whole=self._on_gpu)
        region = () if self._on_gpu else (pieces.start, pieces.end)
        masks = (pieces.masks,) if self._with_masks else ()
        return (pieces.pictures, pieces.matrices, *region, *masks)


class WholePictureGraph(CropGraph):
    """Encoded pictures in; out come all of each picture at every scale, in a size of its own.

    Args:
        source: gives a WholePictureInput of 1 to `batch_size` pictures each time.
        scales: factors from the input px of the source to those of the outputs.
    """

    def __init__(
        self,
        source: Callable[[], GraphInput],
        batch_size: int,
        scales: Sequence[float],
        device: torch.device,
        threads: int,
        prefetch: int = 2,
    ) -> None:
        self._scales = scales
        super().__init__(source, batch_size, (0, 0), device, threads, prefetch)

    def run(self) -> list[tuple[Tensor, ...]]:
        """For each of the next pictures one (3, h, w) per scale, uint8 RGB, channels last in memory, 0 outside.

        Raises StopIteration at the end.
        """
        outputs = self._pipeline.run()
        return [
            tuple(torch.from_dlpack(scale[row]).permute(2, 0, 1) for scale in outputs) for row in range(len(outputs[0]))
        ]

    def _definition(self) -> Callable[..., Any]:
        return partial(_whole_picture_pipeline, self._feed, self._scales, self._on_gpu)

    def _feed(self) -> tuple[object, ...]:
        batch = cast(WholePictureInput, self._source())
        return (list(batch.pictures), *(fed for scale in self._scales for fed in batch.warp(scale)))


# EXIF orientation is ignored, as by COCO's tools and annotations.
_DECODING = {"output_type": types.RGB, "adjust_orientation": False}
_WARPING = {
    "interp_type": types.INTERP_LINEAR,
    "fill_value": 0,
    "inverse_map": True,
    "pixel_origin": "center",
}


@pipeline_def
def _crop_pipeline(  # type: ignore[no-untyped-def]
    feed: Callable[[], tuple[object, ...]], crop_size: tuple[int, int], on_gpu: bool, with_masks: bool
):
    dtypes = [types.UINT8, types.FLOAT, *([] if on_gpu else [types.FLOAT] * 2), *([types.UINT8] if with_masks else [])]
    encoded, matrices, *others = fn.external_source(source=feed, num_outputs=len(dtypes), batch=True, dtype=dtypes)
    if on_gpu:
        # Whole: nvImageCodec 0.9 is known to crash on regions on some GPUs.
        pictures = fn.decoders.image(encoded, device="mixed", **_DECODING)
        matrices, *others = (fed.gpu() for fed in (matrices, *others))
    else:
        start, end, *others = others
        pictures = fn.decoders.image_slice(encoded, rel_start=start, rel_end=end, axis_names="HW", **_DECODING)
    masks = [fn.reinterpret(mask, layout="HWC") for mask in others]
    # One picture and n matrices give n crops, without a copy of the picture for each.
    matrices = fn.per_frame(matrices)
    return tuple(
        fn.experimental.warp_perspective(pixels, matrices, size=crop_size, **_WARPING) for pixels in (pictures, *masks)
    )


@pipeline_def
def _whole_picture_pipeline(  # type: ignore[no-untyped-def]
    feed: Callable[[], tuple[object, ...]], scales: Sequence[float], on_gpu: bool
):
    dtypes = [types.UINT8, *[types.FLOAT] * (2 * len(scales))]
    encoded, *warps = fn.external_source(source=feed, num_outputs=len(dtypes), batch=True, dtype=dtypes)
    pictures = fn.decoders.image(encoded, device="mixed" if on_gpu else "cpu", **_DECODING)
    return tuple(
        fn.experimental.warp_perspective(pictures, matrices.gpu() if on_gpu else matrices, size=sizes, **_WARPING)
        for matrices, sizes in zip(warps[::2], warps[1::2], strict=True)
    )
