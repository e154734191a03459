"""Give the tests two tiny packages in the place of PyTorch and its companions."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.training_environment.environment import TrainingEnvironment
from engine.training_environment.lock import Selection, select
from tests.helpers.wheels import make_lock, make_wheel


@dataclass
class Packages:
    """Hold a folder of wheels, the lock file that names them, and a place to install them to."""

    wheels: Path
    lock: Path
    environment: TrainingEnvironment

    @property
    def files(self) -> list[Path]:
        """Return the wheels."""
        return sorted(self.wheels.glob("*.whl"))

    def selection(self, address: str = "http://127.0.0.1:9") -> Selection:
        """Choose all, with their address."""
        make_lock(self.lock, self.files, ["tinytorch", "tinypeft"], address)
        return select(self.lock, "cpu")


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "tinytorch", "2.13.0+cpu")
    make_wheel(wheels, "tinypeft", source="import tinytorch\nVALUE = tinytorch.VALUE + 1\n")
    made = Packages(wheels, tmp_path / "pylock.toml", TrainingEnvironment(tmp_path / "environment"))
    made.selection()
    return made
