"""Install the packages of training as a job."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.jobs.events import InstallTrainingJob, JobProgress
from engine.training_environment.environment import TrainingEnvironment
from engine.training_environment.lock import BUILDS, program_lock, select


def install_training(
    job: InstallTrainingJob, report: Callable[[JobProgress], None], stopped: Callable[[], bool]
) -> dict[str, Any]:
    """Make the environment in `job.folder`; return `path`, `packages` and `size_bytes`.

    Raises EngineError, ConversionCancelled or OSError.
    """
    from engine.training_environment.install import install  # the network is for this job alone

    build = next((build for build in BUILDS if build == job.build), None)
    if build is None:
        raise EngineError("bad_request", f"There is no build called {job.build!r}.", "Choose cpu or cuda.")
    offline = Path(job.wheels) if job.wheels else None
    if offline is not None and not offline.is_dir():
        raise EngineError("input_invalid", f"There is no folder {offline.name}.", "Choose a folder of wheels.")
    selection = select(Path(job.lock) if job.lock else program_lock(), build)
    return install(TrainingEnvironment(Path(job.folder)), selection, offline, report, stopped)
