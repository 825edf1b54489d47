"""Which crops a network that halves and doubles its maps can take."""

from torch import Tensor

from pose.errors import UserError


class CropSizeError(UserError, ValueError):
    """Crops that a network cannot halve as often as it has to; the message names their size and the divisor."""


def require_multiple(crops: Tensor, divisor: int) -> None:
    """Refuse crops (B, 3, H, W) unless `divisor` divides H and W: maps that were halved and doubled would not fit.

    Raises:
        CropSizeError: it does not.
    """
    height, width = crops.shape[2:]
    if height % divisor or width % divisor:
        raise CropSizeError(f"data.crop_size=({height}, {width}): this network needs multiples of {divisor} px")
