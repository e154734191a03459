"""Write an answer: evaluate the prompt, draw tokens, give out text."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Basis:
    """Hold what an answer is written with, which changes when a GPU fails.

    Attributes:
        context, vocabulary, sampling_bias: of the loaded model.
        prompt: the ids before the answer.
        embed: encodes the prompt's pictures.
    """

    context: ChatContext
    vocabulary: Vocabulary
    sampling_bias: NDArray[np.float32] | None
    prompt: Sequence[int]
    embed: Callable[[], Embeddings]


def no_other_basis(error: EngineError) -> Basis:
    """Let a failure be one."""
    raise error


class Generation:
    """Hold the state of one answer; `run` writes it."""

    def __init__(
        self,
        basis: Basis,
        chat: Chat,
        *,
        cancellation: Cancellation,
        arrived: float,
        on_text: Callable[[str, tuple[int, ...]], None],
        on_progress: Progress,
        on_failure: Callable[[EngineError], Basis] = no_other_basis,
        faithful_context: int = 0,
        on_approximate: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare an answer to `chat`.

        `arrived` is when the request came, in seconds of `time.perf_counter`; `on_text` gets pieces with the ids of the
        tokens since the last one; `on_failure` gives what the answer goes on with after an evaluation has failed, or
        raises. `on_approximate` is called once when tokens are drawn beyond `faithful_context` (0: no such limit).
        """
        self._basis = basis
        self._faithful_context = faithful_context
        self._on_approximate = on_approximate
        self._chat = chat
        self._cancellation = cancellation
        self._arrived = arrived
        self._on_text = on_text
        self._on_progress = on_progress
        self._on_failure = on_failure
        self._stream = TextStream(chat.stop, drop_first_space=basis.vocabulary.adds_space)
        self._ids = list(chat.written)
        self._told = len(self._ids)
        self._first_token_at = 0.0
        for token in self._ids:
            self._stream.push(basis.vocabulary.piece(token))

    def run(self) -> ChatResult:
        """Write the answer; a cancelled one ends with what was written so far."""
        started = time.perf_counter()
        self._read_from = started
        reused, read = 0, started
        try:
            # Of an answer that was begun the last token is evaluated as those are that follow it.
            reused = self._read(self._ids[:-1])
            started, read = self._read_from, time.perf_counter()
            reason = self._write()
        except EngineError as error:
            if error.code != "cancelled":
                raise
            reason = "cancelled"
        self._show(self._stream.finish())
        ended = time.perf_counter()
        drawn = len(self._ids) - len(self._chat.written)
        # The first token comes out of reading the prompt; the others are what decoding is timed by.
        decoding = ended - self._first_token_at if drawn > 1 else 0.0
        return ChatResult(
            finish_reason=reason,
            text=self._stream.text,
            prompt_tokens=len(self._basis.prompt),
            cached_tokens=reused,
            completion_tokens=len(self._ids),
            context_tokens=len(self._basis.context.tokens),
            context=self._basis.context.limit,
            prefill_ms=_milliseconds(max(read - started, 0.0)),
            first_token_ms=_milliseconds(max(self._first_token_at - self._arrived, 0.0)),
            decode_ms=_milliseconds(decoding),
            tokens_per_second=round((drawn - 1) / decoding, 3) if decoding else 0.0,
        )

    def _read(self, written: Sequence[int]) -> int:
        """Make the context hold the prompt and what is written of the answer; give how many tokens it held before."""
        try:
            return self._fill(written)
        except EngineError as error:
            self._basis = self._on_failure(error)
            return self._fill(written)

    def _fill(self, written: Sequence[int]) -> int:
        basis = self._basis
        basis.context.start(self._cancellation)
        embeddings = basis.embed()
        self._read_from = time.perf_counter()
        return basis.context.fill([*basis.prompt, *written], self._on_progress, embeddings)

    def _append(self, token: int) -> None:
        """Evaluate the last token of the answer."""
        try:
            self._basis.context.append(token, self._on_progress)
        except EngineError as error:
            self._basis = self._on_failure(error)
            self._fill(self._ids)

    def _write(self) -> FinishReason:
        basis = self._basis
        so_far = [*basis.prompt, *self._ids]
        sampler = Sampler(self._chat.sampling, basis.vocabulary.size, so_far, basis.sampling_bias)
        try:
            while (reason := self._end()) is None:
                if self._ids:
                    self._append(self._ids[-1])
                self._tell_approximation()
                token = self._basis.context.sample(sampler)
                self._first_token_at = self._first_token_at or time.perf_counter()
                if self._basis.vocabulary.is_end(token):
                    return "stop"
                self._ids.append(token)
                self._show(self._stream.push(self._basis.vocabulary.piece(token)))
            return reason
        finally:
            sampler.close()

    def _end(self) -> FinishReason | None:
        """Say whether the answer is complete with the tokens that it has."""
        if self._stream.stopped:
            return "stop"
        full = len(self._basis.context.tokens) >= self._basis.context.limit
        return "length" if self._ids and (full or len(self._ids) == self._chat.max_tokens) else None

    def _tell_approximation(self) -> None:
        if 0 < self._faithful_context < len(self._basis.context.tokens):
            self._faithful_context = 0
            self._on_approximate()

    def _show(self, text: str) -> None:
        if text:
            self._on_text(text, tuple(self._ids[self._told :]))
            self._told = len(self._ids)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
