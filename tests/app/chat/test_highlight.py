"""Check the splitting of code into inks."""

from app.chat.highlight import LONGEST, highlight


def test_python_is_told_apart_and_nothing_is_lost() -> None:
    code = 'from x import y  # why\n\ndef f(a):\n    return "s" + 3\n'
    runs = highlight(code, "Python")
    assert "".join(text for text, _ in runs) == code
    inks = {text.strip(): ink for text, ink in runs}
    assert inks["from"] == "keyword"
    assert inks['"s"'] == "string"
    assert inks["3"] == "number"
    assert inks["# why"] == "comment"
    assert inks["f"] == "name"


def test_unknown_languages_and_very_long_code_stay_plain() -> None:
    assert highlight("a b", "no-such-language") == [("a b", "text")]
    assert highlight("a b", "") == [("a b", "text")]
    assert highlight("x = 1\n" * LONGEST, "python") == [("x = 1\n" * LONGEST, "text")]
