"""Evaluate exported files of a vision model as the chat does, with pictures: tower, projector, one growing context."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from engine.protocol import Adapter, Load, Message
from engine.runtime.cancellation import Cancellation
from engine.runtime.gpus import Gpus
from engine.runtime.native_log import NativeLog
from engine.runtime.open_model import open_model
from engine.training.picture_store import PictureStore
from engine.verification.bands import Sequence as TokenSequence
from engine.verification.compare import Rows
from engine.vision.prompt import picture_runs


class SeeingCandidate:
    """Hold a GGUF model and its companion on the processor; ids call pictures as the run's store does."""

    def __init__(
        self, path: Path, companion: Path, longest: int, store: PictureStore, adapters: Sequence[Adapter] = ()
    ) -> None:
        """Load the files for sequences of up to `longest` tokens; raises EngineError."""
        self._log, self._cancellation, self._store = NativeLog(), Cancellation(), store
        request = Load(str(path), longest, gpu_layers=0, adapters=tuple(adapters), companion=str(companion))
        self._opened = open_model(request, self._log, self._cancellation, lambda _: None, Gpus())

    def encode_chat(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of a conversation as the chat gives them to the model."""
        numbers = [self._store.look(Path(path)).number for message in messages for path in message.pictures]
        ids = self._opened.prompts.encode(messages, self._store.num_crops)
        for run, number in zip(picture_runs(ids), numbers, strict=True):
            ids[run.start : run.stop] = [-number] * (run.stop - run.start)
        return ids

    def rows(self, ids: list[int], sequence: TokenSequence, on_position: Callable[[], None]) -> Rows:
        """Return float32 logits `[all positions of the bands in order, n_vocab]`, each after the tokens up to it."""
        prompts, context = self._opened.prompts, self._opened.context
        numbers = list(dict.fromkeys(run.number for run in picture_runs(ids)))
        places = {-number: -place for place, number in enumerate(numbers, 1)}
        paths = [str(self._store.path(number)) for number in numbers]
        placed = prompts.place([places.get(token, token) for token in ids], paths, self._store.num_crops)
        embeddings = prompts.embeddings(placed, lambda *_: on_position())
        context.start(self._cancellation)
        rows = []
        for band in sequence.bands:
            for position in band.positions:
                context.fill(placed[: position + 1], lambda *_: None, embeddings)
                rows.append(context.logits())
                on_position()
        return np.stack(rows)

    def close(self) -> None:
        """Free the model."""
        self._opened.close()
