"""Measure LoRA adapters: how exact they are, what switching them costs, and what merging adds to an import.

python -m benchmarks.adapters exact                     # tiny random models against PEFT in PyTorch
python -m benchmarks.adapters switch [MODEL]            # random adapters of rank 16 in a real worker
python -m benchmarks.adapters merge CHECKPOINT          # import with and without one, in processes of their own
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from converter.adapter_file import ADAPTER, ALPHA_KEY, LORA, METHOD_KEY, TYPE_KEY
from converter.checkpoint import Checkpoint
from converter.convert import convert
from converter.ggml_types import TENSOR_TYPES
from converter.gguf_file import read_header
from converter.gguf_stream import TensorToWrite, write_gguf
from converter.gguf_writer import TensorSpec, float32, string
from converter.lazy_tensors import ArrayRows
from converter.lora import convert_lora
from engine.client import EngineClient
from engine.library.folders import resolve_model
from engine.protocol import Adapter, Chat, ChatResult, Load, LoadResult, Message, Sampling, UseAdapters
from engine.runtime.native_log import NativeLog
from tests.helpers.adapters import make_adapter, peft_logits
from tests.helpers.checkpoints import make_phi3, make_phimoe
from tests.helpers.logits import relative_error
from tests.helpers.sessions import session_logits

RANK = 16
VOCABULARY = 2000
FUSED = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
MODULES = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
CASES = {
    "mini": ("mini", {}),
    "mini-4k": ("mini-4k", {}),
    "mini-128k": ("mini-128k", {}),
    "medium": ("medium", {}),
    "phi-4-mini": ("phi-4-mini", {}),
    "mini-4k, rsLoRA with patterns": ("mini-4k", {"use_rslora": True, "rank_pattern": {"o_proj": 9}}),
    "3.5-MoE, attention": ("moe", {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}),
    "3.5-MoE, experts": (
        "moe",
        {"target_modules": ["o_proj"], "target_parameters": ["experts.gate_up_proj", "experts.down_proj"]},
    ),
}


def exact() -> None:
    """Print how far the base with an adapter, and the merged model, are from PEFT."""
    ids = np.random.default_rng(3).integers(3, VOCABULARY, 64).tolist()
    log = NativeLog()
    print(f"{'model':32} {'effect':>8} {'adapter':>8} {'merged':>8}")
    for name, (variant, settings) in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            if variant == "moe":
                base = make_phimoe(folder / "base", vocab_size=VOCABULARY, num_local_experts=4, tokenizer=False)
            else:
                base = make_phi3(folder / "base", variant, vocab_size=VOCABULARY, pad_token_id=0, tokenizer=False)
            adapter = make_adapter(folder / "adapter", base, **settings)
            gguf = convert(base, folder / "base.gguf", outtype="f32").path
            merged = convert(base, folder / "merged.gguf", outtype="f32", adapter=adapter).path
            kept = convert_lora(adapter, base, folder / "adapter.gguf").path
            reference = peft_logits(base, adapter, ids)[-1]
            answers = (session_logits(log, gguf, ids), session_logits(log, gguf, ids, (kept, 1.0)))
            figures = [relative_error(logits, reference) for logits in (*answers, session_logits(log, merged, ids))]
            print(f"{name:32} {figures[0]:8.2f} {figures[1]:8.1e} {figures[2]:8.1e}")


def switch(model: str, runs: int) -> None:
    """Print what a load, a switch and a token cost with and without an adapter."""
    path = resolve_model(model).resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(EngineClient()) as client:
        files = [_random_adapter(path, Path(folder) / f"{seed}.gguf", seed) for seed in (0, 1)]
        loaded = client.call(Load(str(path), gpu_layers=0))
        assert isinstance(loaded, LoadResult)
        switches, plain, changed = [], [], []
        for run in range(runs):
            client.call(UseAdapters(()))
            plain.append(_speed(client))
            started = time.perf_counter()
            client.call(UseAdapters((Adapter(str(files[run % 2])),)))
            switches.append((time.perf_counter() - started) * 1000)
            changed.append(_speed(client))
        size = files[0].stat().st_size
    print(f"{loaded.model.name}: load {loaded.load_ms:.0f} ms, adapter of {size / 1e6:.0f} MB, {runs} runs")
    print(f"switch {statistics.median(switches):.0f} ms")
    print(f"decode with ÷ without: {statistics.median(changed) / statistics.median(plain):.2f}")


def merge(checkpoint: Path, quant: str) -> None:
    """Print wall time and peak memory of an import with and without an adapter."""
    with tempfile.TemporaryDirectory() as place:
        adapter = _random_peft_adapter(checkpoint, Path(place) / "adapter")
        for name, chosen in (("plain", None), ("merged", str(adapter))):
            folder = Path(place) / name
            folder.mkdir()
            job = {"kind": "import", "source": str(checkpoint), "out": str(folder / "model.gguf")}
            (folder / "job.json").write_text(json.dumps({**job, "quantization": quant, "adapter": chosen}))
            started = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-m", "engine.jobs", str(folder)])
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit((folder / "events.jsonl").read_text())
            seconds = time.perf_counter() - started
            print(f"{name:7} {seconds:7.1f} s   peak {usage.ru_maxrss / 1024:6.0f} MiB")


def _speed(client: EngineClient) -> float:
    request = Chat((Message("user", "Tell a story about the sea."),), Sampling(temperature=0), 64)
    result = client.call(request)
    assert isinstance(result, ChatResult)
    return result.tokens_per_second


def _random_adapter(model: Path, out: Path, seed: int) -> Path:
    """Write an adapter for all matrices of a phi3 file, too weak to change what it says."""
    generator = np.random.default_rng(seed)
    tensors = []
    for name, info in read_header(model).tensors.items():
        if name.split(".")[-2] not in FUSED:
            continue
        for part, shape in (("a", (RANK, info.shape[-1])), ("b", (info.shape[0], RANK))):
            values = generator.normal(0, 1e-4, shape).astype("<f4")
            spec = TensorSpec(f"{name}.lora_{part}", shape, TENSOR_TYPES["f32"])
            tensors.append(TensorToWrite(spec, ArrayRows(values), lambda rows: rows.view(np.uint8)))
    metadata = {"general.architecture": string("phi3"), TYPE_KEY: string(ADAPTER), METHOD_KEY: string(LORA)}
    write_gguf(out, metadata | {ALPHA_KEY: float32(RANK)}, tensors)
    return out


def _random_peft_adapter(checkpoint: Path, folder: Path) -> Path:
    """Write an adapter as PEFT does, without loading the checkpoint."""
    generator = np.random.default_rng(0)
    base = Checkpoint(checkpoint)
    tensors = {}
    for name in base.names():
        module = name.removesuffix(".weight")
        if module.endswith(MODULES):
            rows, columns = base.shape(name)
            for part, shape in (("A", (RANK, columns)), ("B", (rows, RANK))):
                values = generator.normal(0, 1 / math.sqrt(columns), shape).astype("f4")
                tensors[f"base_model.model.{module}.lora_{part}.weight"] = values
    base.close()
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": RANK}))
    return folder


def main() -> None:
    """Read the command line and print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("exact")
    command = commands.add_parser("switch")
    command.add_argument("model", nargs="?", default="starter")
    command.add_argument("--runs", type=int, default=9)
    command = commands.add_parser("merge")
    command.add_argument("checkpoint", type=Path)
    command.add_argument("--quant", default="q4_k_m")
    options = parser.parse_args()
    if options.what == "exact":
        exact()
    elif options.what == "switch":
        switch(options.model, options.runs)
    else:
        merge(options.checkpoint.resolve(), options.quant)


if __name__ == "__main__":
    main()
