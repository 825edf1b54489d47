"""ImageNet weights for a backbone, from a torchvision ResNet file on disk."""

from pathlib import Path

from torch import nn

from models.weights_file import WeightsError, load_tensors

_CLASSIFIER = ("fc.weight", "fc.bias")


def load_backbone_weights(backbone: nn.Module, path: Path) -> None:
    """Load torchvision's ImageNet weights (resnet50-*.pth and so on) into a backbone; the classifier is dropped.

    Raises:
        WeightsError: the file is missing or unreadable, or a tensor is left over, missing or of another shape.
    """
    state = {name: tensor for name, tensor in load_tensors(path).items() if name not in _CLASSIFIER}
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
