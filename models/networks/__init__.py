"""Base networks, one file per idea: crops → heatmaps and the features that they were made from.

`models.heatmap_network.BaseNetwork` says what each of them has.
"""
