"""Write several GGUF files as one piece of work: one progress, and all of them or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from converter.gguf_file import MetadataValue
from converter.gguf_stream import Progress, ProgressCallback, TensorToWrite, write_gguf
from converter.gguf_writer import lay_out


@dataclass(frozen=True)
class FileToWrite:
    """Bring together what a file is made of."""

    path: Path
    metadata: Mapping[str, MetadataValue]
    tensors: Sequence[TensorToWrite]

    def size(self) -> int:
        """Return how many bytes the file will have."""
        return lay_out(self.metadata, [tensor.spec for tensor in self.tensors]).size


def write_files(files: Sequence[FileToWrite], progress: ProgressCallback | None = None, threads: int = 1) -> list[int]:
    """Write files one after another and return their sizes; on any error none of them is left."""
    sizes = [file.size() for file in files]
    tensors = [len(file.tensors) for file in files]
    written: list[Path] = []
    try:
        for index, file in enumerate(files):
            before = Progress("", sum(tensors[:index]), sum(tensors), sum(sizes[:index]), sum(sizes))
            write_gguf(file.path, file.metadata, file.tensors, _following(before, progress), threads)
            written.append(file.path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return sizes


def _following(before: Progress, progress: ProgressCallback | None) -> ProgressCallback | None:
    """Return a callback for one file that counts on from what was written `before`."""
    if progress is None:
        return None

    def report(now: Progress) -> None:
        done, done_bytes = before.done + now.done, before.done_bytes + now.done_bytes
        progress(Progress(now.tensor, done, before.total, done_bytes, before.total_bytes))

    return report
