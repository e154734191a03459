"""Read stored values tolerantly: whatever a damaged row holds, a value of the right kind comes out."""

import json
import math
from typing import Any


def as_text(value: object) -> str:
    """Return a text; bytes are decoded, None is empty."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def as_float(value: object) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None


def as_int(value: object) -> int | None:
    """Return a whole number, or None."""
    number = as_float(value)
    return None if number is None else int(number)


def as_object(value: object) -> dict[str, Any]:
    """Return the JSON object in a text, or an empty one."""
    try:
        decoded = json.loads(as_text(value))
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}
