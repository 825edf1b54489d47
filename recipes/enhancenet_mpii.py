"""EnhanceNet (Liu et al., ECAI 2020) on MPII, as a plug-in on stacked hourglasses and DLCM.

    posestream train hourglass_8_enhancenet_mpii_256x256 data.train=DIR data.val=DIR

Each network's own recipe; three layers of 128 channels and four times finer heatmaps.

Expected PCKh@0.5 on the 2,958 validation samples:

    hourglass_2_enhancenet_mpii_256x256   87.96  EnhanceNet 1
    hourglass_4_enhancenet_mpii_256x256   88.81  EnhanceNet 1
    hourglass_8_enhancenet_mpii_256x256   89.03  EnhanceNet 1
    dlcm_enhancenet_mpii_256x256          90.78  EnhanceNet 1; PCKh@0.1 37.55, EnhanceNet 3

Time: not measured.
"""

from engine.config import variant
from recipes import dlcm_mpii, hourglass_mpii

recipes = tuple(
    variant(
        base, base.name.replace("_mpii", "_enhancenet_mpii"), "model.plugin=enhancenet", "evaluate.flip_shift=exact"
    )
    for base in (*hourglass_mpii.recipes, dlcm_mpii.recipe)
)
