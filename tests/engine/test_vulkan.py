"""Compute on Vulkan, through the real worker: what the model says there must be what it says anywhere.

Mesa's software device will do. A build without Vulkan, as that of `make test`, skips all of this; docs/gpu.md says how
the build of the packages is tested.
"""

import numpy as np
import pytest

from converter.convert import convert
from engine.protocol import Load, Logits, Message, Unload
from tests.engine.vision.vectors import FOLDER, ONE_PICTURE
from tests.helpers.checkpoints import make_phimoe
from tests.helpers.logits import reference_logits, relative_error
from tests.helpers.vulkan import vulkan_worker, why_not
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


def test_rounding_stays_small(usual, tiny, tmp_path, token_ids):
    check(usual, tiny, tmp_path, token_ids[:60], bound=ROUNDED)


def test_pictures_are_seen_as_by_the_reference(exact, vision_model, tmp_path):
    case = next(case for case in ONE_PICTURE if case.num_crops == 4)
    exact.call(Load(str(vision_model.path), context=4096))
    picture = str(FOLDER / case.pictures[0])
    text = case.prompt.removeprefix("<|user|>\n").removesuffix("<|end|>\n<|assistant|>\n")
    out = tmp_path / "picture.npz"
    exact.call(Logits(str(out), messages=(Message("user", text, (picture,)),), num_crops=case.num_crops))
    with np.load(out) as arrays:
        embeddings = arrays["image_embeds"]
    assert relative_error(embeddings[case.arrays["rows"]], case.arrays["embeds_rows"]) < ROUNDED


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
