"""Load a Phi-3-small from a GGUF file into PyTorch; its tokens come from llama.cpp, which reads the same file."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from converter.ggml_types import FILE_TYPES_BY_ID
from converter.gguf_file import read_header
from engine.errors import EngineError
from engine.runtime.cancellation import Cancellation
from engine.runtime.model_file import ModelFile
from engine.runtime.native_log import NativeLog
from engine.runtime.sampling import sampling_bias
from engine.runtime.vocabulary import Vocabulary
from engine.runtime.vocabulary_file import VocabularyFile
from engine.torch_runtime.gguf_weights import read_weights, with_rope_factors
from engine.torch_runtime.phi3small import Phi3Small
from engine.torch_runtime.phi3small_config import Phi3SmallConfig
from engine.torch_runtime.placement import Placement


class ExactModel:
    """Own the weights and the vocabulary.

    Attributes:
        phi3small: what evaluates tokens.
        config: the arithmetic, LongRoPE's factors included.
        logit_bias: float32 `[n_vocab]` that is a part of all logits; None for files without one.
        masked_tokens: ids that are never sampled.
    """

    def __init__(
        self,
        file: ModelFile,
        config: Phi3SmallConfig,
        placement: Placement,
        *,
        log: NativeLog,
        cancellation: Cancellation,
        on_progress: Callable[[float], None],
    ) -> None:
        """Load the model to where it was placed; `on_progress` gets a fraction; raises EngineError."""
        self._header = header = read_header(file.path)
        self.architecture = file.architecture
        self.logit_bias = file.logit_bias
        self.masked_tokens = file.masked_tokens
        self._vocabulary_file = VocabularyFile(file, log)

        def on_rows(fraction: float) -> None:
            cancellation.check()
            on_progress(fraction)

        try:
            self._check_vocabulary(config)
            self.config = with_rope_factors(header, config)
            device = torch.device(placement.device)
            weights = read_weights(header, self.config, placement.dtype, device, on_rows)
        except BaseException:
            self._vocabulary_file.close()
            raise
        self.phi3small = Phi3Small(self.config, weights)

    def _check_vocabulary(self, config: Phi3SmallConfig) -> None:
        """Refuse a file whose tokens are not those that its weights know."""
        if self.vocabulary.size != config.vocab_size:
            sentence = f"The file holds {self.vocabulary.size:,} tokens, and weights for {config.vocab_size:,}."
            raise EngineError("model_invalid", sentence, "Convert the checkpoint again.")

    def close(self) -> None:
        """Free the model."""
        self._vocabulary_file.close()
        self.phi3small.weights = {}
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def metadata(self, key: str) -> str | None:
        """Give a value of the file's metadata as text."""
        return self._vocabulary_file.metadata(key)

    @property
    def vocabulary(self) -> Vocabulary:
        """Give the model's tokens."""
        return self._vocabulary_file.vocabulary

    @property
    def sampling_bias(self) -> NDArray[np.float32] | None:
        """Give what a sampler adds to the logits: the bias, and -inf for masked tokens."""
        return sampling_bias(self.config.vocab_size, self.logit_bias, self.masked_tokens)

    @property
    def name(self) -> str:
        """Give the model's name, or the file's."""
        return self.metadata("general.name") or self._header.path.stem

    @property
    def quantization(self) -> str:
        """Give the file type as llama.cpp's tools call it, such as Q4_K_M; empty when it has no name."""
        file_type = FILE_TYPES_BY_ID.get(int(self._header.number("general.file_type", -1)))
        return file_type.name.upper() if file_type else ""

    @property
    def size_bytes(self) -> int:
        """Give the size of the weights in the file."""
        return sum(info.nbytes for info in self._header.tensors.values())

    @property
    def parameters(self) -> int:
        """Give the number of weights."""
        return sum(math.prod(info.shape) for info in self._header.tensors.values())

    @property
    def context_train(self) -> int:
        """Give the longest sequence that the model was trained for."""
        return self.config.max_position_embeddings
