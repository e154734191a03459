"""Compute on Vulkan, through the real worker: what the model says there must be what it says anywhere.

Mesa's software device will do. A build without Vulkan, as that of `make test`, skips all of this; docs/gpu.md says how
the build of the packages is tested.
"""

import contextlib
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest

from converter.convert import convert
from engine.client import EngineClient
from engine.protocol import Load, Logits, Message, Token, Unload
from engine.supervisor import Supervisor
from tests.engine.vision.vectors import FOLDER, ONE_PICTURE
from tests.helpers.checkpoints import make_phimoe
from tests.helpers.logits import reference_logits, relative_error
from tests.helpers.vulkan import engine_command, vulkan_environment, vulkan_worker, why_not
from tests.helpers.workers import Recorder, ask

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.timeout(1800),  # a software device compiles its programs for minutes
]
LINE = 300  # where the fixtures' LongRoPE goes over to its long factors
# In 32 bits too ggml's Vulkan rounds parts of the attention to 16 bits; a wrong window or factor makes 0.5 and more.
EXACT = 5e-3
ROUNDED = 2e-2


@pytest.fixture(scope="module")
def exact():
    """Give a worker whose Vulkan computes in 32 bits."""
    with vulkan_worker(half_precision=False) as (client, ready):
        if not any(device.kind == "gpu" for device in ready.devices):
            pytest.skip("Vulkan finds no device")
        yield client


@pytest.fixture(scope="module")
def usual():
    """Give a worker whose Vulkan computes as it likes."""
    with vulkan_worker() as (client, ready):
        if not any(device.kind == "gpu" for device in ready.devices):
            pytest.skip("Vulkan finds no device")
        yield client


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """Give a random Phi-3.5-MoE: its directory and its GGUF file."""
    folder = tmp_path_factory.mktemp("moe")
    checkpoint = make_phimoe(folder / "moe", original_max_position_embeddings=LINE)
    return checkpoint, convert(checkpoint, folder / "moe.gguf", outtype="f32").path


def newest_worker():
    workers = [child for child in psutil.Process().children() if "engine.worker" in child.cmdline()]
    return max(workers, key=psutil.Process.create_time)


def logits(client, tmp_path, ids, **options):
    out = tmp_path / "logits.npz"
    client.call(Logits(str(out), tokens=tuple(ids), **options))
    with np.load(out) as arrays:
        return dict(arrays)


def check(client, model, tmp_path, ids, layers=-1, bound=EXACT):
    """Compare the last row of logits with transformers."""
    loaded = client.call(Load(str(model[1]), gpu_layers=layers, context=1024, runtime="llama.cpp")).model
    assert loaded.gpu_layers == (3 if layers < 0 else layers)
    ours = logits(client, tmp_path, ids)["logits"]
    wanted = reference_logits(model[0], ids, slice(-1, None))
    assert relative_error(ours[None], wanted) < bound
    assert ours.argmax() == wanted.argmax()
    return loaded


def test_all_layers_of_a_model_are_the_reference(exact, tiny, tmp_path, token_ids):
    loaded = check(exact, tiny, tmp_path, token_ids[:60])
    assert "CPU" not in loaded.runs_on
    assert loaded.runs_on_reason.startswith("all 3 layers fit into")


def test_some_layers_of_a_model_are_the_reference(exact, tiny, tmp_path, token_ids):
    loaded = check(exact, tiny, tmp_path, token_ids[:60], layers=2)
    assert loaded.runs_on.endswith(" and CPU")


def test_the_sliding_window_is_kept(exact, windowed, tmp_path, token_ids):
    check(exact, windowed, tmp_path, token_ids[:250])


@pytest.mark.parametrize("length", [LINE, LINE + 60])
def test_both_factors_of_longrope_are_taken(exact, longrope, tmp_path, token_ids, length):
    check(exact, longrope, tmp_path, token_ids[:length])


def test_the_weights_of_experts_are_those_of_the_reference(exact, mixture, tmp_path, token_ids):
    check(exact, mixture, tmp_path, token_ids[:60])


def test_experts_are_added_up_in_32_bits(usual, mixture, tmp_path, token_ids):
    packed = convert(mixture[0], tmp_path / "f16.gguf", outtype="f16").path
    check(usual, (mixture[0], packed), tmp_path, token_ids[:60])


def test_rounding_stays_small(usual, tiny, tmp_path, token_ids):
    check(usual, tiny, tmp_path, token_ids[:60], bound=ROUNDED)


@pytest.mark.parametrize("way", ["exact", "usual"])
def test_pictures_are_seen_as_by_the_reference(request, way, vision_model, tmp_path):
    client = request.getfixturevalue(way)
    case = next(case for case in ONE_PICTURE if case.num_crops == 4)
    # The tower goes to the GPU with the first layer; the language model is not what is tested here.
    client.call(Load(str(vision_model.path), gpu_layers=1, context=4096))
    picture = str(FOLDER / case.pictures[0])
    text = case.prompt.removeprefix("<|user|>\n").removesuffix("<|end|>\n<|assistant|>\n")
    out = tmp_path / "picture.npz"
    client.call(Logits(str(out), messages=(Message("user", text, (picture,)),), num_crops=case.num_crops))
    with np.load(out) as arrays:
        embeddings = arrays["image_embeds"]
    assert relative_error(embeddings[case.arrays["rows"]], case.arrays["embeds_rows"]) < 2e-3


def test_an_answer_is_the_processors(usual, starter):
    request = ask("Name three fruits.", max_tokens=24)
    answers = []
    for layers in (0, -1):
        loaded = usual.call(Load(str(starter), gpu_layers=layers, context=512)).model
        assert loaded.gpu_layers == (0 if layers == 0 else 31)
        recorder = Recorder()
        usual.submit(request, recorder)
        answers.append((recorder.wait(1200).result.text, recorder.text))
    usual.call(Unload())
    assert answers[0] == answers[1]
    assert answers[0][0] == answers[0][1] != ""


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself this signal")
def test_an_answer_outlives_the_process_that_used_vulkan(starter):
    request = ask("Name three fruits.", max_tokens=24)
    with contextlib.closing(EngineClient()) as client:
        client.call(Load(str(starter), gpu_layers=0, context=512))
        whole = client.call(request)
    with vulkan_environment(), contextlib.closing(Supervisor(engine_command())) as supervisor:
        loaded = supervisor.call(Load(str(starter), gpu_layers=4, context=512)).model
        assert loaded.gpu_layers == 4

        def kill_once(event):
            if isinstance(event, Token) and supervisor.model.gpu_layers and not killed:
                killed.append(event)
                newest_worker().send_signal(signal.SIGSEGV)

        killed = []
        recorder = Recorder(kill_once)
        supervisor.submit(request, recorder)
        result = recorder.wait(1200).result
        assert killed
        assert (result.text, recorder.text) == (whole.text, whole.text)
        assert supervisor.model.gpu_layers == 0


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="a driver is compiled and shown to Linux")
def test_a_driver_that_ends_the_process_is_left_alone(tmp_path, monkeypatch, starter):
    source, library, manifest = tmp_path / "driver.c", tmp_path / "libdriver.so", tmp_path / "driver.json"
    source.write_text(
        "#include <stdlib.h>\nvoid *vk_icdGetInstanceProcAddr(void *i, const char *n) { abort(); }\n"
        "int vk_icdNegotiateLoaderICDInterfaceVersion(unsigned *v) { return 0; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    icd = {"library_path": str(library), "api_version": "1.3.0"}
    manifest.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": icd}))
    for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
        monkeypatch.setenv(name, str(manifest))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        with contextlib.closing(Supervisor(engine_command())) as supervisor:
            loaded = supervisor.call(Load(str(starter), context=512)).model
            assert (loaded.gpu_layers, loaded.notes[-1].code) == (0, "gpu_set_aside")
            assert supervisor.call(ask("Name three fruits.", max_tokens=2)).completion_tokens == 2
