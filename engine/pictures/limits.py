"""Keep a process that decodes pictures within bounds, where the platform can."""

from __future__ import annotations

import contextlib
import sys

MEMORY_BYTES = 3 << 30
"""Twice what the largest picture takes that is let in."""
CPU_SECONDS = 60


def limit_resources() -> None:
    """Cap memory and processor time of this process; no core file is written when a decoder crashes."""
    if sys.platform == "win32":
        return
    import resource

    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_CORE: 0,
    }
    for kind, wanted in limits.items():
        _, hard = resource.getrlimit(kind)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS knows the limit of memory and refuses it
            resource.setrlimit(kind, (most, most))
