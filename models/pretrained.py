"""ImageNet weights for a backbone, from a torchvision ResNet file on disk."""

from pathlib import Path

import torch
from torch import nn

from pose.errors import UserError

_CLASSIFIER = ("fc.weight", "fc.bias")


class WeightsError(UserError, ValueError):
    """A weights file that does not fit; the message names the file and the tensors left over or missing."""


def load_backbone_weights(backbone: nn.Module, path: Path) -> None:
    """Load torchvision's ImageNet weights (resnet50-*.pth and so on) into a backbone; the classifier is dropped.

    Raises:
        WeightsError: the file is missing or unreadable, or a tensor is left over, missing or of another shape.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"cannot load weights {path}: {error}") from error
    except Exception as error:
        # Damaged bytes make torch raise almost anything; its words are a page long and advise to run the file's code.
        raise WeightsError(f"cannot load weights {path}: damaged, or it holds more than tensors") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds a {type(state).__name__}, expected a dictionary from tensor names to tensors")
    state = {name: tensor for name, tensor in state.items() if name not in _CLASSIFIER}
    own = backbone.state_dict()
    # Files saved before PyTorch 0.4 lack the batch counters, which only a momentum of None would use.
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unknown = [name for name in state if name not in own]
    misshapen = [name for name, tensor in state.items() if name in own and tensor.shape != own[name].shape]
    if missing or unknown or misshapen:
        raise WeightsError(
            f"{path} does not fit: missing {missing[:5]}, left over {unknown[:5]}, of another shape {misshapen[:5]}"
        )
    backbone.load_state_dict(state, strict=False)
