"""Networks: backbones, heads, losses. `create_model` builds one, `list_models` names them."""

from models.create import create_model, list_models
from models.heatmap_network import HeatmapNetwork, OutputMap

__all__ = ["HeatmapNetwork", "OutputMap", "create_model", "list_models"]
