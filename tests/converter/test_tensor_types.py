"""Test that a quantised conversion has the types and bytes of llama.cpp's own quantize on the same weights."""

from functools import partial

import pytest

from converter.convert import convert
from converter.errors import ConversionError
from converter.ggml_types import FILE_TYPES, TENSOR_TYPES, file_type
from converter.gguf_file import read_header
from converter.tensor_types import NEEDS_IMPORTANCE_MATRIX, ModelShape, check_file_type, choose_types
from tests.helpers.checkpoints import make_phi3, make_phimoe
from tests.helpers.quantizer import ggml_quantizer, llama_quantize

# Eight layers show the rules by layer; four query heads share a key head in one, none in the other. The odd sizes make
# every type fall back: 160 is a multiple of 32 but not of 256, 80 of none.
GROUPED_HEADS = {"hidden_size": 256, "intermediate_size": 256, "num_attention_heads": 8, "num_key_value_heads": 2}
EVERY_TYPE = {
    "grouped heads": GROUPED_HEADS | {"num_hidden_layers": 8},
    "tied, odd sizes": {
        "hidden_size": 160,
        "intermediate_size": 80,
        "num_hidden_layers": 9,
        "num_attention_heads": 4,
        "tie_word_embeddings": True,
    },
}
# The layouts with cut and stacked tensors, and sixteen layers for the one rule that needs them, each with the file
# types whose rules by tensor they could upset.
MIXTURES = ("q4_k_m", "q3_k_m", "q2_k", "iq4_xs", "mxfp4_moe")
LAYOUTS = {
    "sliding window": (partial(make_phi3, variant="mini-4k", num_hidden_layers=2, **GROUPED_HEADS), MIXTURES),
    "eight experts": (partial(make_phimoe, hidden_size=256, intermediate_size=256, num_hidden_layers=1), MIXTURES),
    "sixteen experts": (partial(make_phimoe, hidden_size=256, intermediate_size=32, num_local_experts=16), MIXTURES),
    "sixteen layers": (partial(make_phi3, num_hidden_layers=16, **GROUPED_HEADS), ("q3_k_m",)),
}
WRITABLE = [name for name in FILE_TYPES if name not in NEEDS_IMPORTANCE_MATRIX]


@pytest.fixture(scope="module", params=EVERY_TYPE.values(), ids=EVERY_TYPE.keys())
def checkpoint(request, tmp_path_factory):
    """Make a checkpoint of one shape and llama.cpp's starting point, its conversion to bf16."""
    folder = tmp_path_factory.mktemp("types")
    make_phi3(folder / "model", dtype="bfloat16", vocab_size=320, pad_token_id=0, tokenizer=False, **request.param)
    convert(folder / "model", folder / "start.gguf", outtype="bf16")
    return folder


@pytest.mark.parametrize("name", WRITABLE)
def test_types_and_bytes_equal_llama_cpps(checkpoint, tmp_path, name):
    columns = read_header(checkpoint / "start.gguf").tensors["token_embd.weight"].shape[-1]
    if name == "q1_0" and columns % TENSOR_TYPES["q1_0"].block:
        pytest.skip("llama.cpp has no smaller type for q1_0")
    assert_equal_to_llama_cpps(checkpoint, tmp_path, name)


@pytest.mark.parametrize(("make", "names"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_other_layouts_equal_llama_cpps_too(tmp_path, make, names):
    make(tmp_path / "model", vocab_size=320, pad_token_id=0, tokenizer=False)
    convert(tmp_path / "model", tmp_path / "start.gguf", outtype="f32")
    for name in names:
        assert_equal_to_llama_cpps(tmp_path, tmp_path, name)


def assert_equal_to_llama_cpps(checkpoint, tmp_path, name):
    """Quantise both ways and compare types and bytes."""
    convert(checkpoint / "model", tmp_path / "ours.gguf", outtype=name, quantizer=ggml_quantizer)
    llama_quantize(checkpoint / "start.gguf", tmp_path / "theirs.gguf", name)
    ours, theirs = read_header(tmp_path / "ours.gguf"), read_header(tmp_path / "theirs.gguf")
    our_types = {info.name: info.type.name for info in ours.tensors.values()}
    assert our_types == {info.name: info.type.name for info in theirs.tensors.values()}
    assert ours.get("general.file_type") == theirs.get("general.file_type") == FILE_TYPES[name].id
    for info in ours.tensors.values():
        assert _data(ours, info.name) == _data(theirs, info.name), info.name


def _data(header, name):
    info = header.tensors[name]
    return header.path.read_bytes()[info.offset : info.offset + info.nbytes]


@pytest.mark.parametrize("name", NEEDS_IMPORTANCE_MATRIX)
def test_types_that_need_an_importance_matrix_are_refused(name):
    with pytest.raises(ConversionError, match="importance matrix"):
        check_file_type(file_type(name), has_quantizer=True)


def test_types_that_need_a_quantizer_are_refused_without():
    with pytest.raises(ConversionError, match="q4_k_m"):
        check_file_type(file_type("q4_k_m"), has_quantizer=False)
    check_file_type(file_type("q8_0"), has_quantizer=False)


def test_an_unknown_file_type_is_named():
    with pytest.raises(ConversionError, match="'q9_z' is not a file type"):
        file_type("q9_z")


def test_eight_experts_get_more_bits_for_the_attention():
    names = ["token_embd", "output", "blk.0.attn_k", "blk.0.attn_v", "blk.0.attn_output", "blk.0.ffn_gate_inp"]
    tensors = [(f"{name}.weight", (256, 256)) for name in names] + [("blk.0.ffn_down_exps.weight", (8, 256, 256))]
    types = choose_types(tensors, file_type("q4_k_m"), ModelShape(8, 8, 8, n_experts=8))
    assert [types[name].name for name, _ in tensors] == ["q4_k", "q6_k", "q8_0", "q8_0", "q5_k", "f32", "q6_k"]


def test_ids_and_sizes_of_types_are_ggmls():
    from tests.helpers.quantizer import ggml_type_facts

    assert {name: (kind.id, kind.block, kind.block_bytes) for name, kind in TENSOR_TYPES.items()} == ggml_type_facts()
