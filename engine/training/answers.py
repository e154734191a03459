"""Let a model answer while it is trained: samples to read, and whether it stops."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.jobs.events import TrainingAnswer
from engine.protocol import Message
from engine.training.chat_encoding import ChatEncoding
from engine.training.precision import Precision
from engine.training.samples import IGNORED, Sample
from engine.training.vision_model import projector_of


@dataclass(frozen=True)
class Prompt:
    """Hold what is asked: for people, as ids, and as the conversation that it ends."""

    text: str
    ids: tuple[int, ...]
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Stopping:
    """Hold whether a model ends its answers.

    Attributes:
        asked, stopped: prompts answered freely, and how many of the answers ended by themselves.
        ends, expected: answers of the data, and at how many of their ends the model expects the end.
    """

    asked: int
    stopped: int
    ends: int
    expected: int


def answer(
    model: Any, encoding: ChatEncoding, prompt: Prompt, most_tokens: int, precision: Precision
) -> tuple[str, bool]:
    """Return the likeliest answer and whether it ended by itself."""
    was_training = model.training
    model.eval()
    ids = torch.tensor([prompt.ids], device=precision.device)
    stops = list(encoding.stop_ids)
    try:
        with torch.no_grad(), precision.autocast():
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=most_tokens,
                do_sample=False,
                use_cache=True,
                eos_token_id=stops,
                pad_token_id=stops[0],
            )
    finally:
        model.train(was_training)
    new = out[0, ids.shape[1] :].tolist()
    return encoding.decode(new).strip(), bool(new) and new[-1] in stops


def stopping(
    model: Any,
    encoding: ChatEncoding,
    prompts: Sequence[Prompt],
    samples: Sequence[Sample],
    most_tokens: int,
    precision: Precision,
) -> Stopping:
    """Ask the prompts freely, and look at the ends of known answers, which is quick."""
    stopped = sum(answer(model, encoding, prompt, most_tokens, precision)[1] for prompt in prompts)
    ends = expected = 0
    model.eval()
    for sample in samples:
        places = [
            place
            for place, label in enumerate(sample.labels)
            if label in encoding.stop_ids and sample.labels[place - 1] != IGNORED
        ]
        if not places:
            continue
        with torch.no_grad(), precision.autocast():
            ids = torch.tensor([sample.ids], device=precision.device)
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=torch.tensor(places) - 1).logits[0]
        ends += len(places)
        expected += sum(int(token) in encoding.stop_ids for token in logits.argmax(-1))
    return Stopping(len(prompts), stopped, ends, expected)


class SampleAnswers:
    """Show at each checkpoint what the trained model answers, beside what its base answered."""

    def __init__(
        self, prompts: Sequence[Prompt], encoding: ChatEncoding, most_tokens: int, precision: Precision, memory: Path
    ) -> None:
        """Take the prompts, and the file in which the base's answers are kept for when the run is resumed."""
        self._prompts = prompts if most_tokens else ()
        self._encoding, self._most_tokens, self._precision = encoding, most_tokens, precision
        self._memory = memory

    def show(self, model: Any, step: int, check: Callable[[], None]) -> Iterator[TrainingAnswer]:
        """Answer every prompt; before the first step the model is its base. `check` may raise between prompts."""
        known = self._remembered()
        for prompt in self._prompts:
            check()
            tuned = self._answer(model, prompt)
            if prompt.text not in known:
                known[prompt.text] = tuned if step == 0 else self._base_answer(model, prompt)
                self._memory.write_text(json.dumps(known, ensure_ascii=False), "utf-8")
            if step:
                yield TrainingAnswer(step, prompt.text, known[prompt.text], tuned)

    def _answer(self, model: Any, prompt: Prompt) -> str:
        return answer(model, self._encoding, prompt, self._most_tokens, self._precision)[0]

    def _base_answer(self, model: Any, prompt: Prompt) -> str:
        if not hasattr(model, "disable_adapter") or projector_of(model) is not None:
            return ""
        with model.disable_adapter():
            return self._answer(model, prompt)

    def _remembered(self) -> dict[str, str]:
        try:
            return {str(key): str(value) for key, value in json.loads(self._memory.read_text("utf-8")).items()}
        except (OSError, ValueError, AttributeError):
            return {}
