"""Rendered photographs of people with exact keypoints, in the raw layouts of COCO, MPII and CrowdPose."""

from sharding.synthetic.scene import render_scene
from sharding.synthetic.truth import CrowdRegion, Scene, SyntheticPerson
from sharding.synthetic.write import LAYOUTS, SyntheticFiles, write_dataset

__all__ = ["LAYOUTS", "CrowdRegion", "Scene", "SyntheticFiles", "SyntheticPerson", "render_scene", "write_dataset"]
