"""SimpleBaseline (Xiao, Wu & Wei, ECCV 2018) on CrowdPose.

    posestream train simplebaseline_resnet50_crowdpose_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

No schedule was published for this row; it is the COCO recipe on the CrowdPose training set.

Expected AP on the test set with detector boxes:

    simplebaseline_resnet50_crowdpose_256x192   60.8  EFAFNet IV

Time: not measured.
"""

from engine.config import variant
from recipes import simplebaseline_coco

recipe = variant(simplebaseline_coco.recipes[0], "simplebaseline_resnet50_crowdpose_256x192")
