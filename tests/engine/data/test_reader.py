"""Test what files are taken for, and the sentence for those that are nothing."""

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from engine.data.example import RowProblem
from engine.data.reader import DataFile, data_files
from engine.errors import EngineError
from engine.protocol import Message
from tests.engine.data.test_documents import pdf

ROW = {"prompt": "Why is it so late, señor?", "completion": "Because."}
TALK = (Message("user", ROW["prompt"]), Message("assistant", "Because."))
LINE = json.dumps(ROW, ensure_ascii=False)


def write(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("rows.json", f"[{LINE}]"),
        ("rows.jsonl", LINE),
        ("rows.ndjson", f"\ufeff{LINE}\n"),
        ("rows.JSON", f"[{LINE}]".encode("utf-16")),
        ("rows.jsonl", LINE.encode("cp1252")),
        ("rows", f" {LINE}"),
        ("rows.dat", f"[\n{LINE},\n]"),
        ("rows.jsonl.gz", gzip.compress(LINE.encode())),
        ("rows.csv", f'prompt,completion\n"{ROW["prompt"]}",Because.\n'),
        ("rows.csv", f'\ufeffprompt;completion\r\n"{ROW["prompt"]}";Because.\r\n'),
        ("rows.tsv", f"prompt\tcompletion\n{ROW['prompt']}\tBecause.\n".encode("utf-16")),
    ],
)
def test_one_row_is_read_from_every_kind_of_file(tmp_path, name, data):
    file = DataFile(write(tmp_path, name, data))
    [example] = file.items()
    assert file.recognition.format == "prompt-completion"
    assert example.messages == TALK
    assert [example.messages for example in file.items()] == [TALK]


def test_parquet_files_are_known_by_what_is_in_them(tmp_path):
    path = tmp_path / "rows.bin"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([ROW, ROW]), path)
    examples = list(DataFile(path).items())
    assert [example.messages for example in examples] == [TALK, TALK]
    assert str(examples[1].place) == "row 2"


@pytest.mark.parametrize(("name", "data"), [("tale.txt", "A tale."), ("tale.md", "A tale."), ("t.pdf", pdf("A tale."))])
def test_documents(tmp_path, name, data):
    file = DataFile(write(tmp_path, name, data))
    assert file.recognition.format == "document"
    assert [example.text for example in file.items()] == ["A tale."]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("rows.jsonl", b"", "rows.jsonl is empty."),
        ("rows.jsonl", b"  \n\n", "rows.jsonl has no text in it."),
        ("rows.json", b"[]", "rows.json has no rows."),
        ("rows.csv", b"prompt,completion\n", "rows.csv has no rows."),
        ("rows.json", b"[1, 2]", "rows.json has no row that can be read. The rows have no names."),
        ("rows.json", b"just words, no JSON", "no row that can be read. The row is no valid JSON: Expecting value"),
        ("rows.jsonl", b'{"a": 1, "b": 2}', "rows.jsonl has the columns a, b, in which no known form"),
        ("rows.jsonl", b'{"role": "user", "content": "Hi"}', "has the columns role, content, in which no known form"),
        ("rows.parquet", b"no parquet", "rows.parquet is no PARQUET file."),
        ("rows.parquet", b"PAR1 cut off", "rows.parquet is a damaged or cut off Parquet file."),
        ("book.pdf", b"no pdf", "book.pdf is no PDF file."),
        ("book.docx", b"PK\x03\x04rest", "book.docx is an archive or office file."),
        ("rows.json", bytes(range(200)), "rows.json is no text file."),
        ("rows.gz", b"\x1f\x8b\x08broken", "rows.gz is a damaged or cut off packed file."),
    ],
)
def test_files_without_training_data_are_one_sentence(tmp_path, name, data, sentence):
    with pytest.raises(EngineError) as failure:
        list(DataFile(write(tmp_path, name, data)).items())
    assert failure.value.code == "input_invalid"
    assert sentence in failure.value.message
    assert "\n" not in failure.value.message
    assert failure.value.remedy


def test_rows_with_bytes_of_another_encoding_are_problems(tmp_path):
    lines = [
        LINE.encode(),
        LINE.replace("Because", "Bec\xffause").encode("latin-1").replace(b"\xf1", b"n"),
        LINE.encode(),
    ]
    first, problem, last = DataFile(write(tmp_path, "rows.jsonl", b"\n".join(lines))).items()
    assert (first.messages, last.messages) == (TALK, TALK)
    assert isinstance(problem, RowProblem)
    assert problem.sentence == "The row has bytes that are no UTF-8."


def test_what_progress_raises_ends_the_reading(tmp_path):
    path = write(tmp_path, "rows.jsonl", (LINE + "\n") * 30_000)

    def stop(done, total):
        assert 0 < done <= total == path.stat().st_size
        raise EngineError("cancelled", "The work was cancelled.")

    with pytest.raises(EngineError, match="cancelled"):
        list(DataFile(path).items(stop))


def test_a_folder_stands_for_the_files_in_it(tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("b.jsonl", "a.txt", "picture.png", "more/c.csv.gz"):
        write(tmp_path, name, "x")
    assert [path.name for path in data_files(tmp_path)] == ["a.txt", "b.jsonl", "c.csv.gz"]
    assert data_files(tmp_path / "picture.png") == [tmp_path / "picture.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineError, match="holds no file of a known kind"):
        data_files(tmp_path / "empty")
