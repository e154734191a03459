"""Run the job described in a folder: `python -m engine.jobs FOLDER`."""

import os
import sys
from pathlib import Path

from engine.gpu_drivers import leave_vulkan_alone
from engine.jobs.runner import run_folder

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m engine.jobs FOLDER")
    leave_vulkan_alone()
    # A cancelled native call may still run in a thread, which an orderly end of the interpreter would trip over.
    os._exit(run_folder(Path(sys.argv[1])))
