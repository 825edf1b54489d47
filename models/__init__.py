"""Networks: backbones, heads, plug-ins, losses. `create_model` builds one, `list_models` names them."""

from models.create import create_model, list_models, list_plugins
from models.heatmap_network import HeatmapNetwork
from models.output_map import OutputMap

__all__ = ["HeatmapNetwork", "OutputMap", "create_model", "list_models", "list_plugins"]
