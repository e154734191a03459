"""Test the command line: one line for every error, and stable exit statuses."""

import json

import pytest

from converter.__main__ import main
from converter.gguf_writer import string
from tests.converter.test_starter import llama_layout
from tests.helpers.adapters import make_adapter
from tests.helpers.gguf_files import edited


def _status(arguments):
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return left.code


def test_convert_reports_what_it_made(tmp_path, mini, capsys):
    assert _status(["convert", mini, tmp_path / "m.gguf", "--outtype", "q8_0", "--name", "Mine", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["name"] == "Mine" and report["file_type"] == "q8_0" and report["warnings"] == []
    assert report["size_bytes"] == (tmp_path / "m.gguf").stat().st_size


def test_the_picture_part_goes_where_it_is_wanted(tmp_path, vision_checkpoint, capsys):
    out, pictures = tmp_path / "v.gguf", tmp_path / "eyes.gguf"
    assert _status(["convert", vision_checkpoint, out, "--outtype", "f16", "--mmproj", pictures, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["companion"] == str(pictures)
    assert {path.name for path in tmp_path.iterdir()} == {"v.gguf", "eyes.gguf"}
    assert _status(["inspect", pictures, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == "clip"


def test_an_adapter_is_converted_and_merged(tmp_path, mini, capsys):
    adapter = make_adapter(tmp_path / "bot", mini)
    assert _status(["lora", adapter, tmp_path / "bot.gguf", "--base", mini, "--outtype", "f16", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["name"], report["base"], report["n_tensors"]) == ("bot", "mini", 16)
    assert _status(["merge", mini, adapter, tmp_path / "merged", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_changed"] == 8
    assert _status(["convert", tmp_path / "merged", tmp_path / "a.gguf", "--name", "x"]) == 0
    assert _status(["convert", mini, tmp_path / "b.gguf", "--merge", adapter, "--name", "x"]) == 0
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_starter_writes_the_model(tmp_path, capsys):
    source = llama_layout(tmp_path / "llama.gguf")
    assert _status(["starter", tmp_path / "starter.gguf", "--source", source]) == 0
    assert str(tmp_path / "starter.gguf") in capsys.readouterr().out


def test_inspect_and_repair_work_together(tmp_path, mini_gguf, capsys):
    bad = edited(mini_gguf, tmp_path / "bad.gguf", {"general.name": string("Bot")})
    assert _status(["inspect", bad]) == 0
    assert "(`repair` cures it)" in capsys.readouterr().out
    assert _status(["repair", bad, tmp_path / "good.gguf", "--json"]) == 0
    assert [fault["code"] for fault in json.loads(capsys.readouterr().out)["repaired"]] == ["name_marker"]
    assert _status(["inspect", tmp_path / "good.gguf", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["faults"] == []


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 2),
        (["convert"], 2),
        (["convert", "{mini}", "{tmp}/m.gguf", "--outtype", "q4_k_m"], 2),
        (["convert", "{mini}", "{tmp}/nowhere/m.gguf"], 2),
        (["convert", "{tmp}/nothing", "{tmp}/m.gguf"], 3),
        (["inspect", "{tmp}/nothing.gguf"], 3),
        (["lora", "{mini}", "{tmp}/m.gguf", "--base", "{mini}"], 3),
        (["lora", "{mini}", "{tmp}/m.gguf"], 2),
        (["merge", "{mini}", "{tmp}/nothing", "{tmp}/out"], 3),
        (["merge", "{mini}", "{mini}", "{tmp}"], 3),
        (["inspect", "{tmp}"], 3),
        (["repair", "{gguf}", "{tmp}/m.gguf"], 2),
        (["starter", "{tmp}/m.gguf", "--source", "{tmp}"], 3),
    ],
)
def test_errors_are_one_line_and_have_their_status(tmp_path, mini, mini_gguf, capsys, arguments, status):
    assert _status([argument.format(mini=mini, gguf=mini_gguf, tmp=tmp_path) for argument in arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (MemoryError(), 4)])
def test_an_interrupt_and_exhausted_memory_have_their_status(tmp_path, mini, monkeypatch, capsys, error, status):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("converter.__main__.convert", fail)
    assert _status(["convert", mini, tmp_path / "m.gguf"]) == status
    assert len(capsys.readouterr().err.splitlines()) == 1
