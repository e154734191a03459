"""Tell whether this processor has the instructions that Qt's and NumPy's published builds use everywhere."""

from __future__ import annotations

import platform

# x86-64-v2 (System V ABI, x86-64 psABI 1.0, table 3.1), as Linux names it.
_NEEDED = ("cx16", "popcnt", "ssse3", "sse4_1", "sse4_2")
_FIRST_PROCESSOR = 8192  # bytes; all processors of a machine can do the same


def processor_problem() -> str | None:
    """Say in a sentence why the program cannot run here, or None; without this it would end without a word."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return None
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            missing = missing_instructions(file.read(_FIRST_PROCESSOR))
    except OSError:
        return None
    if not missing:
        return None
    return f"This processor is too old: it lacks {', '.join(missing)}, which processors have had since about 2009."


def missing_instructions(cpuinfo: str) -> list[str]:
    """List what the first processor of /proc/cpuinfo lacks; nothing when its flags cannot be read."""
    line = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), None)
    flags = line.partition(":")[2].split() if line else _NEEDED
    return [name for name in _NEEDED if name not in flags]
