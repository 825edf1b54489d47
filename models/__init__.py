"""Networks: backbones, heads, plug-ins, losses.

`list_models` and `list_plugins` name them, `create_model` builds one, `load_published` loads a public checkpoint.
"""

from models.create import create_model, list_models, list_plugins
from models.heatmap_network import HeatmapNetwork
from models.output_map import OutputMap
from models.published import load_published

__all__ = ["HeatmapNetwork", "OutputMap", "create_model", "list_models", "list_plugins", "load_published"]
