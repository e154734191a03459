"""Say where a user's data lie: one profile holds the chats, settings, models, jobs and logs."""

import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from engine.library.folders import APP_NAME, default_models_dir


@dataclass(frozen=True)
class Paths:
    """Name the files and folders of a profile. Those who write to a folder make it."""

    data: Path
    models: Path
    logs: Path

    @property
    def database(self) -> Path:
        """Return the file of chats and model records."""
        return self.data / "phidelity.db"

    @property
    def settings(self) -> Path:
        """Return the file of settings."""
        return self.data / "settings.json"

    @property
    def picture_cache(self) -> Path:
        """Return the folder in which the engine keeps what it has seen in pictures; it may be deleted at any time."""
        return self.data / "picture-cache"

    @property
    def jobs(self) -> Path:
        """Return the folder with one folder per job."""
        return self.data / "jobs"

    @property
    def open_requests(self) -> Path:
        """Return the folder through which later starts of the program ask the open window to open files."""
        return self.data / "open-requests"

    @property
    def runs(self) -> Path:
        """Return the folder with one folder per training run."""
        return self.data / "runs"

    @property
    def datasets(self) -> Path:
        """Return the folder of training data that was made of chats."""
        return self.data / "datasets"

    @property
    def thread_cache(self) -> Path:
        """Return the folder in which the engine keeps what it has measured; it may be deleted at any time."""
        return self.data / "engine-cache"


def profile_paths(profile: Path | None = None) -> Paths:
    """Return the folders of `profile`, or where the platform keeps data and logs of an application."""
    if profile is not None:
        root = profile.expanduser().absolute()
        return Paths(root, root / "models", root / "logs")
    data = platformdirs.user_data_path(APP_NAME, appauthor=False)
    return Paths(data, default_models_dir(), platformdirs.user_log_path(APP_NAME, appauthor=False))


def assets_dir() -> Path:
    """Return the folder of icons, fonts and styles (the bundle's when frozen)."""
    return Path(getattr(sys, "_MEIPASS", Path(__file__).parents[1])) / "assets"
