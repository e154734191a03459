"""Check how waits are put into words."""

import pytest

from app.durations import left_text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s left"), (8.2, "8 s left"), (540, "about 9 min left"), (9000, "about 2 h left")]
)
def test_time_left(seconds: float, text: str) -> None:
    assert left_text(seconds) == text
