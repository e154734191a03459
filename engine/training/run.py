"""Carry out a run, the whole path from top to bottom: data, weights, estimate, steps, results."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from converter.companion_path import tuned_companion_path
from converter.gguf_stream import Progress
from engine.busy import default_busy_file
from engine.errors import EngineError
from engine.jobs.events import JobEvent, JobProgress, TrainingEstimate, TrainingEvaluation, TrainJob
from engine.library.folders import default_cache_dir
from engine.protocol import Message
from engine.training.answers import Prompt, SampleAnswers, Stopping, stopping
from engine.training.base import Base, open_base, with_pictures
from engine.training.chat_encoding import ChatEncoding
from engine.training.checkpoints import KEPT, TrainerState, newest_state
from engine.training.control import RunControl
from engine.training.loop import Material, TrainingLoop
from engine.training.memory import out_of_memory, probe
from engine.training.model_card import CardFacts, write_card
from engine.training.precision import Precision, choose_precision
from engine.training.reading import RunData, read_data
from engine.training.recipes import RECIPES, Ingredients
from engine.training.results import Check, Exporter, held_out, save_result
from engine.training.settings import check_job, steps_of_run
from engine.training.vision_encoding import VisionEncoding

CHECKPOINTS_FOLDER, RESULT_FOLDER, PICTURES_FOLDER = "checkpoints", "result", "pictures"
ANSWERS_FILE = "base_answers.json"
PROMPTS_SHOWN, PROMPTS_ASKED, SEQUENCES_COMPARED, MOST_MEASURED = 2, 3, 4, 64
MOST_STOP_TOKENS = 200
"""How long an answer may get in the question whether the model stops, at most."""
BITS = {"f32": 32, "f16": 16, "bf16": 16, "q8_0": 8.5}

Report = Callable[[JobEvent], None]


@dataclass(frozen=True)
class Run:
    """Hold what all stages of one run need."""

    job: TrainJob
    folder: Path
    base: Base
    encoding: ChatEncoding
    precision: Precision
    data: RunData
    control: RunControl
    report: Report


def train(job: TrainJob, folder: Path, report: Report) -> dict[str, Any]:
    """Carry out the run in `folder`, or go on with it, and return what it made.

    Raises EngineError, ConversionError or OSError; Stopped when it was asked to end, after saving.
    """
    job = check_job(job)
    torch.set_num_threads(job.threads or psutil.cpu_count(logical=False) or 1)
    control = RunControl(folder, Path(job.busy_file) if job.busy_file else default_busy_file())
    report(JobProgress("prepare", 0, 0, "rows"))
    cache = Path(job.cache) if job.cache else default_cache_dir() / "bases"
    base = open_base(job.base, cache, Path(job.models_dir) if job.models_dir else None)
    if base.sees:
        base = _open_pictures(job, base, folder, control, report)
    encoding = ChatEncoding(base) if base.pictures is None else VisionEncoding(base, base.pictures)
    job = replace(job, max_length=min(job.max_length, base.context))
    data = read_data(job, encoding, control.check)
    run = Run(job, folder, base, encoding, choose_precision(job.precision), data, control, report)
    losses: list[TrainingEvaluation] = []
    try:
        return _carry_out(run, losses)
    finally:
        if base.pictures is not None:
            base.pictures.close()


def _carry_out(run: Run, losses: list[TrainingEvaluation]) -> dict[str, Any]:
    with out_of_memory():
        _look_at_pictures(run)
        material, state = _learn(run, losses)
        result = save_result(material.model, run.base, run.folder / RESULT_FOLDER)
        stops = _stopping(run, material.model)
        del material
        return _hand_over(run, state, result, stops, losses)


def _open_pictures(job: TrainJob, base: Base, folder: Path, control: RunControl, report: Report) -> Base:
    """Open the tower of a base that sees. Raises EngineError `bad_request` for methods that it does not learn with."""
    if job.method != "lora":
        message = f"Vision models are not trained with the method {job.method}."
        raise EngineError("bad_request", message, "Choose the method lora.")

    def on_progress(progress: Progress) -> None:
        control.check()
        report(JobProgress("prepare", progress.done, progress.total, "tensors"))

    threads = job.threads or psutil.cpu_count(logical=False) or 1
    return with_pictures(base, folder / PICTURES_FOLDER, job.num_crops, threads, on_progress)


def _look_at_pictures(run: Run) -> None:
    """Send all pictures through the tower before the first step; a run that has no step left needs few of them."""
    pictures, items = run.base.pictures, [*run.data.learned.items, *run.data.measured.items]
    state = newest_state(run.folder / CHECKPOINTS_FOLDER)
    if pictures is None or (state is not None and state.step >= state.total_steps):
        return

    def on_progress(done: float, total: int) -> None:
        run.control.check()
        run.report(JobProgress("pictures", int(done), total, "crops"))

    samples = [sample for item in items for sample in item.samples]
    pictures.prepare((-token for sample in samples for token in sample.ids if token < 0), on_progress)


def _learn(run: Run, losses: list[TrainingEvaluation]) -> tuple[Material, TrainerState]:
    """Take the steps; `losses` collects the measurements."""
    job, folder = run.job, run.folder
    material = RECIPES[job.method](
        Ingredients(
            job,
            folder,
            run.base,
            run.precision,
            run.data.learned.items,
            run.data.measured.items[:MOST_MEASURED],
            run.control.check,
        )
    )
    if newest_state(folder / CHECKPOINTS_FOLDER) is None:
        _estimate(run, material)
    answers = SampleAnswers(_shown_prompts(run), run.encoding, job.sample_tokens, run.precision, folder / ANSWERS_FILE)

    def report(event: JobEvent) -> None:
        if isinstance(event, TrainingEvaluation):
            losses.append(event)
        run.report(event)

    def show_answers(step: int) -> None:
        for event in answers.show(material.model, step, run.control.check):
            run.report(event)

    loop = TrainingLoop(job, material, folder / CHECKPOINTS_FOLDER, run.control, report, show_answers)
    return material, loop.run()


def _estimate(run: Run, material: Material) -> None:
    """Measure a few rows, report what the run will take, and refuse what the disk cannot hold."""
    run.report(JobProgress("measure", 0, 0, "rows"))
    measured = probe(material, run.job.batch_size)
    steps = steps_of_run(run.job, len(material.items))
    mean = sum(item.tokens for item in material.items) / len(material.items)
    tokens = int(steps * min(run.job.batch_size, len(material.items)) * mean)
    parameters = [(parameter.numel(), parameter.requires_grad) for parameter in material.model.parameters()]
    total, trained = sum(count for count, _ in parameters), sum(count for count, learned in parameters if learned)
    disk = _disk_bytes(run, trained, total)
    run.report(
        TrainingEstimate(
            steps,
            tokens,
            tokens * measured.seconds_per_token,
            measured.memory_bytes,
            measured.memory_free,
            disk,
            trained,
            total,
            measured.recomputes,
            str(run.precision.compute).removeprefix("torch."),
            len(material.items),
            run.data.refused.total(),
            dict(run.data.refused.most_common(20)),
        )
    )
    free = shutil.disk_usage(run.folder).free
    if free < disk:
        need = f"the run needs {disk / 1e9:.1f} GB and {free / 1e9:.1f} GB are free"
        raise EngineError("disk_full", f"The disk has too little space: {need}.", "Free some space, or train less.")


def _disk_bytes(run: Run, trained: int, total: int) -> int:
    """Return what checkpoints (weights and two moments each, one more while it is written) and results take."""
    job = run.job
    checkpoints = (KEPT + 1) * 12 * trained
    merged = total * BITS.get(job.merged.lower(), 6) / 8 if job.merged else 0
    compared = 4 * total if job.export_adapter and job.method not in ("full", "pretrain") else 0
    companions = 0 if run.base.pictures is None else 3 * run.base.pictures.companion_bytes
    return int(checkpoints + 8 * trained + merged + compared + companions)


def _shown_prompts(run: Run) -> list[Prompt]:
    """Return the prompts for samples: those of the job, else the first that are not learned from."""
    if not run.job.sample_prompts:
        return (run.data.measured.prompts or run.data.learned.prompts)[:PROMPTS_SHOWN]
    return [Prompt(text, tuple(_prompt_ids(run, text))) for text in run.job.sample_prompts]


def _prompt_ids(run: Run, text: str) -> list[int]:
    if run.job.method == "pretrain":
        return run.encoding.encode_text(text)
    return run.encoding.encode([Message("user", text)])


def _stopping(run: Run, model: Any) -> Stopping | None:
    """Find out whether the model ends its answers; a model of plain text is not asked."""
    if run.job.method == "pretrain":
        return None
    run.report(JobProgress("check", 0, 0, "answers"))
    part = run.data.measured if run.data.measured.items else run.data.learned
    samples = [sample for item in part.items[:16] for sample in item.samples[:1]]
    prompts = part.prompts[:PROMPTS_ASKED] if run.job.sample_tokens else []
    most_tokens = min(MOST_STOP_TOKENS, 16 + 2 * max(sample.learned for sample in samples))
    return stopping(model, run.encoding, prompts, samples, most_tokens, run.precision)


def _hand_over(
    run: Run, state: TrainerState, result: Path, stops: Stopping | None, losses: list[TrainingEvaluation]
) -> dict[str, Any]:
    """Export, check, describe; a file that fails its check is not kept, and says why."""
    job, name = run.job, run.folder.name
    part = run.data.measured if run.data.measured.items else run.data.learned
    sequences = [sample.ids for item in part.items[:SEQUENCES_COMPARED] for sample in item.samples[:1]]
    chats = [] if job.method == "pretrain" else [prompt.messages for prompt in part.prompts[:4]]
    compared = held_out(run.encoding, sequences, chats, run.base.pictures)
    exporter = Exporter(run.base, result, compared, run.report, run.control.check)
    made: dict[str, Any] = {"path": str(result), "steps": state.step, "tokens": state.tokens}
    checks: list[Check] = []
    failure: EngineError | None = None
    try:
        if job.export_adapter and result.name == "adapter":
            out = run.folder / RESULT_FOLDER / f"{name}.lora.gguf"
            checks.append(exporter.adapter(out, name))
            if run.base.sees:  # by itself it would be used with the projector of the base
                made |= {"seeing_adapter": str(out), "companion": str(tuned_companion_path(out))}
            else:
                made["adapter"] = str(out)
        if job.merged:
            out = run.folder / RESULT_FOLDER / f"{name}-{job.merged.upper()}.gguf"
            checks.append(exporter.merged(out, job.merged.lower(), f"{run.base.name} {name}"))
            made["merged"] = str(out)
    except EngineError as error:
        if error.code != "check_failed":
            raise
        failure = error
    made["checks"] = [asdict(check) for check in checks]
    made["stops"] = None if stops is None else asdict(stops)
    made["losses"] = [asdict(loss) for loss in losses]
    facts = CardFacts(
        name, run.base.name, job, state, len(run.data.learned.items), losses, stops, checks, failure, run.base.sees
    )
    made["card"] = str(write_card(run.folder / RESULT_FOLDER / "README.md", facts))
    if failure is not None:
        raise failure
    return made
