"""Tell models apart by a few of their weights, whatever file or quantisation they are in."""

import hashlib

from converter.checkpoint import Checkpoint
from converter.expert_layout import with_separate_experts

LANGUAGE_MODEL = ("model.layers.", "model.embed_tokens.", "model.norm.", "model.final_layernorm.", "lm_head.")
DIGEST_BYTES = 16


def fingerprint(checkpoint: Checkpoint) -> str:
    """Return a hash over the name, the shape and the first row of every tensor of the language model."""
    shown = with_separate_experts(checkpoint)
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name in sorted(shown.names()):
        if not name.startswith(LANGUAGE_MODEL) or not name.endswith((".weight", ".bias")):
            continue
        shape = shown.shape(name)
        digest.update(f"{name} {shape}\n".encode())
        digest.update(shown.tensor(name, shape).rows(0, 1).astype("<f4").tobytes())
    return digest.hexdigest()
