"""Test that only whole characters and nothing of a stop sequence are given out."""

from hypothesis import given
from hypothesis import strategies as st

from engine.runtime.text_stream import TextStream

ALPHABET = "abc é😀"


def chunks(data, sizes):
    position = 0
    for size in sizes:
        yield data[position : position + size]
        position += size
    yield data[position:]


def play(stream, pieces):
    shown = [stream.push(piece) for piece in pieces]
    shown.append(stream.finish())
    assert "".join(shown) == stream.text
    return shown


@given(st.text(ALPHABET, max_size=30), st.lists(st.integers(1, 5), max_size=30))
def test_characters_are_never_split(text, sizes):
    shown = play(TextStream(), chunks(text.encode(), sizes))
    assert "".join(shown) == text
    assert not any("\ufffd" in piece for piece in shown)


@given(
    st.text(ALPHABET, max_size=30),
    st.lists(st.text(ALPHABET, min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(1, 5), max_size=30),
)
def test_nothing_of_a_stop_sequence_is_shown(text, stops, sizes):
    stream = TextStream(stops)
    play(stream, chunks(text.encode(), sizes))
    assert text.startswith(stream.text)
    assert not any(stop in stream.text for stop in stops)
    rest = text[len(stream.text) :]
    assert stream.stopped == bool(rest)
    assert not rest or any(rest.startswith(stop) for stop in stops)


def test_what_may_become_a_stop_sequence_is_held_back():
    stream = TextStream(["END"])
    assert [stream.push(piece) for piece in (b"say E", b"N", b"d", b" EN", b"D more")] == ["say ", "", "ENd", " ", ""]
    assert stream.stopped
    assert stream.push(b"never") == ""
    assert stream.finish() == ""
    assert stream.text == "say ENd "


def test_what_was_held_back_appears_at_the_end():
    stream = TextStream(["END"])
    assert stream.push(b"the E") == "the "
    assert stream.finish() == "E"


def test_an_unfinished_character_appears_as_a_replacement():
    stream = TextStream()
    assert stream.push("😀".encode()[:3]) == ""
    assert stream.finish() == "\ufffd"


def test_a_stop_sequence_made_of_the_replacement_still_stops():
    stream = TextStream(["\ufffd"])
    stream.push("a😀".encode()[:3])
    assert stream.finish() == ""
    assert stream.stopped


def test_one_space_at_the_start_can_be_left_out():
    stream = TextStream(drop_first_space=True)
    assert [stream.push(piece) for piece in (b"", b"  a", b" b")] == ["", " a", " b"]
