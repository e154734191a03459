"""Load a language model with llama.cpp and answer what is known about it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from converter.ggml_types import FILE_TYPES_BY_ID
from engine.errors import EngineError
from engine.protocol import Adapter
from engine.runtime.adapters import Adapters
from engine.runtime.backends import load_backends
from engine.runtime.cancellation import Cancellation
from engine.runtime.load_failure import explain_load_failure
from engine.runtime.model_file import ModelFile
from engine.runtime.native_log import NativeLog
from engine.runtime.offload import PROCESSOR, Offload
from engine.runtime.sampling import sampling_bias
from engine.runtime.vocabulary_file import metadata_text, vocabulary_of

CELL_PADDING = 256  # llama.cpp rounds the size of a context up to a multiple of this

_OVERRIDE_INTEGER = 0
_OVERRIDE_TEXT = 3
_ALL_F32 = 0
_GUESSED = 1024


class LanguageModel:
    """Own llama.cpp's model and its adapters.

    Attributes:
        vocabulary: the model's tokens.
        longrope_line: the longest sequence that LongRoPE's short factors serve; None for models without LongRoPE.
        short_cells: the largest context, in cells, in which llama.cpp takes the short factors.
        long_attention_scale: what attention is scaled by beyond the line, relative to before it.
        logit_bias: float32 `[n_vocab]` that is a part of all logits and not of the graph; None for most models.
        masked_tokens: ids that are never sampled.
        sparse_mixer: what puts the weights of the experts right; None for most models.
        adapters: the LoRA adapters beside it.
    """

    def __init__(
        self,
        header: ModelFile,
        *,
        offload: Offload = PROCESSOR,
        adapters: Sequence[Adapter],
        log: NativeLog,
        cancellation: Cancellation,
        on_progress: Callable[[float], None],
    ) -> None:
        """Load the file of a header; `on_progress` gets a fraction; raises EngineError."""
        self.path = header.path
        self.architecture = header.architecture
        self.longrope_line = header.original_context_length
        self.long_attention_scale = header.long_attention_scale
        self.logit_bias = header.logit_bias
        self.masked_tokens = header.masked_tokens
        self.sparse_mixer = header.sparse_mixer
        self.short_cells = _padded(self.longrope_line or 0)
        self._handle = _load(header, offload, self.short_cells, log, cancellation, on_progress)
        if not self._handle:
            cancellation.check()
            raise explain_load_failure(self.path.name, log.problems())
        self.vocabulary = vocabulary_of(self._handle, header.stop_ids)
        self.adapters = Adapters(self._handle, self.path)
        try:
            self._check_use()
            self.adapters.choose(adapters)
        except EngineError:
            self.close()
            raise

    @property
    def handle(self) -> Any:
        """Give llama.cpp's pointer."""
        return self._handle

    def close(self) -> None:
        """Free the model; contexts of it must be closed before."""
        if self._handle:
            self.adapters.close()
            llama.llama_model_free(self._handle)
            self._handle = None

    def metadata(self, key: str) -> str | None:
        """Give a value of the file's metadata as text."""
        return metadata_text(self._handle, key)

    @property
    def sampling_bias(self) -> NDArray[np.float32] | None:
        """Give what a sampler adds to the logits of the graph: the bias, and -inf for masked tokens."""
        return sampling_bias(self.vocabulary.size, self.logit_bias, self.masked_tokens)

    @property
    def name(self) -> str:
        """Give the model's name, or the file's."""
        return self.metadata("general.name") or self.path.stem

    @property
    def quantization(self) -> str:
        """Give the file type as llama.cpp's tools call it, such as Q4_K_M; empty when it has no name."""
        file_type = FILE_TYPES_BY_ID.get(self._file_type)
        return file_type.name.upper() if file_type else ""

    @property
    def full_precision(self) -> bool:
        """Tell whether the weights are kept in 32 bits, so that keys and values should be too."""
        return self._file_type == _ALL_F32

    @property
    def _file_type(self) -> int:
        return int(llama.llama_model_ftype(self._handle)) & ~_GUESSED

    @property
    def size_bytes(self) -> int:
        """Give the size of the weights."""
        return int(llama.llama_model_size(self._handle))

    @property
    def parameters(self) -> int:
        """Give the number of weights."""
        return int(llama.llama_model_n_params(self._handle))

    @property
    def context_train(self) -> int:
        """Give the longest sequence that the model was trained for."""
        return int(llama.llama_model_n_ctx_train(self._handle))

    @property
    def layers(self) -> int:
        """Give the number of layers."""
        return int(llama.llama_model_n_layer(self._handle))

    @property
    def embedding(self) -> int:
        """Give the length of an embedding."""
        return int(llama.llama_model_n_embd(self._handle))

    @property
    def cache_bytes_per_token(self) -> int:
        """Give the memory of the keys and values of one token."""
        heads = int(llama.llama_model_n_head(self._handle)) or 1
        width = int(self.metadata(f"{self.architecture}.attention.key_length") or 0)
        width = width or self.embedding // heads
        bytes_per_number = 4 if self.full_precision else 2
        return 2 * bytes_per_number * self.layers * int(llama.llama_model_n_head_kv(self._handle)) * width

    @property
    def widest_product(self) -> int:
        """Estimate the multiplications of the largest matrix product of one token."""
        feed_forward = int(self.metadata(f"{self.architecture}.feed_forward_length") or 4 * self.embedding)
        # Phi-3 keeps the gate and the up projection in one matrix.
        return self.embedding * 2 * feed_forward

    def _check_use(self) -> None:
        """Refuse models that do not write text from left to right."""
        if llama.llama_model_has_encoder(self._handle) or llama.llama_model_is_diffusion(self._handle):
            sentence = f"Models of the architecture {self.architecture!r} cannot chat here."
            raise EngineError("model_unsupported", sentence, "Choose another model.")
        if self.vocabulary.size == 0:
            raise EngineError("model_invalid", "The file holds no vocabulary.", "Convert the checkpoint again.")
        if self.context_train < 1:
            sentence = "The file does not say how long a conversation may be."
            raise EngineError("model_invalid", sentence, "Convert the checkpoint again.")


def _padded(tokens: int) -> int:
    return -(-tokens // CELL_PADDING) * CELL_PADDING


def _load(
    header: ModelFile,
    offload: Offload,
    short_cells: int,
    log: NativeLog,
    cancellation: Cancellation,
    on_progress: Callable[[float], None],
) -> Any:
    """Call llama.cpp with a progress callback that also stops the load."""

    def follow(fraction: float, user_data: object) -> bool:
        if not cancellation.requested:
            on_progress(fraction)
        return not cancellation.requested

    callback = llama.llama_progress_callback(follow)
    params = llama.llama_model_default_params()
    params.n_gpu_layers = offload.layers
    # Without layers too llama.cpp would compute long prompts on every GPU that it finds.
    devices = (ctypes.c_void_p * (len(offload.gpus) + 1))(*(gpu.handle for gpu in offload.gpus), None)
    params.devices = ctypes.addressof(devices)
    params.progress_callback = callback
    overrides = _overrides(header, short_cells)
    params.kv_overrides = overrides
    log.clear()
    load_backends()
    return llama.llama_model_load_from_file(str(header.path).encode(), params)


def _overrides(header: ModelFile, short_cells: int) -> Any:
    """Give what llama.cpp is to read in the place of some of the file's metadata, with an empty entry at the end."""
    # llama.cpp compares the padded size of the context with this value when it chooses the factors.
    moved_line = header.original_context_length and short_cells != header.original_context_length
    entries = (llama.llama_model_kv_override * 3)()
    used = 0
    if moved_line:
        key = f"{header.architecture}.rope.scaling.original_context_length"
        entries[used].tag, entries[used].key = _OVERRIDE_INTEGER, key.encode()
        entries[used].value.val_i64 = short_cells
        used += 1
    if header.name_misleads:
        entries[used].tag, entries[used].key = _OVERRIDE_TEXT, b"general.name"
        entries[used].value.val_str = b"model"
    return entries
