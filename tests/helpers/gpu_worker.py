"""Be the real worker on a machine with a GPU that ends the process: `python gpu_worker.py FOLDER EVALUATIONS`.

The layers that are put on the GPU are computed on the processor; so many evaluations there succeed, and the next one is
the end.
"""

import os
import signal
import sys
from pathlib import Path

from engine import gpu_record, worker
from engine.runtime import gpus, open_model
from engine.runtime.context import Context
from tests.helpers.gpus import pretended_gpu


class DeadlyContext(Context):
    """Die on a GPU."""

    left = int(sys.argv[2])

    def append(self, token, on_progress):
        """Evaluate one more token, or die."""
        if self._on_gpu:
            DeadlyContext.left -= 1
            if DeadlyContext.left < 0:
                os.kill(os.getpid(), signal.SIGSEGV)
        super().append(token, on_progress)


gpus.find_gpus = lambda: (pretended_gpu(),)
gpus.has_gpu_code = lambda: True
gpus.find_devices = lambda: (pretended_gpu().device,)
open_model.Context = DeadlyContext
gpu_record.default_gpu_folder = worker.default_gpu_folder = lambda: Path(sys.argv[1])
worker.main()
