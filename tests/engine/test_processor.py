"""Test the check for processors that are too old."""

from engine.processor import missing_instructions, processor_problem

CORE2 = "flags\t\t: fpu sse sse2 pni ssse3 cx16 sse4_1 lahf_lm\n\nprocessor\t: 1\nflags\t\t: popcnt sse4_2\n"


def test_what_an_old_processor_lacks_is_named():
    assert missing_instructions(CORE2) == ["popcnt", "sse4_2"]


def test_unknown_flags_are_no_reason_to_refuse():
    assert missing_instructions("processor\t: 0\n") == []


def test_the_processor_of_this_test_will_do():
    assert processor_problem() is None


def test_the_program_ends_with_one_line_on_an_old_processor(monkeypatch, capsys):
    from app.__main__ import main as open_window
    from engine.frozen import main as run_engine

    for module in ("app.__main__", "engine.frozen"):
        monkeypatch.setattr(f"{module}.processor_problem", lambda: "This processor is too old.")
    assert open_window([]) == 1
    assert run_engine(["--version"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "phidelity: This processor is too old.",
        "phidelity-engine: This processor is too old.",
    ]
