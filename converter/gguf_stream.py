"""Write a GGUF file piece by piece under a temporary name, and give it its own name when it is complete."""

import errno
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from converter.errors import ConversionError
from converter.gguf_file import DEFAULT_ALIGNMENT, MetadataValue, TensorInfo, read_header
from converter.gguf_writer import Layout, TensorSpec, lay_out
from converter.lazy_tensors import Rows, RowSource, row_count, rows_per_chunk

PART_SUFFIX = ".part"
DISK_RESERVE_BYTES = 16 << 20


@dataclass(frozen=True)
class Progress:
    """Tell how far a file has come: the tensor in work, finished tensors and bytes of all."""

    tensor: str
    done: int
    total: int
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class TensorToWrite:
    """Bring a tensor's announcement, its rows and the packing of rows together."""

    spec: TensorSpec
    source: RowSource
    pack: Callable[[Rows], Rows]


ProgressCallback = Callable[[Progress], None]


def write_gguf(
    out: Path,
    metadata: Mapping[str, MetadataValue],
    tensors: Sequence[TensorToWrite],
    progress: ProgressCallback | None = None,
    threads: int = 1,
) -> int:
    """Write the file `out` with packing on `threads` threads, check it, and return its size in bytes.

    `progress` is called after every chunk of rows; whatever it raises ends the writing. On any error nothing is left.
    """
    layout = lay_out(metadata, [tensor.spec for tensor in tensors])
    part = out.with_name(out.name + PART_SUFFIX)
    with _disk_errors(out):
        _check_disk(out.parent, layout.size)
        part.unlink(missing_ok=True)
        try:
            with part.open("xb") as file:
                _write(file, layout, tensors, progress or (lambda _: None), threads)
                file.flush()
                os.fsync(file.fileno())
            _verify(part, layout)
            part.replace(out)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return layout.size


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ConversionError("bad_request", f"The folder {out.parent} does not exist.") from None
    except OSError as error:
        code = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "bad_request"
        raise ConversionError(
            code, f"{out.name} cannot be written: {error.strerror}.", "Free some space or choose another folder."
        ) from error


def _check_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + DISK_RESERVE_BYTES:
        raise ConversionError(
            "disk_full",
            f"The file will take {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free on its disk.",
            "Free some space or choose another folder.",
        )


def _write(
    file: BinaryIO, layout: Layout, tensors: Sequence[TensorToWrite], progress: ProgressCallback, threads: int
) -> None:
    file.write(layout.header)
    done_bytes = len(layout.header)
    # Chunks are packed ahead of the one being written, a few more than there are threads, so memory stays bounded.
    with ThreadPoolExecutor(threads) as pool:
        for number, (tensor, info) in enumerate(zip(tensors, layout.tensors, strict=True)):
            end = done_bytes + info.nbytes
            for packed in _packed_chunks(pool, tensor, threads + 1):
                file.write(packed.data)
                done_bytes += packed.nbytes
                done = number + (done_bytes == end)
                progress(Progress(info.name, done, len(tensors), done_bytes, layout.size))
            padding = -info.nbytes % DEFAULT_ALIGNMENT
            file.write(bytes(padding))
            done_bytes += padding


def _packed_chunks(pool: ThreadPoolExecutor, tensor: TensorToWrite, ahead: int) -> Iterator[Rows]:
    n_rows = row_count(tensor.source)
    step = rows_per_chunk(tensor.spec.shape[-1])
    waiting: deque[Future[Rows]] = deque()
    try:
        for start in range(0, n_rows, step):
            waiting.append(pool.submit(_pack_chunk, tensor, start, min(start + step, n_rows)))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _pack_chunk(tensor: TensorToWrite, start: int, stop: int) -> Rows:
    packed = tensor.pack(tensor.source.rows(start, stop))
    expected = (stop - start) * tensor.spec.type.row_bytes(tensor.spec.shape[-1])
    if packed.nbytes != expected:
        raise ValueError(f"{tensor.spec.name}: {packed.nbytes} bytes packed, {expected} expected")
    return packed if packed.flags.c_contiguous else packed.copy()


def _verify(path: Path, layout: Layout) -> None:
    header = read_header(path)
    written: tuple[TensorInfo, ...] = tuple(header.tensors.values())
    if written != layout.tensors or header.size != layout.size:
        raise ConversionError("internal", f"{path.name} is not what was meant to be written.", "Try again.")
