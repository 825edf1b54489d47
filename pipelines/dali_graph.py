"""The only file that knows DALI: decode each picture once, fan it out to its instances, warp.

The same graph runs on the host and on a GPU. Nothing random happens inside; matrices are fed in. DALI's warp is told to
count from pixel centres, as the whole project does.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from nvidia.dali import __version__ as DALI_VERSION
from nvidia.dali import fn, pipeline_def, types
from PIL import Image
from torch import Tensor

__all__ = ["DALI_VERSION", "CropGraph", "GraphInput"]


@dataclass(frozen=True)
class GraphInput:
    """One batch for the graph.

    Attributes:
        pictures: encoded bytes of at most `slots` pictures, each (size,) uint8.
        picture_of_instance: (B,) which of them each instance is cut from.
        crop_to_image: (B, 2, 3), crop px → image px.
    """

    pictures: list[NDArray[np.uint8]]
    picture_of_instance: NDArray[np.int64]
    crop_to_image: NDArray[np.float64]


class CropGraph:
    """Encoded pictures in, crops out.

    Args:
        source: called for each next batch; raises StopIteration at the end.
        batch_size: B, instances in a batch; also how many pictures fit.
        crop_size: (height, width), crop px.
        device: a CUDA device for the GPU backend, a CPU device for the host backend.
        threads: for decoding and warping on the host.
        prefetch: batches that are being worked on at the same time.
    """

    def __init__(
        self,
        source: Callable[[], GraphInput],
        batch_size: int,
        crop_size: tuple[int, int],
        device: torch.device,
        threads: int,
        prefetch: int = 2,
    ) -> None:
        self._source = source
        self._batch_size = batch_size
        on_gpu = device.type == "cuda"
        self._pipeline = _crop_pipeline(
            self._feed,
            crop_size,
            on_gpu,
            batch_size=batch_size,
            num_threads=threads,
            device_id=(device.index or 0) if on_gpu else None,
            prefetch_queue_depth=prefetch,
        )
        self._pipeline.build()

    def run(self) -> Tensor:
        """The next crops (B, 3, H, W), uint8 RGB, in channels-last memory. Raises StopIteration at the end."""
        (crops,) = self._pipeline.run()
        return torch.from_dlpack(crops.as_tensor()).permute(0, 3, 1, 2)

    def close(self) -> None:
        """Give back threads and memory. Pipeline and `_feed` hold each other, so they would wait for the collector."""
        del self._pipeline

    def _feed(self) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.int32]], NDArray[np.float32]]:
        batch = self._source()
        # All inputs of an iteration have one batch size: slots without a picture hold a 1x1 JPEG.
        pictures = batch.pictures + [_PLACEHOLDER] * (self._batch_size - len(batch.pictures))
        matrices = np.zeros((self._batch_size, 3, 3), dtype=np.float32)
        matrices[:, :2] = batch.crop_to_image
        matrices[:, 2, 2] = 1
        return pictures, list(batch.picture_of_instance.astype(np.int32)), matrices


@pipeline_def
def _crop_pipeline(feed: Callable[[], tuple[object, ...]], crop_size: tuple[int, int], on_gpu: bool):  # type: ignore[no-untyped-def]
    encoded, indices, matrices = fn.external_source(
        source=feed, num_outputs=3, batch=True, dtype=[types.UINT8, types.INT32, types.FLOAT]
    )
    # EXIF orientation is ignored, as by COCO's tools and annotations.
    pictures = fn.decoders.image(
        encoded, device="mixed" if on_gpu else "cpu", output_type=types.RGB, adjust_orientation=False
    )
    pictures = fn.permute_batch(pictures, indices=indices)
    return fn.experimental.warp_perspective(
        pictures,
        matrices.gpu() if on_gpu else matrices,
        size=crop_size,
        interp_type=types.INTERP_LINEAR,
        fill_value=0,
        inverse_map=True,
        pixel_origin="center",
    )


def _one_pixel_jpeg() -> NDArray[np.uint8]:
    data = io.BytesIO()
    Image.new("RGB", (1, 1)).save(data, format="JPEG")
    return np.frombuffer(data.getvalue(), dtype=np.uint8)


_PLACEHOLDER = _one_pixel_jpeg()
