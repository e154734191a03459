"""Test that results appear whole or not at all."""

import json

import pytest

from engine.data.examination import examine
from engine.data.output import check_out, report_path, write_examples
from engine.data.reader import DataFile
from engine.data.report import make_report
from engine.errors import EngineError
from tests.engine.data.test_examination import QUIET, talk, write
from tests.helpers.fixtures import DATA


@pytest.fixture
def examined(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return examine([write(folder, talk("One?"), talk("Zwei, bitte schön?"))], QUIET)


def write_all(out, examination, size=0):
    numbers = range(len(examination.records))
    write_examples(out, examination.examples(numbers), make_report(examination, kept=list(numbers)), size)


def test_examples_and_report_are_written(tmp_path, examined):
    out = tmp_path / "out.jsonl"
    write_all(out, examined)
    assert [json.loads(line) for line in out.read_text("utf-8").splitlines()] == [
        talk("One?"),
        talk("Zwei, bitte schön?"),
    ]
    assert json.loads(report_path(out).read_text("utf-8"))["kept"] == 2
    assert report_path(out).name == "out.report.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.jsonl", "out.report.json"]


@pytest.mark.parametrize("name", ["oasst_trees.jsonl", "identity.json", "glaive.json", "self_instruct.jsonl"])
def test_written_examples_read_back_the_same(tmp_path, name):
    examination = examine([DATA / "training" / name], QUIET)
    write_all(tmp_path / "out.jsonl", examination)
    hashes = [example.content_hash() for example in DataFile(tmp_path / "out.jsonl").items()]
    assert hashes == [record.content_hash for record in examination.records]


def test_pictures_below_the_folder_stay_relative(tmp_path):
    for folder in ("set", "else"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"picture")
    row = talk("<image>What is it?") | {"image": "a.png"}
    examination = examine([write(tmp_path / "set", row)], QUIET)
    for place, expected in (("set", "a.png"), ("else", str((tmp_path / "set" / "a.png").resolve()))):
        out = tmp_path / place / "out.jsonl"
        write_all(out, examination)
        assert json.loads(out.read_text("utf-8"))["images"] == [expected]
        [example] = DataFile(out).items()
        assert example.content_hash() == examination.records[0].content_hash


def test_a_failure_leaves_the_old_result(tmp_path, examined):
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    write(tmp_path / "in", talk("Changed?"))
    with pytest.raises(EngineError, match="changed while"):
        write_all(out, examined)
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.jsonl"]


def test_too_little_space_is_known_before(tmp_path, examined):
    with pytest.raises(EngineError) as failure:
        write_all(tmp_path / "out.jsonl", examined, size=10**18)
    assert failure.value.code == "disk_full"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_full_disk_is_one_sentence(tmp_path, examined, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dumps", full)
    with pytest.raises(EngineError) as failure:
        write_all(tmp_path / "out.jsonl", examined)
    assert failure.value.code == "disk_full"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_places_that_cannot_be_written_are_refused(tmp_path):
    source = write(tmp_path, talk("One?"))
    check_out(tmp_path / "new.jsonl", [source])
    for out in (tmp_path, tmp_path / "none" / "out.jsonl", source):
        with pytest.raises(EngineError) as failure:
            check_out(out, [source])
        assert failure.value.code == "bad_request"
        assert failure.value.remedy
