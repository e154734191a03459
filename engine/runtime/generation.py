"""Write an answer: evaluate the prompt, draw tokens, give out text."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.protocol import Chat, ChatResult, FinishReason
from engine.runtime.cancellation import Cancellation
from engine.runtime.context import Embeddings, Progress
from engine.runtime.interface import ChatContext
from engine.runtime.sampling import Sampler
from engine.runtime.text_stream import TextStream
from engine.runtime.vocabulary import Vocabulary


class Generation:
    """Hold the state of one answer; `run` writes it."""

    def __init__(
        self,
        context: ChatContext,
        vocabulary: Vocabulary,
        chat: Chat,
        *,
        sampling_bias: NDArray[np.float32] | None = None,
        cancellation: Cancellation,
        arrived: float,
        embed: Callable[[], Embeddings],
        on_text: Callable[[str], None],
        on_progress: Progress,
        faithful_context: int = 0,
        on_approximate: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare an answer to `chat`.

        `arrived` is when the request came, in seconds of `time.perf_counter`; `embed` encodes the prompt's pictures.
        `on_approximate` is called once when tokens are drawn beyond `faithful_context` (0: there is no such limit).
        """
        self._faithful_context = faithful_context
        self._on_approximate = on_approximate
        self._context = context
        self._vocabulary = vocabulary
        self._sampling_bias = sampling_bias
        self._chat = chat
        self._cancellation = cancellation
        self._arrived = arrived
        self._embed = embed
        self._on_text = on_text
        self._on_progress = on_progress
        self._stream = TextStream(chat.stop, drop_first_space=vocabulary.adds_space)
        self._written = 0
        self._first_token_at = 0.0

    def run(self, prompt: Sequence[int]) -> ChatResult:
        """Write the answer to `prompt`; a cancelled one ends with what was written so far."""
        started = time.perf_counter()
        reused, read = 0, started
        self._context.start(self._cancellation)
        try:
            embeddings = self._embed()
            started = time.perf_counter()
            reused = self._context.fill(prompt, self._on_progress, embeddings)
            read = time.perf_counter()
            reason = self._write(prompt)
        except EngineError as error:
            if error.code != "cancelled":
                raise
            reason = "cancelled"
        self._show(self._stream.finish())
        ended = time.perf_counter()
        # The first token comes out of reading the prompt; the others are what decoding is timed by.
        decoding = ended - self._first_token_at if self._written > 1 else 0.0
        return ChatResult(
            finish_reason=reason,
            text=self._stream.text,
            prompt_tokens=len(prompt),
            cached_tokens=reused,
            completion_tokens=self._written,
            context_tokens=len(self._context.tokens),
            context=self._context.limit,
            prefill_ms=_milliseconds(max(read - started, 0.0)),
            first_token_ms=_milliseconds(max(self._first_token_at - self._arrived, 0.0)),
            decode_ms=_milliseconds(decoding),
            tokens_per_second=round((self._written - 1) / decoding, 3) if decoding else 0.0,
        )

    def _write(self, prompt: Sequence[int]) -> FinishReason:
        sampler = Sampler(self._chat.sampling, self._vocabulary.size, prompt, self._sampling_bias)
        try:
            while True:
                self._tell_approximation()
                token = self._context.sample(sampler)
                self._first_token_at = self._first_token_at or time.perf_counter()
                if self._vocabulary.is_end(token):
                    return "stop"
                self._written += 1
                self._show(self._stream.push(self._vocabulary.piece(token)))
                if self._stream.stopped:
                    return "stop"
                if self._written == self._chat.max_tokens or len(self._context.tokens) >= self._context.limit:
                    return "length"
                self._context.append(token, self._on_progress)
        finally:
            sampler.close()

    def _tell_approximation(self) -> None:
        if 0 < self._faithful_context < len(self._context.tokens):
            self._faithful_context = 0
            self._on_approximate()

    def _show(self, text: str) -> None:
        if text:
            self._on_text(text)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
