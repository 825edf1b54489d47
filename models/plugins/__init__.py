"""Plug-ins, one file each: features and heatmaps of any network → better heatmaps.

`models.heatmap_network.Plugin` says what each of them has.
"""
