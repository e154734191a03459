"""Compare our LoRA steps with plain `trl.SFTTrainer` on the same rows: the Starter on this processor.

    python benchmarks/training.py [--data FILE] [--rounds 5] [--steps 3] [--cache DIR]

Both train rank-16 adapters on the four projections of every layer, eight rows per step, in bfloat16 where the processor
has it. SFTTrainer runs with its defaults (the base loaded from its folder in float32, gradient checkpointing, its fused
head, padded batches). The two take turns on the same rows; printed are medians of tokens per second (tokens of the
rows, padding not counted) and of the ratio within a round.
"""

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from engine.data.example import Example
from engine.data.reader import DataFile
from engine.jobs.events import TrainingStep, TrainJob
from engine.library.folders import default_cache_dir
from engine.training.adapters import TARGETS
from engine.training.base import Base, open_base
from engine.training.chat_encoding import ChatEncoding
from engine.training.control import RunControl
from engine.training.dataset import build_dataset
from engine.training.loop import TrainingLoop
from engine.training.precision import choose_precision
from engine.training.recipes import Ingredients, lora

ROOT = Path(__file__).parents[1]
BATCH, RANK, ALPHA, LONGEST = 8, 16, 32, 1024


class Clock(TrainerCallback):
    """Time the steps of a trainer."""

    def __init__(self) -> None:
        """Begin without a step."""
        self.seconds: list[float] = []
        self._started = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop the clock."""
        self.seconds.append(time.perf_counter() - self._started)


def ours(base: Base, examples: list[Example], rounds: int, steps: int) -> Iterator[tuple[float, int]]:
    """Yield for each round the seconds of its steps and the tokens of its rows."""
    items = build_dataset(examples, ChatEncoding(base), "lora", LONGEST).items
    job = TrainJob(
        "starter", "", rank=RANK, alpha=ALPHA, batch_size=BATCH, learning_rate=2e-4, steps=rounds * steps, epochs=1000
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        precision = choose_precision()
        material = lora(Ingredients(job, run, base, precision, items, (), lambda: None))
        started = time.perf_counter()
        times: list[float] = []

        def report(event: object) -> None:
            nonlocal started
            if isinstance(event, TrainingStep):
                times.append(time.perf_counter() - started)
                started = time.perf_counter()

        loop = TrainingLoop(job, material, run, RunControl(run, run / "busy"), report, lambda step: None)
        while True:
            tokens = sum(item.tokens for step in range(len(times), len(times) + steps) for item in loop.batch(step))
            first = len(times)
            started = time.perf_counter()
            for _ in range(steps):
                loop.take_step()
            yield sum(times[first:]), tokens


def theirs(base: Base, examples: list[Example], steps: int) -> Iterator[float]:
    """Yield for each round the seconds of its steps."""
    rows = [{"messages": [{"role": each.role, "content": each.content} for each in row.messages]} for row in examples]
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        bf16 = choose_precision().compute == torch.bfloat16
        trainer = SFTTrainer(
            str(base.folder),
            SFTConfig(folder, use_cpu=True, bf16=bf16, max_steps=steps, save_strategy="no", report_to="none"),
            train_dataset=Dataset.from_list(rows),
            peft_config=LoraConfig(
                r=RANK, lora_alpha=ALPHA, target_modules=list(TARGETS["phi3"]), task_type="CAUSAL_LM"
            ),
            callbacks=[clock],
        )
        while True:
            clock.seconds.clear()
            trainer.train()
            yield sum(clock.seconds)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "tests" / "data" / "training" / "dolly.jsonl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=default_cache_dir() / "bases")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(psutil.cpu_count(logical=False) or 1)
    base = open_base("starter", arguments.cache)
    examples = [item for item in DataFile(arguments.data).items() if isinstance(item, Example)]
    # The same rows in every step, so that both sides do the same work however they shuffle.
    examples = sorted(examples, key=lambda each: len(each.messages[-1].content))[:: max(1, len(examples) // BATCH)][
        :BATCH
    ]
    own, other = ours(base, examples, arguments.rounds + 1, arguments.steps), theirs(base, examples, arguments.steps)
    next(own), next(other)  # the first round prepares kernels
    fast, slow = [], []
    for number in range(arguments.rounds):
        seconds, tokens = next(own)
        fast.append(tokens / seconds)
        slow.append(tokens / next(other))
        print(f"round {number + 1}: ours {fast[-1]:.0f}, SFTTrainer {slow[-1]:.0f} tokens/s", flush=True)
    ratio = statistics.median(mine / their for mine, their in zip(fast, slow, strict=True))
    print(
        f"median: ours {statistics.median(fast):.0f}, SFTTrainer {statistics.median(slow):.0f} tokens/s, {ratio:.2f}x"
    )


if __name__ == "__main__":
    main()
