"""Test the commands as scripts use them: output, one-line errors, exit status."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from converter.convert import convert
from converter.gguf_writer import string
from converter.lora import convert_lora
from engine.__main__ import main
from engine.commands.model_choice import adapter_choice
from engine.launch import child_environment, python_command
from engine.protocol import Adapter
from tests.engine.vision.vectors import CASES, FOLDER
from tests.helpers.adapters import make_adapter, peft_logits
from tests.helpers.gguf_files import edited
from tests.helpers.logits import relative_error

FRUITS = ["--prompt", "Name three fruits.", "--temperature", "0"]


def run(capsys, *arguments):
    """Run a command in this process; give its status, output and errors."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_chat_prints_the_answer(capsys, starter):
    status, output, errors = run(capsys, "chat", "--model", "starter", *FRUITS)
    assert (status, output, errors) == (0, "1. Bananas\n2. Oranges\n3. Grapes\n", "")


def test_chat_prints_one_json_document(capsys, starter):
    status, output, _ = run(capsys, "chat", "--model", starter, *FRUITS, "--stop", "2", "--max-tokens", "20", "--json")
    document = json.loads(output)
    assert status == 0
    assert document["text"] == "1. Bananas\n"
    assert document["finish_reason"] == "stop"
    assert document["model"]["quantization"] == "Q4_1"


def test_chat_passes_the_system_message_and_the_sampling_on(capsys, starter):
    arguments = ["chat", "--model", starter, "--prompt", "Hi", "--seed", "1", "--max-tokens", "5", "--json"]
    plain = json.loads(run(capsys, *arguments)[1])
    with_system = json.loads(run(capsys, *arguments, "--system", "Answer in French.")[1])
    assert with_system["prompt_tokens"] != plain["prompt_tokens"]
    assert json.loads(run(capsys, *arguments)[1])["text"] == plain["text"]


def test_chat_runs_on_what_is_asked_for_and_prints_notices(capsys, small):
    arguments = ["chat", "--model", small[1], "--prompt", "a" * 1100, "--max-tokens", "2"]
    status, _, errors = run(capsys, *arguments, "--runtime", "llama.cpp")
    assert status == 0
    assert errors.startswith("engine: This answer is approximate from token 1,024 on")
    status, output, errors = run(capsys, *arguments, "--runtime", "pytorch", "--json")
    assert (status, errors) == (0, "")
    assert json.loads(output)["model"]["runs_on"] == "CPU, PyTorch (exact)"


def test_logits_of_a_prompt_and_of_tokens_agree(capsys, starter, tmp_path):
    out, tokens = tmp_path / "a.npz", tmp_path / "tokens.json"
    status, output, _ = run(capsys, "logits", "--model", "starter", "--prompt", "Hi", "--out", out)
    assert (status, output.strip()) == (0, str(out))
    with np.load(out) as first:
        tokens.write_text(json.dumps(first["tokens"].tolist()))
        logits = first["logits"]
    assert logits.shape == (49152,)
    status, output, _ = run(
        capsys, "logits", "--model", "starter", "--tokens", tokens, "--out", tmp_path / "b.npz", "--json"
    )
    assert json.loads(output)["tokens"] == len(json.loads(tokens.read_text()))
    with np.load(tmp_path / "b.npz") as second:
        assert np.array_equal(second["logits"], logits)


def test_pictures_from_the_shell(capsys, vision_model, tmp_path):
    case = next(case for case in CASES if len(case.pictures) == 2 and case.num_crops == 4)
    images = [word for name in case.pictures for word in ("--image", FOLDER / name)]
    text = case.prompt.split("<|image_2|>\n")[1].split("<|end|>")[0]
    out = tmp_path / "l.npz"
    command = ["--model", vision_model.path, "--prompt", text, *images, "--num-crops", 4]
    assert run(capsys, "logits", *command, "--out", out)[0] == 0
    with np.load(out) as arrays:
        assert arrays["tokens"].tolist() == case.arrays["input_ids"].tolist()
        assert arrays["image_embeds"].shape == ((arrays["tokens"] < 0).sum(), 96)
        assert np.abs(arrays["logits"][case.arrays["top_ids"]] - case.arrays["top_logits"]).max() < 0.01
    status, output, _ = run(
        capsys, "chat", *command, "--mmproj", vision_model.companion, "--max-tokens", "2", "--temperature", 0, "--json"
    )
    answer = json.loads(output)
    assert (status, answer["prompt_tokens"], answer["model"]["num_crops"]) == (0, len(case.arrays["input_ids"]), 4)


def test_adapters_with_a_strength_from_the_shell(capsys, tiny, tmp_path):
    checkpoint, model = tiny
    folder = make_adapter(tmp_path / "adapter", checkpoint)
    adapter = convert_lora(folder, checkpoint, tmp_path / "adapter.gguf").path
    ids, out = list(range(1000, 1030)), tmp_path / "l.npz"
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    for choice, scale in ((adapter, 1.0), (f"{adapter}:0.5", 0.5)):
        command = ["logits", "--model", model, "--tokens", tmp_path / "ids.json", "--out", out, "--adapter", choice]
        assert run(capsys, *command)[0] == 0
        with np.load(out) as arrays:
            assert relative_error(arrays["logits"], peft_logits(checkpoint, folder, ids, scale)[-1]) < 1e-4


def test_adapters_have_names_and_are_listed(capsys, tiny, tmp_path):
    checkpoint, model = tiny
    models = tmp_path / "models"
    models.mkdir()
    path = convert_lora(make_adapter(tmp_path / "Support bot", checkpoint), checkpoint, models / "bot.gguf").path
    assert adapter_choice("support BOT:0.5", models) == Adapter(str(path), 0.5)
    assert adapter_choice("bot", models) == Adapter(str(path))
    (tmp_path / "bot:2").touch()
    assert adapter_choice(str(tmp_path / "bot:2"), models) == Adapter(str(tmp_path / "bot:2"))
    status, output, _ = run(capsys, "adapters", "--models-dir", models)
    assert status == 0 and "Support bot" in output and "tiny" in output and str(path) in output
    command = ["adapters", "--models-dir", models, "--json", "--model"]
    assert [card["path"] for card in json.loads(run(capsys, *command, model)[1])] == [str(path)]
    assert json.loads(run(capsys, *command, "starter")[1]) == []


def test_an_import_can_merge_an_adapter(capsys, tiny, tmp_path):
    checkpoint, _ = tiny
    adapter = make_adapter(tmp_path / "bot", checkpoint)
    command = ["import", checkpoint, "--merge", adapter, "--models-dir", tmp_path / "models", "--json"]
    status, output, _ = run(capsys, *command, "--quant", "q8_0")
    assert status == 0
    path = tmp_path / "models" / "tiny-bot-Q8_0.gguf"
    assert json.loads(output)["path"] == str(path)
    expected = convert(checkpoint, tmp_path / "expected.gguf", outtype="q8_0", adapter=adapter).path
    assert path.read_bytes() == expected.read_bytes()
    status, _, errors = run(capsys, "import", tiny[1], "--merge", adapter, "--out", tmp_path / "x.gguf")
    assert status == 2 and "only be merged into a checkpoint" in errors
    status, _, errors = run(capsys, "import", checkpoint, "--merge", checkpoint, "--out", tmp_path / "x.gguf")
    assert status == 3 and "is no LoRA adapter" in errors
    assert not (tmp_path / "x.gguf").exists()


def test_bench_prints_measured_figures(capsys, starter):
    short = ["bench", "starter", "--runs", "1", "--max-tokens", "4", "--prompt-words", "30"]
    status, output, _ = run(capsys, *short, "--json")
    figures = json.loads(output)
    assert status == 0
    assert figures["decode_tokens"] == 4
    assert figures["prefill_tokens"] > 30
    assert all(figures[name] > 0 for name in ("load_ms", "first_token_ms", "decode_tokens_per_second", "start_ms"))
    assert figures["peak_memory_bytes"] > 50_000_000
    assert "tokens/s" in run(capsys, *short)[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["chat", "--model", "no such model", "--prompt", "x"], 3),
        (["chat", "--model", "{empty}", "--prompt", "x"], 3),
        (["chat", "--model", "starter", "--prompt", "x", "--temperature", "-1"], 2),
        (["chat", "--model", "starter", "--prompt", "x", "--threads", "9999"], 2),
        (["chat", "--model", "starter", "--prompt", "x", "--runtime", "pytorch"], 3),
        (["chat", "--model", "starter", "--prompt", "{long}", "--context", "64"], 2),
        (["chat", "--model", "starter", "--prompt", "x", "--adapter", "{empty}"], 3),
        (["chat", "--model", "starter", "--prompt", "x", "--adapter", "no such adapter"], 3),
        (["chat", "--model", "starter", "--prompt", "x", "--adapter", "{empty}:900"], 2),
        (["chat", "--model", "starter", "--prompt", "x", "--adapter", "{empty}:nan"], 2),
        (["chat", "--model", "starter", "--prompt", "x", "--image", "{empty}"], 2),
        (["chat", "--model", "starter", "--prompt", "x", "--num-crops", "65"], 2),
        (["logits", "--model", "starter", "--tokens", "{empty}", "--out", "x.npz"], 3),
        (["logits", "--model", "starter", "--tokens", "{words}", "--out", "x.npz"], 3),
        (["logits", "--model", "starter", "--prompt", "x", "--out", "/none/x.npz"], 2),
    ],
)
def test_bad_input_gives_one_line_and_a_status(capsys, starter, tmp_path, arguments, expected):
    (tmp_path / "empty.gguf").touch()
    (tmp_path / "words.json").write_text('["one"]')
    places = {"empty": tmp_path / "empty.gguf", "words": tmp_path / "words.json", "long": "word " * 100}
    status, output, errors = run(capsys, *(argument.format(**places) for argument in arguments))
    assert status == expected
    assert output.strip() == ""
    assert errors.startswith("engine: ")
    assert errors.count("\n") == 1


def test_what_is_wrong_with_a_file_is_said_beside_the_answer(capsys, tiny, tmp_path):
    path = edited(tiny[1], tmp_path / "m.gguf", {"tokenizer.chat_template": string("<|im_start|>")})
    status, output, errors = run(capsys, "chat", "--model", path, "--prompt", "Hi", "--max-tokens", "2")
    assert (status, errors.count("\n")) == (0, 1)
    assert "The chat template is another model's" in errors
    assert output.strip()


@pytest.mark.parametrize("arguments", [[], ["fly"], ["chat"], ["chat", "--model", "x", "--prompt", "x", "--seed", "y"]])
def test_wrong_usage_gives_one_line_and_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_the_interrupt_key_ends_an_answer_with_130(tiny):
    # A model of random weights does not come to an end by itself.
    command = python_command("engine", "chat", "--model", str(tiny[1]), "--prompt", "Tell a story.")
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
        # A test run in the background of a shell ignores the key, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.read(1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == b""


def test_a_reader_that_goes_away_ends_the_command(starter):
    command = python_command("engine", "chat", "--model", str(starter), "--prompt", "Tell a very long story.")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=child_environment())
    assert process.stdout.read(1)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert errors == b""
