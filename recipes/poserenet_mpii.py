"""PoseReNet (Xiang, Chen & Zhou) on MPII, as a plug-in on HRNet; without DARK, which its row there does not name.

    posestream train hrnet_w32_poserenet_mpii_256x256 data.train=DIR data.val=DIR model.weights=FILE

HRNet's own recipe, and shifts of a tenth.
Weights to start from: the authors' HRNet for ImageNet.

Expected PCKh@0.5 on the 2,958 validation samples:

    hrnet_w32_poserenet_mpii_256x256   90.4  PoseReNet III

Time: not measured.
"""

from engine.config import variant
from recipes import hrnet_mpii

recipe = variant(
    hrnet_mpii.recipe,
    "hrnet_w32_poserenet_mpii_256x256",
    "model.plugin=poserenet",
    "augmentation.translation_factor=0.1",
)
