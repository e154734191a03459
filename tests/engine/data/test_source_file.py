"""Test files of any encoding, packed and damaged."""

import bz2
import contextlib
import gzip
import lzma

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.source_file import Encoding, check_file, detect_encoding, open_bytes, open_text, plain_suffix
from engine.errors import EngineError

TEXT = "Grüße aus Köln, naïve Straße – 漢字 😀\n" * 40
LATIN = "Grüße aus Köln, naïve Straße\n" * 40


def read(path):
    with open_text(path, detect_encoding(path)) as stream:
        return stream.read()


def read_checked(path):
    check_file(path)
    return read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_of_unicode_is_read(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert read(path) == TEXT


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "cp1252", "latin-1"])
def test_text_without_a_mark_is_read(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(LATIN.encode(encoding))
    assert read(path) == LATIN


def test_bytes_that_windows_latin_lacks_are_latin_1(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9 \x81")
    assert detect_encoding(path) == Encoding("latin-1")


def test_one_bad_byte_does_not_make_utf_8_another_encoding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode() + b"\xff" + TEXT.encode())
    assert detect_encoding(path) == Encoding("utf-8", damaged=True)
    assert read(path) == f"{TEXT}\ufffd{TEXT}"


def test_a_character_cut_off_at_the_end_is_still_utf_8(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("a漢".encode()[:-1])
    assert detect_encoding(path) == Encoding("utf-8")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bytes") / "a.txt"
    path.write_bytes(data)
    with contextlib.suppress(EngineError):
        assert len(read(path)) <= len(data)


def test_nuls_at_the_end_do_not_make_a_text_binary(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"A tale." + b"\x00" * 4000)
    assert read(path).startswith("A tale.\x00")


def test_a_failing_disk_is_one_sentence(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x" * 100)

    def fail(done, total):
        raise OSError(5, "Input/output error")

    with (
        pytest.raises(EngineError, match=r"a\.txt cannot be read: Input/output error\."),
        open_text(path, Encoding("utf-8"), fail) as stream,
    ):
        stream.read()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files_are_unpacked_and_damage_is_one_sentence(tmp_path, pack):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(pack(TEXT.encode() * 50))
    assert read(path) == TEXT * 50
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + bytes(byte ^ 0x55 for byte in whole[60:100]) + whole[100:])
    with pytest.raises(EngineError, match=r"a\.txt\.gz is a damaged or cut off packed file"):
        read(path)
    path.write_bytes(whole)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(EngineError, match=r"a\.txt\.gz is a damaged or cut off packed file"):
        read(path)


def test_progress_counts_the_bytes_of_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 3_000_000)
    seen = []
    with open_bytes(path, lambda done, total: seen.append((done, total))) as stream:
        while stream.read(1000):
            pass
    assert seen[-1] == (3_000_000, 3_000_000)
    assert len(seen) > 2


@pytest.mark.parametrize("data", [b"", b" \n\t\n", bytes(range(256)) * 20, b"\x00" * 500])
def test_nothing_to_read_is_one_sentence(tmp_path, data):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(EngineError) as failure:
        read_checked(path)
    assert failure.value.code == "input_invalid"
    assert failure.value.message.startswith("a.txt ")
    assert failure.value.remedy


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(EngineError, match=r"none\.json does not exist\."):
        check_file(tmp_path / "none.json")


def test_suffixes_do_not_count_the_packer(tmp_path):
    assert plain_suffix(tmp_path / "a.b.JSONL.gz") == ".jsonl"
    assert plain_suffix(tmp_path / "a.Txt") == ".txt"
    assert plain_suffix(tmp_path / "a.gz") == ""
    assert plain_suffix(tmp_path / "a") == ""
