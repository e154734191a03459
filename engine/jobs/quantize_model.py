"""Quantise a GGUF file with llama.cpp's own quantiser."""

import ctypes
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llama_cpp import llama_cpp

from converter.adapter_file import is_adapter
from converter.errors import ConversionCancelled
from converter.ggml_types import file_type
from converter.gguf_file import read_header
from engine.errors import EngineError
from engine.jobs.companion import companion_copied
from engine.jobs.events import JobProgress, QuantizeJob
from engine.jobs.importance import as_llama_array, read_importance
from engine.jobs.output import partial_file
from engine.jobs.pace import Pace
from engine.library.scanner import quantization_name
from engine.runtime.backends import load_backends

UNQUANTIZED = ("F32", "F16", "BF16")
ROW_BUFFER_BYTES = 256 << 20
TENSOR_COUNT = re.compile(r"^\[\s*(\d+)/\s*(\d+)\]")
"""How llama.cpp begins its line on each tensor."""


def quantize_model(
    job: QuantizeJob, report: Callable[[JobProgress], None], stopped: Callable[[], bool]
) -> dict[str, Any]:
    """Write `job.source` to `job.out` in another quantisation; return `path` and `size_bytes`.

    Raises EngineError `bad_request` for a source that is quantised already, `model_invalid` when llama.cpp refuses the
    file; ConversionError (an unknown type among others), ConversionCancelled, OSError.
    """
    source, out = Path(job.source), Path(job.out)
    header = read_header(source)
    if is_adapter(header):
        message = f"{source.name} is an adapter, which is not quantised."
        raise EngineError("bad_request", message, "Use it as it is; it works with its model in any quantisation.")
    present = quantization_name(header)
    if present not in UNQUANTIZED:
        message = f"{source.name} is already quantised ({present}); doing it again would lose more than it saves."
        raise EngineError("bad_request", message, "Start from a file in F16, BF16 or F32.")
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = file_type(job.quantization).id
    params.max_buf_size = ROW_BUFFER_BYTES
    importance = read_importance(Path(job.imatrix)) if job.imatrix else {}
    array = as_llama_array(importance)
    if importance:
        params.imatrix = array
    with companion_copied(source, out), partial_file(out, source.stat().st_size // 4) as partial:
        _Quantization(source, partial, params).run(report, stopped)
    return {"path": str(out), "size_bytes": out.stat().st_size}


class _Quantization:
    """Run llama.cpp's quantiser in a thread and read its progress from its log, which is the only place that tells."""

    def __init__(self, source: Path, out: Path, params: Any) -> None:
        self._source, self._out, self._params = source, out, params
        self._position = (0, 0)
        self._log: list[str] = []
        self._status: int | None = None
        # The thread holds this object, and so what llama.cpp calls, until the quantiser has ended.
        self._callback = llama_cpp.llama_log_callback(self._on_log)

    def run(self, report: Callable[[JobProgress], None], stopped: Callable[[], bool]) -> None:
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        total_bytes = self._source.stat().st_size
        pace = Pace()
        while thread.is_alive():
            thread.join(0.1)
            if stopped():
                # llama.cpp cannot be interrupted: its daemon thread goes on until the process ends.
                raise ConversionCancelled
            done, total = self._position
            rate, left = pace.update(total_bytes * done // max(total, 1), total_bytes)
            report(JobProgress("quantize", done, total, "tensors", rate, left))
        if self._status != 0:
            cause = next(
                (line for line in reversed(self._log) if "failed" in line or "error" in line), "no reason given"
            )
            message = f"llama.cpp cannot quantise {self._source.name}: {cause.split(': ', 1)[-1].strip()}."
            raise EngineError("model_invalid", message, "Try another quantisation.", "".join(self._log[-40:]))

    def _work(self) -> None:
        load_backends()
        paths = str(self._source).encode(), str(self._out).encode()
        try:
            self._status = llama_cpp.llama_model_quantize(*paths, ctypes.byref(self._params))
        finally:
            llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), ctypes.c_void_p(0))

    def _on_log(self, level: int, text: bytes, user_data: Any) -> None:
        line = text.decode("utf-8", "replace")
        self._log.append(line)
        del self._log[:-200]
        if match := TENSOR_COUNT.match(line):
            self._position = int(match[1]), int(match[2])
