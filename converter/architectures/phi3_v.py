"""Plan the conversion of the language model of Phi-3-vision and Phi-3.5-vision (`model_type` phi3_v).

It is Phi-3-mini-128k under the same names; the picture part goes into a file of its own (clip_companion.py).
"""

from converter.architectures import phi3
from converter.checkpoint import Checkpoint
from converter.model_plan import ModelPlan


def plan(checkpoint: Checkpoint) -> ModelPlan:
    """Plan the file of the language model; the tensors of the picture part stay out of it."""
    return phi3.plan(checkpoint)
