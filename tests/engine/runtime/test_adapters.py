"""Test that LoRA adapters change the logits as merging them would, and can be switched while the model stays."""

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM

from converter.convert import convert
from converter.lora import convert_lora
from engine.errors import EngineError
from engine.protocol import Adapter, Chat, Message, Sampling, UseAdapters
from engine.runtime.cancellation import Cancellation
from tests.helpers.adapters import make_adapter, peft_logits
from tests.helpers.logits import relative_error

RANK = 3
WEIGHT = "model.layers.0.self_attn.o_proj.weight"


@pytest.fixture
def factors():
    generator = np.random.default_rng(5)
    return generator.normal(0, 0.3, (RANK, 128)).astype("f4"), generator.normal(0, 0.3, (128, RANK)).astype("f4")


@pytest.fixture
def adapter(tmp_path, factors):
    path = tmp_path / "adapter.gguf"
    writer = GGUFWriter(path, "phi3")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", RANK)
    for name, tensor in zip("ab", factors, strict=True):
        writer.add_tensor(f"blk.0.attn_output.weight.lora_{name}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def merged_logits(checkpoint, ids, factors, scale):
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    a, b = factors
    with torch.no_grad():
        dict(model.named_parameters())[WEIGHT].add_(torch.from_numpy(scale * b @ a))
        return model(torch.tensor([ids])).logits[0, -1:].numpy()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_an_adapter_equals_its_merged_weights(load_session, tiny, token_ids, adapter, factors, scale):
    checkpoint, path = tiny
    context = load_session(path, adapters=(Adapter(str(adapter), scale),)).opened.context
    ids = token_ids[:40]
    context.fill(ids, lambda *progress: None)
    merged = merged_logits(checkpoint, ids, factors, scale)
    assert relative_error(context.logits()[None], merged) < 1e-4
    assert relative_error(merged, merged_logits(checkpoint, ids, factors, 0.0)) > 1e-2


@pytest.fixture(scope="module")
def adapters(tiny, tmp_path_factory):
    """Make two adapters of the tiny model: PEFT's folders and the converted files."""
    folder, made = tmp_path_factory.mktemp("adapters"), []
    for seed, name in enumerate("ab"):
        made.append(make_adapter(folder / name, tiny[0], seed=seed))
    return [(path, convert_lora(path, tiny[0], path.with_suffix(".gguf")).path) for path in made]


def evaluate(session, ids):
    """Give the logits after `ids`, and how many of them did not have to be evaluated."""
    reused = session.opened.context.fill(ids, lambda *progress: None)
    return session.opened.context.logits(), reused


def use(session, *adapters):
    session.use_adapters(UseAdapters(tuple(Adapter(str(path), scale) for path, scale in adapters)))


def test_adapters_are_switched_without_loading_the_model_again(load_session, tiny, token_ids, adapters):
    ids = token_ids[:30]
    session = load_session(tiny[1])
    model = session.opened.model.handle
    plain, _ = evaluate(session, ids)
    for number, scale in ((0, 1.0), (1, 1.0), (1, 0.25)):
        folder, path = adapters[number]
        use(session, (path, scale))
        logits, reused = evaluate(session, ids)
        assert reused == 0  # keys and values of the other adapters are of no use
        assert relative_error(logits, peft_logits(tiny[0], folder, ids, scale)[-1]) < 1e-4
    use(session)
    again, _ = evaluate(session, ids)
    np.testing.assert_array_equal(again, plain)
    assert session.opened.model.handle is model


def test_the_same_adapters_keep_the_conversation(load_session, tiny, token_ids, adapters):
    session = load_session(tiny[1])
    use(session, (adapters[0][1], 1.0), (adapters[1][1], 0.5))
    first, _ = evaluate(session, token_ids[:30])
    use(session, (adapters[1][1], 0.5), (adapters[0][1], 1.0))
    second, reused = evaluate(session, token_ids[:30])
    assert reused == 29
    assert relative_error(second, first) < 1e-5


def test_a_file_named_twice_counts_twice(load_session, tiny, token_ids, adapters):
    session = load_session(tiny[1])
    use(session, (adapters[0][1], 0.5), (adapters[0][1], 0.5))
    twice, _ = evaluate(session, token_ids[:30])
    use(session, (adapters[0][1], 1.0))
    once, _ = evaluate(session, token_ids[:30])
    assert relative_error(twice, once) < 1e-5


def test_a_changed_file_is_read_again(load_session, tiny, token_ids, adapters, tmp_path):
    path = tmp_path / "adapter.gguf"
    path.write_bytes(adapters[0][1].read_bytes())
    session = load_session(tiny[1], adapters=(Adapter(str(path)),))
    evaluate(session, token_ids[:30])
    path.write_bytes(adapters[1][1].read_bytes() + bytes(32))
    use(session, (path, 1.0))
    logits, _ = evaluate(session, token_ids[:30])
    assert relative_error(logits, peft_logits(tiny[0], adapters[1][0], token_ids[:30])[-1]) < 1e-4


@pytest.mark.parametrize(
    ("damage", "code", "reason"),
    [
        (lambda path: path.unlink(), "model_not_found", "no adapter"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "model_invalid", "cut off"),
        (lambda path: path.write_bytes(b"nonsense"), "model_invalid", "not a usable GGUF file"),
    ],
)
def test_what_cannot_be_loaded_leaves_those_in_use(
    load_session, tiny, token_ids, adapters, tmp_path, damage, code, reason
):
    session = load_session(tiny[1], adapters=(Adapter(str(adapters[0][1])),))
    before, _ = evaluate(session, token_ids[:30])
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(adapters[1][1].read_bytes())
    damage(bad)
    with pytest.raises(EngineError, match=reason) as caught:
        use(session, (adapters[1][1], 1.0), (bad, 1.0))
    assert caught.value.code == code and caught.value.remedy
    after, reused = evaluate(session, token_ids[:30])
    assert reused == 29
    assert relative_error(after, before) < 1e-5


def test_an_adapter_of_another_layout_is_refused(load_session, tiny, windowed, tmp_path):
    checkpoint, _ = windowed
    other = convert_lora(make_adapter(tmp_path / "other", checkpoint), checkpoint, tmp_path / "other.gguf").path
    with pytest.raises(EngineError, match="architecture 'granite_swa', not 'phi3'"):
        use(load_session(tiny[1]), (other, 1.0))


def test_adapters_need_a_model(load_session, tiny):
    session = load_session(tiny[1])
    session.unload()
    with pytest.raises(EngineError, match="No model is loaded"):
        use(session)


def test_pytorch_takes_no_adapters(load_session, small, adapters):
    session = load_session(small[1], runtime="pytorch")
    use(session)
    with pytest.raises(EngineError, match="takes no adapters"):
        use(session, (adapters[0][1], 1.0))


def test_a_model_is_no_adapter_and_an_adapter_no_model(load_session, tiny, adapters):
    session = load_session(tiny[1])
    with pytest.raises(EngineError, match="no LoRA adapter"):
        use(session, (tiny[1], 1.0))
    with pytest.raises(EngineError, match="a LoRA adapter, not a model"):
        load_session(adapters[0][1])


def test_an_adapter_counts_beyond_the_line_of_longrope_too(load_session, longrope, token_ids, tmp_path):
    """Contexts that grow and that cross the line are opened anew; each must have the adapter."""
    checkpoint, path = longrope
    folder = make_adapter(tmp_path / "adapter", checkpoint)
    adapter = convert_lora(folder, checkpoint, tmp_path / "adapter.gguf").path
    merged = load_session(convert(checkpoint, tmp_path / "merged.gguf", outtype="f32", adapter=folder).path)
    session = load_session(path)
    use(session, (adapter, 1.0))
    for length in (40, 290, 700):
        ours, _ = evaluate(session, token_ids[:length])
        theirs, _ = evaluate(merged, token_ids[:length])
        assert relative_error(ours, theirs) < 1e-3


def test_an_answer_is_the_merged_models(load_session, tiny, adapters, tmp_path):
    def answer(session):
        request = Chat((Message("user", "Hello"),), Sampling(temperature=0), max_tokens=12)
        nothing = {"on_text": lambda text, ids: None, "on_dropped": lambda _: None, "on_progress": lambda *_: None}
        return session.chat(request, Cancellation(), arrived=0.0, **nothing).text

    merged = convert(tiny[0], tmp_path / "merged.gguf", outtype="f32", adapter=adapters[0][0]).path
    session = load_session(tiny[1])
    plain = answer(session)
    use(session, (adapters[0][1], 1.0))
    assert answer(session) == answer(load_session(merged)) != plain
    use(session)
    assert answer(session) == plain
