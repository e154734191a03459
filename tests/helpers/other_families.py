"""Make tiny models of other families, with vocabularies and templates of their kind."""

from pathlib import Path

from converter.gguf_file import MetadataType
from converter.gguf_writer import boolean, numbers, string, strings, uint32
from tests.converter.test_starter import VOCABULARY, llama_layout

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INST = "{{ bos_token }}{% for message in messages %}[INST] {{ message.content }} [/INST]{% endfor %}"


def qwen_like(path: Path) -> Path:
    """Write a model with a byte-level vocabulary as Qwen has it: id = byte, then 256 `Hi`, 257 to 259 chat tokens."""
    tokens = [*_byte_letters(), "Hi", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    types = [NORMAL] * 257 + [CONTROL] * 3
    special = {"tokenizer.ggml.eos_token_id": uint32(259), "tokenizer.ggml.add_bos_token": boolean(False)}
    merges = {"tokenizer.ggml.merges": strings(["H i"]), "tokenizer.ggml.pre": string("qwen2")}
    return llama_layout(path, **_vocabulary("gpt2", tokens, types, CHATML), **merges, **special)


def llama_like(path: Path) -> Path:
    """Write a model with a SentencePiece vocabulary as Llama has it: 0 to 2 special, then 256 bytes, then pieces."""
    pieces = ["▁", "H", "i", "▁H", "▁Hi", "[", "]", "/", "I", "N", "S", "T"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(pieces)
    scores = numbers([0.0] * 259 + [-1.0 - index for index in range(len(pieces))] + _rest(tokens, 0.0), FLOAT32)
    special = {"tokenizer.ggml.bos_token_id": uint32(1), "tokenizer.ggml.eos_token_id": uint32(2)}
    vocabulary = _vocabulary("llama", tokens, types, INST)
    return llama_layout(path, **vocabulary, **special, **{"tokenizer.ggml.scores": scores})


FLOAT32 = MetadataType.FLOAT32


def _vocabulary(model: str, tokens: list[str], types: list[int], template: str) -> dict[str, object]:
    fillers = [f"filler {index}" for index in range(len(tokens), VOCABULARY)]
    return {
        "tokenizer.ggml.model": string(model),
        "tokenizer.ggml.tokens": strings([*tokens, *fillers]),
        "tokenizer.ggml.token_type": numbers(types + _rest(tokens, NORMAL), MetadataType.INT32),
        "tokenizer.chat_template": string(template),
    }


def _rest(tokens: list[str], value: float) -> list:
    return [value] * (VOCABULARY - len(tokens))


def _byte_letters() -> list[str]:
    """Return the letters that byte-level vocabularies spell bytes with, as GPT-2's encoder chose them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
