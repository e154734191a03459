"""Test the comparison of two builds."""

import json
from pathlib import Path

import pytest

from release.compare import differences, main
from release.folder import manifest, write_manifest, write_sums


def build(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "file").write_text(text)
    (folder / "link").symlink_to("file")
    write_manifest(folder)
    return folder.with_name(folder.name + ".files.json")


def test_equal_builds_are_said_to_be_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = build(tmp_path / "one", "same"), build(tmp_path / "other", "same")
    assert main([str(one), str(other)]) == 0
    assert capsys.readouterr().out == "2 files are the same.\n"


def test_every_difference_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = build(tmp_path / "one", "text"), build(tmp_path / "other", "other text")
    assert main([str(one), str(other)]) == 1
    assert capsys.readouterr().out == "differs: file\n"
    assert differences({"a": "1", "b": "2"}, {"b": "2", "c": "3"}) == ["only in the first: a", "only in the second: c"]


@pytest.mark.parametrize("content", ["no JSON", "[1, 2]", '{"file": 1}'])
def test_other_files_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(content)
    assert main([str(wrong), str(wrong)]) == 2
    assert capsys.readouterr().err == "compare: wrong.json is not a manifest of a build.\n"
    assert main([str(tmp_path / "missing"), str(wrong)]) == 2
    assert main([]) == 2


def test_a_manifest_has_links_and_hashes(tmp_path: Path) -> None:
    listed = json.loads(build(tmp_path / "one", "").read_text())
    assert listed == manifest(tmp_path / "one")
    assert listed["link"] == "-> file"
    assert listed["file"] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_sums_are_as_sha256sum_writes_them(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").touch()
    write_sums([tmp_path / "a.tar.gz"], tmp_path / "SUMS")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert (tmp_path / "SUMS").read_text() == f"{empty}  a.tar.gz\n"
