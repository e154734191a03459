"""Declare every setting once, with its default, limits and help, and keep the values in a file.

    settings = Settings(paths.settings)             # one per process, made in application.py
    settings.values.theme                           # typed, frozen
    settings.change(theme="dark", temperature=0.2)  # checked, saved, then `changed` once for each that differs
    settings.changed                                # Signal(str): the name of the setting
    settings.notice                                 # a sentence about what was damaged on opening, or None
    settings.save_failed                            # Signal(str): a sentence; the change holds until the end

A new setting is one line in `Values`.
"""

import contextlib
import dataclasses
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.protocol import Sampling


@dataclass(frozen=True)
class Limits:
    """Say what a setting does and which values it may have; `at_load` settings count from the next load of a model."""

    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    at_load: bool = False


def _setting(default: Any, help: str, **limits: Any) -> Any:
    return field(default=default, metadata={"limits": Limits(help, **limits)})


@dataclass(frozen=True)
class Values:
    """Hold the value of every setting."""

    theme: str = _setting("system", "Light, dark, or as the system is set.", choices=("system", "light", "dark"))
    text_scale: float = _setting(1.0, "Size of all text. Ctrl and + or - change it too.", minimum=0.8, maximum=2.0)
    window_geometry: str = _setting("", "Place and size of the window, as Qt writes it, in base64.")

    models_folder: str = _setting("", "Where imported models are kept and looked for.")
    default_model: str = _setting("", "The model that new chats start with.")

    context: int = _setting(
        4096,
        "Longest conversation, questions and answers together. More takes more memory.",
        minimum=512,
        maximum=1 << 20,
        at_load=True,
    )
    threads: int = _setting(
        0,
        "Processor cores that write the answer; automatic measures, and leaves one free where it costs little.",
        minimum=0,
        maximum=256,
        at_load=True,
    )
    batch_threads: int = _setting(
        0,
        "Processor cores that read your message; automatic measures, and usually takes all.",
        minimum=0,
        maximum=256,
        at_load=True,
    )
    gpu_layers: int = _setting(
        -1, "Layers of the model that run on the graphics card.",
        minimum=-1, maximum=1000, at_load=True,
    )  # fmt: skip

    temperature: float = _setting(
        0.7, "How freely words are chosen. 0 always takes the likeliest.", minimum=0.0, maximum=2.0
    )
    top_p: float = _setting(
        0.95, "Chooses among the likeliest words that make up this share.", minimum=0.0, maximum=1.0
    )
    top_k: int = _setting(40, "Chooses among this many likeliest words; 0: no limit.", minimum=0, maximum=1000)
    min_p: float = _setting(
        0.05, "Leaves out words less likely than this share of the likeliest.", minimum=0.0, maximum=1.0
    )
    repeat_penalty: float = _setting(1.0, "Makes words used before less likely; 1: off.", minimum=0.5, maximum=2.0)
    max_tokens: int = _setting(1024, "Where an answer is cut off at the latest.", minimum=0, maximum=1 << 20)
    picture_detail: str = _setting(
        "fast",
        "Fast looks at up to 4 crops of a picture. Fine looks at up to 16: slower, and more of the context.",
        choices=("fast", "fine"),
    )
    seed: int = _setting(
        -1, "With a fixed number the same chat gets the same answer; empty: random.",
        minimum=-1, maximum=2**32 - 2,
    )  # fmt: skip

    def sampling(self) -> Sampling:
        """Return the sampling values as the engine takes them."""
        return Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repeat_penalty=self.repeat_penalty,
            seed=None if self.seed < 0 else self.seed,
        )


PRESETS: dict[str, dict[str, float]] = {
    "precise": {"temperature": 0.0, "top_p": 0.95, "top_k": 40, "min_p": 0.05},
    "balanced": {"temperature": 0.7, "top_p": 0.95, "top_k": 40, "min_p": 0.05},
    "creative": {"temperature": 1.1, "top_p": 0.98, "top_k": 100, "min_p": 0.03},
}


def preset_of(values: Values) -> str | None:
    """Return the preset that the sampling values are equal to, or None."""
    for name, preset in PRESETS.items():
        if all(getattr(values, key) == value for key, value in preset.items()):
            return name
    return None


def limits_of(name: str) -> Limits:
    """Return what a setting does and may be."""
    limits = Values.__dataclass_fields__[name].metadata["limits"]
    assert isinstance(limits, Limits)
    return limits


class Settings(QObject):
    """Keep the values, save each change at once, and tell who listens."""

    changed = Signal(str)
    save_failed = Signal(str)

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        """Read the file at `path`; whatever is wrong with it, there are values afterwards."""
        super().__init__(parent)
        self._path = path
        self._unknown: dict[str, Any] = {}
        self.notice: str | None = None
        self.values = self._read()

    def change(self, **changes: object) -> None:
        """Set values and save them. Raise ValueError for a value outside its limits."""
        for name, value in changes.items():
            if not _is_valid(name, value):
                raise ValueError(f"{value!r} is not a value of the setting {name}")
        before = self.values
        self.values = dataclasses.replace(before, **changes)  # type: ignore[arg-type]
        differing = [name for name in changes if getattr(before, name) != getattr(self.values, name)]
        if not differing:
            return
        self._save()
        for name in differing:
            self.changed.emit(name)

    def _read(self) -> Values:
        """Read the file; what cannot be used of it is replaced by defaults, and `notice` says so."""
        try:
            stored = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return Values()
        except OSError as fault:
            self.notice = f"The settings could not be read ({fault.strerror}); the defaults are used."
            return Values()
        except (ValueError, RecursionError):
            stored = None
        if not isinstance(stored, dict):
            kept = self._path.with_name(self._path.name + ".damaged")
            with contextlib.suppress(OSError):
                self._path.replace(kept)
            self.notice = f"The settings file was damaged; the defaults are used. The old file is kept as {kept.name}."
            return Values()
        names = {each.name for each in dataclasses.fields(Values)}
        # What a newer version has written is kept for it.
        self._unknown = {name: value for name, value in stored.items() if name not in names}
        good = {name: value for name, value in stored.items() if name in names and _is_valid(name, value)}
        bad = sorted(names.intersection(stored) - set(good))
        if bad:
            self.notice = f"These settings had values that cannot be used and are back to default: {', '.join(bad)}."
        return Values(**good)

    def _save(self) -> None:
        """Write what differs from the defaults, whole or not at all."""
        defaults = Values()
        stored = {
            name: value for name, value in dataclasses.asdict(self.values).items() if value != getattr(defaults, name)
        }
        partial = self._path.with_name(self._path.name + ".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("w", encoding="utf-8") as file:
                json.dump({**self._unknown, **stored}, file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError as fault:
            self.save_failed.emit(f"The settings could not be saved ({fault.strerror}). They hold until you quit.")


def _is_valid(name: str, value: object) -> bool:
    """Tell whether a value has the type of the setting and lies within its limits."""
    default = getattr(Values, name)
    limits = limits_of(name)
    if isinstance(default, str):
        return isinstance(value, str) and (not limits.choices or value in limits.choices)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    if isinstance(default, int) and not isinstance(value, int):
        return False
    return (limits.minimum is None or value >= limits.minimum) and (limits.maximum is None or value <= limits.maximum)
