"""Make of a trained model what the chat can use, and check each file against PyTorch before it is handed over."""

import gc
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from peft import PeftModel

from converter.base_fingerprint import LANGUAGE_MODEL
from converter.checkpoint import Checkpoint
from converter.companion_path import companion_path, tuned_companion_path
from converter.convert import convert, convert_companion
from converter.gguf_stream import Progress
from converter.lora import convert_lora
from engine.errors import EngineError
from engine.jobs.events import JobProgress
from engine.jobs.ggml_quantizer import GgmlQuantizer
from engine.library.verification_record import KL_LIMITS
from engine.protocol import Adapter, Message
from engine.training.adapters import load_adapter
from engine.training.base import Base, load_weights
from engine.training.chat_encoding import ChatEncoding
from engine.training.checkpoints import disk_errors, save_weights
from engine.training.picture_store import PictureStore
from engine.training.seeing_candidate import SeeingCandidate
from engine.verification.bands import Band
from engine.verification.bands import Sequence as TokenSequence
from engine.verification.candidate import Candidate
from engine.verification.compare import Rows, compare_rows
from engine.vision.prompt import picture_runs

COMPARED_TOKENS = 4
LONGEST_COMPARED = 128
EXACT = 1e-3
"""Largest relative distance of logits between PyTorch and an adapter in float32."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)


@dataclass(frozen=True)
class Check:
    """Hold how an exported file agrees with the trained model.

    Attributes:
        file: its name.
        relative_error, kl, same_top: on the last tokens of held-out prompts, as in `BandResult`.
        limit: what was allowed, of `measure` (`relative_error` or `kl`).
        same_ids: whether the chat gives the model the ids that it was trained with.
    """

    file: str
    relative_error: float
    kl: float
    same_top: float
    measure: str
    limit: float
    same_ids: bool

    @property
    def passed(self) -> bool:
        """Tell whether the file may be used."""
        return self.same_ids and float(getattr(self, self.measure)) <= self.limit


@dataclass(frozen=True)
class HeldOut:
    """Hold what exports are checked with: sequences of ids, and conversations with the ids that training saw."""

    sequences: Sequence[Sequence[int]]
    chats: Sequence[tuple[tuple[Message, ...], Sequence[int]]]


def save_result(model: Any, base: Base, folder: Path) -> Path:
    """Write the trained weights for PyTorch: a PEFT adapter, or a whole checkpoint with the base's tokenizer."""
    is_adapter = isinstance(model, PeftModel)
    target = folder / ("adapter" if is_adapter else "checkpoint")
    partial = folder / (target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    with disk_errors():
        partial.mkdir(parents=True)
        save_weights(model, partial)
        if not is_adapter:
            _copy_tokenizer(base.folder, partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
    return target


class Exporter:
    """Write GGUF files of a result and compare them with it."""

    def __init__(
        self,
        base: Base,
        result: Path,
        held_out: HeldOut,
        report: Callable[[JobProgress], None],
        check: Callable[[], None],
    ) -> None:
        """Take a result as `save_result` wrote it; `check` may raise between pieces of work."""
        self._base, self._result, self._held_out = base, result, held_out
        self._report, self._check = report, check
        self._is_adapter = (result / "adapter_config.json").is_file()
        self._reference: tuple[list[Rows], torch.dtype] | None = None

    def adapter(self, out: Path, name: str) -> Check:
        """Write the adapter as GGUF, and with a model that sees `tuned_companion_path(out)` with the trained projector.

        Raises EngineError `check_failed`, after which both are gone.
        """
        stored, base_gguf = self._base.stored_type, out.with_name("base.check.gguf")
        convert_lora(self._result, self._base.folder, out, name=name, progress=self._on_progress)
        companion = self._companion(tuned_companion_path(out), stored, name) if self._base.sees else None
        try:
            convert(self._base.folder, base_gguf, outtype=stored, progress=self._on_progress)
            rows, same_ids = self._candidate_rows(base_gguf, (Adapter(str(out)),), companion)
        finally:
            base_gguf.unlink(missing_ok=True)
            companion_path(base_gguf).unlink(missing_ok=True)
        files = [out, companion] if companion else [out]
        if stored == "f32" and self._reference_rows()[1] == torch.float32:
            return self._judge(files, rows, same_ids, "relative_error", EXACT)
        return self._judge(files, rows, same_ids, "kl", _kl_limit(16))

    def merged(self, out: Path, quantization: str, name: str) -> Check:
        """Write the whole model as GGUF, one that sees with its companion beside it.

        Raises EngineError `check_failed`, after which the files are gone.
        """
        source, adapter = (self._base.folder, self._result) if self._is_adapter else (self._result, None)
        with GgmlQuantizer() as quantizer:
            written = convert(
                source,
                out,
                outtype=quantization,
                quantizer=quantizer,
                adapter=adapter,
                name=name,
                progress=self._on_progress,
            )
        rows, same_ids = self._candidate_rows(out, (), written.companion)
        bits = 8 * written.size_bytes / max(1, self._parameters())
        files = [out, written.companion] if written.companion else [out]
        return self._judge(files, rows, same_ids, "kl", _kl_limit(bits))

    def _companion(self, out: Path, stored: str, name: str) -> Path:
        """Write the tower with the trained projector."""
        return convert_companion(
            self._base.folder, out, outtype=stored, name=name, adapter=self._result, progress=self._on_progress
        )

    def _judge(self, files: Sequence[Path], rows: list[Rows], same_ids: bool, measure: str, limit: float) -> Check:
        """Compare what files answer with PyTorch; they go away when it is not the same."""
        ours, theirs = np.concatenate(rows), np.concatenate(self._reference_rows()[0])
        band = compare_rows("held out", 0, len(ours) - 1, ours, theirs)
        result = Check(files[0].name, band.relative_error, band.kl, band.same_top, measure, limit, same_ids)
        if not result.passed:
            for file in files:
                file.unlink(missing_ok=True)
            raise _mismatch(result)
        return result

    def _candidate_rows(
        self, path: Path, adapters: Sequence[Adapter], companion: Path | None
    ) -> tuple[list[Rows], bool]:
        """Return logits of the held-out sequences in the chat's runtime, and whether chats have the same ids there."""
        candidate: Candidate | SeeingCandidate
        if companion is not None and self._base.pictures is not None:
            longest = max(map(len, self._held_out.sequences), default=LONGEST_COMPARED)
            candidate = SeeingCandidate(path, companion, longest, self._base.pictures, adapters)
        else:
            candidate = Candidate(path, LONGEST_COMPARED, adapters=tuple(adapters))
        try:
            same_ids = all(candidate.encode_chat(chat) == list(ids) for chat, ids in self._held_out.chats)
            rows = []
            for number, ids in enumerate(self._held_out.sequences):
                self._check()
                self._report(JobProgress("check", number, len(self._held_out.sequences), "sequences"))
                rows.append(candidate.rows(list(ids), _last_tokens(ids), self._check))
            return rows, same_ids
        finally:
            candidate.close()

    def _reference_rows(self) -> tuple[list[Rows], torch.dtype]:
        """Return the same logits in PyTorch, in float32 where that fits; computed once."""
        if self._reference is None:
            free = psutil.virtual_memory().available
            dtype = torch.float32 if 5 * self._parameters() < free else torch.bfloat16
            model: Any = load_weights(self._base if self._is_adapter else _at(self._base, self._result), dtype)
            if self._is_adapter:
                model = load_adapter(model, self._result)
            rows = []
            for ids in self._held_out.sequences:
                self._check()
                with torch.no_grad():
                    logits = model(torch.tensor([list(ids)]), use_cache=False).logits[0, -COMPARED_TOKENS:]
                rows.append(logits.float().numpy())
            del model
            gc.collect()
            self._reference = rows, dtype
        return self._reference

    def _parameters(self) -> int:
        """Return how many numbers the language model has."""
        checkpoint = Checkpoint(self._base.folder)
        try:
            names = [name for name in checkpoint.names() if name.startswith(LANGUAGE_MODEL)]
            return sum(math.prod(checkpoint.shape(name)) for name in names)
        finally:
            checkpoint.close()

    def _on_progress(self, progress: Progress) -> None:
        self._check()
        self._report(JobProgress("export", progress.done, progress.total, "tensors"))


def held_out(
    encoding: ChatEncoding,
    sequences: Sequence[Sequence[int]],
    chats: Sequence[tuple[Message, ...]],
    pictures: PictureStore | None = None,
) -> HeldOut:
    """Prepare what exports are checked with; sequences are cut to what is compared, but those with pictures are not."""
    long_enough = [tuple(ids) for ids in sequences if len(ids) > COMPARED_TOKENS]
    if pictures is None:
        compared = [ids[:LONGEST_COMPARED] for ids in long_enough]
    else:
        compared = [ids for ids in long_enough if _has_whole_pictures(ids, pictures)]
    return HeldOut(compared, [(chat, encoding.encode(chat)) for chat in chats])


def _has_whole_pictures(ids: Sequence[int], pictures: PictureStore) -> bool:
    return all(run.stop - run.start == pictures.tokens(run.number) for run in picture_runs(ids))


def _last_tokens(ids: Sequence[int]) -> TokenSequence:
    return TokenSequence(len(ids), (Band("held out", len(ids) - COMPARED_TOKENS, len(ids) - 1),))


def _kl_limit(bits_per_weight: float) -> float:
    """Return the divergence that quantisation alone explains."""
    return next(limit for least, limit in KL_LIMITS if bits_per_weight >= least)


def _copy_tokenizer(source: Path, target: Path) -> None:
    """Copy what belongs to the tokenizer; one that ends prompts by itself would make every answer empty."""
    for name in ("config.json", *TOKENIZER_FILES):
        if (source / name).is_file():
            shutil.copy(source / name, target / name)
    settings = target / "tokenizer_config.json"
    if settings.is_file():
        values = json.loads(settings.read_text("utf-8"))
        if values.get("add_eos_token"):
            settings.write_text(json.dumps(values | {"add_eos_token": False}, indent=1), "utf-8")


def _at(base: Base, folder: Path) -> Base:
    return replace(base, folder=folder)


def _mismatch(check: Check) -> EngineError:
    if not check.same_ids:
        message = f"{check.file} was not kept: the chat would give the model other tokens than it was trained with."
    else:
        value = float(getattr(check, check.measure))
        figures = f"{check.measure.replace('_', ' ')} {value:.2g}, allowed {check.limit:.2g}"
        message = f"{check.file} was not kept: it does not answer as the trained model does ({figures})."
    return EngineError("check_failed", message, "The trained weights are kept for PyTorch; report this.", repr(check))
