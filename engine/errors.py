"""Name every failure that a user can meet, and the exit status it gives a command."""

from __future__ import annotations

EXIT_STATUS = {
    "bad_request": 2,
    "no_model": 2,
    "busy": 2,
    "prompt_too_long": 2,
    "no_vision": 2,
    "input_invalid": 3,
    "model_not_found": 3,
    "model_invalid": 3,
    "model_unsupported": 3,
    "template_invalid": 3,
    "picture_invalid": 3,
    "out_of_memory": 4,
    "gpu_failed": 1,
    "disk_full": 4,
    "cancelled": 130,
    "training_diverged": 1,
    "check_failed": 1,
    "download_failed": 1,
    "internal": 1,
    "worker_died": 1,
    "worker_unavailable": 1,
}


class EngineError(Exception):
    """Carry a stable code, one sentence for the user, a way out, and text for a report."""

    def __init__(self, code: str, message: str, remedy: str | None = None, details: str | None = None) -> None:
        """Keep the four parts; `message` is also what `str()` gives."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = details

    @property
    def exit_status(self) -> int:
        """Give the exit status of a command that ends with this error."""
        return EXIT_STATUS.get(self.code, 1)
