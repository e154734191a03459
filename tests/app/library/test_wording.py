"""Check how figures are put into words."""

import pytest

from app.library import wording


@pytest.mark.parametrize(
    ("size", "text"), [(98e6, "98 MB"), (2.39e9, "2.4 GB"), (25.1e9, "25 GB"), (960e6, "1.0 GB"), (1500, "2 kB")]
)
def test_sizes(size: float, text: str) -> None:
    assert wording.size_text(size) == text


def test_memory_is_always_in_gigabytes() -> None:
    assert [wording.memory_text(need) for need in (10e6, 300e6, 3.41e9, 27e9)] == [
        "0.1 GB",
        "0.3 GB",
        "3.4 GB",
        "27 GB",
    ]


def test_model_figures() -> None:
    assert [wording.context_text(n) for n in (512, 4096, 131072)] == ["512", "4k", "128k"]
    assert [wording.speed_text(n) for n in (9.24, 104.6)] == ["9.2 tok/s", "105 tok/s"]
    assert wording.parameters_text(134_515_008) == "135 million parameters"
    assert wording.parameters_text(3_821_079_552) == "3.8 billion parameters"
