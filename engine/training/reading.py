"""Read the files of a run and part them into what is learned from and what is measured on."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.data.example import Example
from engine.data.libraries import is_installed
from engine.data.near_duplicates import NearDuplicates
from engine.data.reader import DataFile, data_files
from engine.data.split import split_examples
from engine.errors import EngineError
from engine.jobs.events import TrainJob
from engine.training.chat_encoding import ChatEncoding
from engine.training.dataset import Dataset, build_dataset

FEWEST_TO_PART = 10


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
    """Keep about a share of the examples apart; what is nearly the same, or of one row, stays together."""
    if not share or len(examples) < FEWEST_TO_PART:
        return examples, []
    split = split_examples([example.content_hash() for example in examples], _groups(examples), share)
    return [examples[number] for number in split.training], [examples[number] for number in split.validation]


def _groups(examples: list[Example]) -> list[int]:
    """Give for each example the number of the first that it belongs with: alike, of one row, or about one picture.

    Equal words about other pictures are no duplicates.
    """
    near = NearDuplicates() if is_installed("datasketch") else None
    firsts: dict[object, int] = {}
    groups: list[int] = []
    for number, example in enumerate(examples):
        leader = near.leader(number, example) if near and not example.pictures else number
        found = [groups[leader] if leader < number else number]
        found += [firsts.setdefault(each, number) for each in (example.place, *example.pictures)]
        first, joined = min(found), {*found} - {number}
        if len(joined) > 1:
            groups = [first if group in joined else group for group in groups]
            firsts = {each: first if group in joined else group for each, group in firsts.items()}
        groups.append(first)
        firsts |= dict.fromkeys((example.place, *example.pictures), first)
    return groups


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
