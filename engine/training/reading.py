"""Read the files of a run and part them into what is learned from and what is measured on."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.data.example import Example
from engine.data.reader import DataFile, data_files
from engine.errors import EngineError
from engine.jobs.events import TrainJob
from engine.training.chat_encoding import ChatEncoding
from engine.training.dataset import Dataset, build_dataset

FEWEST_TO_PART = 10
MOST_TO_MEASURE = 64


@dataclass(frozen=True)
class RunData:
    """Hold both parts; `refused` counts rows that could not be used, by the sentence that says why."""

    learned: Dataset
    measured: Dataset
    refused: Counter[str]


def read_data(job: TrainJob, encoding: ChatEncoding, check: Callable[[], None]) -> RunData:
    """Read and encode all data of a run. Raises EngineError `input_invalid`."""
    refused: Counter[str] = Counter()
    examples = list(_examples(Path(job.data), refused, check))
    if job.validation:
        measured = list(_examples(Path(job.validation), refused, check))
    else:
        examples, measured = part(examples, job.validation_share)
    learned = build_dataset(examples, encoding, job.method, job.max_length, check)
    kept = build_dataset(measured, encoding, job.method, job.max_length, check) if measured else Dataset()
    return RunData(learned, kept, refused + learned.refused + kept.refused)


def part(examples: list[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Keep a share of the examples apart, those with the smallest hashes, so that order does not matter."""
    count = min(round(share * len(examples)) or 1, MOST_TO_MEASURE)
    if not share or len(examples) < FEWEST_TO_PART:
        return examples, []
    apart = {example.content_hash() for example in sorted(examples, key=Example.content_hash)[:count]}
    learned = [example for example in examples if example.content_hash() not in apart]
    return learned, [example for example in examples if example.content_hash() in apart]


def _examples(path: Path, refused: Counter[str], check: Callable[[], None]) -> Iterator[Example]:
    if not path.exists():
        raise EngineError("input_invalid", f"There is no file {path.name}.", "Choose a file of training data.")
    for file in data_files(path):
        for item in DataFile(file).items():
            check()
            if isinstance(item, Example):
                yield item
            else:
                refused[item.sentence] += 1
