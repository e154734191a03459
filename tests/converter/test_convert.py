"""Test whole conversions: logits equal the reference's, and nothing half-done is ever left."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converter import gguf_stream
from converter.convert import convert
from converter.errors import ConversionCancelled, ConversionError
from converter.gguf_file import read_header
from tests.helpers.checkpoints import PHI3_VARIANTS, long_rope, make_phi3
from tests.helpers.logits import llama_logits, reference_logits, relative_error


@pytest.mark.parametrize("variant", PHI3_VARIANTS)
def test_logits_equal_transformers(tmp_path, token_ids, variant):
    folder = make_phi3(tmp_path / variant, variant, seed=1)
    convert(folder, tmp_path / "model.gguf", outtype="f32")
    ours = llama_logits(tmp_path / "model.gguf", token_ids, n_ctx=4096)
    assert relative_error(ours, reference_logits(folder, token_ids)) < 1e-4


def _edit_config(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def test_configurations_of_the_hub_and_of_transformers_5_give_the_same_file(tmp_path):
    """Transformers 5 writes `rope_parameters`; the Hub's files have `rope_scaling` of the type `su` or `longrope`."""
    folder = make_phi3(tmp_path / "model", "mini-128k")
    convert(folder, tmp_path / "new.gguf", outtype="bf16", name="m")

    def as_on_the_hub(config):
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope["rope_theta"]
        config["rope_scaling"] = {key: rope[key] for key in ("short_factor", "long_factor")} | {"type": "su"}

    assert "rope_parameters" in json.loads((folder / "config.json").read_text())
    _edit_config(folder, as_on_the_hub)
    convert(folder, tmp_path / "old.gguf", outtype="bf16", name="m")
    assert (tmp_path / "old.gguf").read_bytes() == (tmp_path / "new.gguf").read_bytes()
    header = read_header(tmp_path / "new.gguf")
    # The value of SPEC.md A5 for 128k models: sqrt(1 + ln(32) / ln(4096)).
    assert header.number("phi3.rope.scaling.attn_factor") == pytest.approx(1.190238, abs=1e-6)
    assert header.tensors["rope_factors_long.weight"].shape == (16,)


def test_shards_give_the_same_file_as_one(tmp_path, mini, mini_gguf):
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "mini"
    shutil.copytree(mini, folder)
    (folder / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(mini).save_pretrained(folder, max_shard_size="8MB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    convert(folder, tmp_path / "sharded.gguf", outtype="f32")
    assert (tmp_path / "sharded.gguf").read_bytes() == mini_gguf.read_bytes()


@pytest.mark.parametrize(("outtype", "tolerance"), [("bf16", 5e-2), ("f16", 1e-2), ("q8_0", 0.15)])
def test_smaller_types_stay_near(tmp_path, mini, mini_gguf, token_ids, outtype, tolerance):
    result = convert(mini, tmp_path / "small.gguf", outtype=outtype)
    assert result.file_type == outtype and result.size_bytes == (tmp_path / "small.gguf").stat().st_size
    ours = llama_logits(tmp_path / "small.gguf", token_ids)
    assert 0 < relative_error(ours, llama_logits(mini_gguf, token_ids)) < tolerance


def test_the_number_of_threads_changes_nothing(tmp_path, mini, mini_gguf):
    convert(mini, tmp_path / "one.gguf", outtype="f32", threads=1)
    convert(mini, tmp_path / "many.gguf", outtype="f32", threads=5)
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "many.gguf").read_bytes() == mini_gguf.read_bytes()


def test_names_and_sources_are_written_down(tmp_path, mini):
    result = convert(mini, tmp_path / "bot.gguf", outtype="bf16", name="My support bot")
    header = read_header(tmp_path / "bot.gguf")
    assert result.name == "My support bot" and result.architecture == "phi3" and result.warnings == ()
    assert header.text("general.name") == "My support bot (Phi-3)"
    assert header.text("phidelity.source.name") == "My support bot"
    assert header.text("phidelity.source.architecture") == "phi3"
    assert header.number("phidelity.converter.version") == 1
    flags = json.loads(header.text("phidelity.tokenizer.added_tokens"))
    assert {"id": 32010, "content": "<|user|>", "rstrip": True}.items() <= flags[-1].items()


def test_a_snapshot_is_named_after_its_repository(tmp_path, mini):
    snapshot = tmp_path / "models--microsoft--Phi-3-mini-4k-instruct" / "snapshots" / "abc123"
    shutil.copytree(mini, snapshot)
    assert convert(snapshot, tmp_path / "m.gguf", outtype="bf16").name == "Phi-3-mini-4k-instruct"


def test_a_checkpoint_without_tokenizer_runs_on_ids_and_says_so(tmp_path, token_ids):
    folder = make_phi3(tmp_path / "model", tokenizer=False)
    result = convert(folder, tmp_path / "m.gguf", outtype="f32")
    assert "no tokenizer" in result.warnings[0]
    assert relative_error(llama_logits(tmp_path / "m.gguf", token_ids), reference_logits(folder, token_ids)) < 1e-4


def test_progress_reaches_the_end(tmp_path, mini):
    seen = []
    convert(mini, tmp_path / "m.gguf", outtype="bf16", progress=seen.append)
    assert [step.done_bytes for step in seen] == sorted(step.done_bytes for step in seen)
    assert {step.tensor for step in seen} == set(read_header(tmp_path / "m.gguf").tensors)
    assert seen[-1].done == seen[-1].total == 15
    assert seen[-1].total_bytes - seen[-1].done_bytes < 32


def _stop(progress):
    if progress.tensor == "blk.1.attn_qkv.weight":
        raise ConversionCancelled


def test_a_cancelled_conversion_leaves_nothing(tmp_path, mini):
    with pytest.raises(ConversionCancelled):
        convert(mini, tmp_path / "m.gguf", outtype="bf16", progress=_stop)
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_conversion_keeps_the_file_that_was_there(tmp_path, mini):
    (tmp_path / "m.gguf").write_bytes(b"older")
    with pytest.raises(ConversionCancelled):
        convert(mini, tmp_path / "m.gguf", outtype="bf16", progress=_stop)
    assert (tmp_path / "m.gguf").read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_killed_conversion_leaves_nothing_that_looks_finished(tmp_path, mini):
    script = (
        "import os, sys; from pathlib import Path; from converter.convert import convert\n"
        "def die(progress):\n    if progress.done > 8: os._exit(9)\n"
        "convert(Path(sys.argv[1]), Path(sys.argv[2]), outtype='bf16', progress=die)"
    )
    out = tmp_path / "m.gguf"
    assert subprocess.run([sys.executable, "-c", script, mini, out], cwd=Path.cwd()).returncode == 9
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf.part"]
    convert(mini, out, outtype="bf16")
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_damaged_weights_leave_nothing(tmp_path, mini):
    folder = tmp_path / "model"
    shutil.copytree(mini, folder)
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-4:] = np.array([np.nan], np.float32).tobytes()
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(ConversionError, match="not a number"):
        convert(folder, tmp_path / "m.gguf", outtype="f32")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_disk_too_small_is_noticed_before_anything_is_written(tmp_path, mini, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(gguf_stream.shutil, "disk_usage", lambda _: usage._replace(free=10_000_000))
    with pytest.raises(ConversionError, match=r"will take 0\.0 GB, but only 0\.0 GB are free") as caught:
        convert(mini, tmp_path / "m.gguf", outtype="f32")
    assert caught.value.code == "disk_full"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, mini):
    def fill(progress):
        raise OSError(28, "No space left on device")

    with pytest.raises(ConversionError, match="No space left") as caught:
        convert(mini, tmp_path / "m.gguf", outtype="f32", progress=fill)
    assert caught.value.code == "disk_full"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_named(tmp_path, mini):
    with pytest.raises(ConversionError, match="does not exist"):
        convert(mini, tmp_path / "nowhere" / "m.gguf", outtype="f32")


BAD_SETTINGS = {
    "model_type": ("llama", "'llama' cannot be converted"),
    "hidden_act": ("gelu", "hidden_act = 'gelu', but silu"),
    "hidden_size": (100.5, "hidden_size = 100.5"),
    "num_hidden_layers": (3, "layers.2.*missing"),
    "num_key_value_heads": (3, "a divisor of 4"),
    "head_dim": (64, "head_dim = 64, but 32"),
    "intermediate_size": (512, r"shape \(512, 128\)"),
    "vocab_size": (True, "vocab_size = True"),
    "rms_norm_eps": ("x", "rms_norm_eps = 'x', but a number"),
    "rope_scaling": ({"type": "linear", "factor": 2}, "type of rope_scaling = 'linear'"),
    "max_position_embeddings": (-1, "a positive whole number"),
}


@pytest.mark.parametrize(("key", "value", "reason"), [(key, *rest) for key, rest in BAD_SETTINGS.items()])
def test_wrong_settings_are_named(tmp_path, mini, key, value, reason):
    folder = tmp_path / "model"
    shutil.copytree(mini, folder)
    _edit_config(folder, lambda config: config.__setitem__(key, value))
    with pytest.raises(ConversionError, match=reason):
        convert(folder, tmp_path / "m.gguf", outtype="f32")


@pytest.mark.parametrize(
    ("rope", "reason"),
    [
        ({"short_factor": None}, "short_factor = 'nothing'"),
        ({"long_factor": [1.0]}, "a list of 16 numbers"),
        ({"long_factor": [0.0] * 16}, "only positive numbers"),
        ({"long_factor": ["x"] * 16}, "long_factor = 'x'"),
    ],
)
def test_wrong_long_rope_settings_are_named(tmp_path, mini, rope, reason):
    folder = tmp_path / "model"
    shutil.copytree(mini, folder)
    _edit_config(folder, lambda config: config.__setitem__("rope_scaling", long_rope(32) | rope))
    with pytest.raises(ConversionError, match=reason):
        convert(folder, tmp_path / "m.gguf", outtype="f32")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_memory_stays_small_whatever_the_size(tmp_path):
    """Convert a model with an embedding of 800 MB in float32; the weights are a hole in the file and cost no disk."""
    vocabulary, columns = 40_000, 5120
    sizes = {"hidden_size": columns, "intermediate_size": 32, "num_attention_heads": 40, "num_key_value_heads": 1}
    folder = make_phi3(
        tmp_path / "model",
        tokenizer=False,
        dtype="bfloat16",
        num_hidden_layers=1,
        vocab_size=8,
        pad_token_id=0,
        tie_word_embeddings=True,
        **sizes,
    )
    _grow_embedding(folder, vocabulary, columns)
    script = (
        "import sys; from pathlib import Path; from converter.convert import convert\n"
        "convert(Path(sys.argv[1]), Path(sys.argv[2]), outtype='bf16', threads=4)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    command = [sys.executable, "-c", script, folder, tmp_path / "big.gguf"]
    peak_kilobytes = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (tmp_path / "big.gguf").stat().st_size > vocabulary * columns * 2
    assert peak_kilobytes < 250_000


def _grow_embedding(folder, vocabulary, columns):
    """Replace the embedding in a checkpoint by a larger one of zeros."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    entries.pop("__metadata__", None)
    embedding = entries.pop("model.embed_tokens.weight")
    weights = {name: data[8 + length :][slice(*entry["data_offsets"])] for name, entry in entries.items()}
    end = 0
    for name, entry in entries.items():
        entry["data_offsets"] = [end, end + len(weights[name])]
        end += len(weights[name])
    size = vocabulary * columns * 2
    entries["model.embed_tokens.weight"] = embedding | {
        "shape": [vocabulary, columns],
        "data_offsets": [end, end + size],
    }
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header + b"".join(weights.values()))
        file.truncate(file.tell() + size)
    _edit_config(folder, lambda config: config.__setitem__("vocab_size", vocabulary))
