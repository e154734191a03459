"""Read the vocabulary of a checkpoint and bring it into the form llama.cpp keeps it in."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from converter.checkpoint import Checkpoint
from converter.errors import ConversionError
from converter.tiktoken_vocab import find_tiktoken_file, read_tiktoken
from converter.vocab_pieces import CONTROL, UNUSED, USER_DEFINED, AddedToken, Pieces, read_pieces

# What ends a turn, in the spellings of the family; these tokens stop a reply whatever the configuration says.
END_OF_TURN = ("<|end|>", "<|im_end|>")
NEXT_TURN = ("<|assistant|>",)
PHI3_ROLES = ("<|user|>", "<|assistant|>", "<|end|>")
PHI3_TEMPLATE = (
    "{% for message in messages %}{{'<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)


@dataclass(frozen=True)
class Vocabulary:
    """Hold everything a GGUF file tells about text and tokens.

    `prefix` says where the tokenizer puts a space in front of text: `always` (after every special token too), `first`
    (only where the whole text begins) or `never`. `special_ids` has `bos`, `eos`, `eot`, `unknown` and `padding`.
    """

    model: str
    pre: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    scores: tuple[float, ...] | None
    merges: tuple[str, ...] | None
    added_tokens: tuple[AddedToken, ...]
    special_ids: dict[str, int]
    stop_ids: tuple[int, ...]
    add_bos: bool
    add_eos: bool
    prefix: str
    chat_template: str | None
    warnings: tuple[str, ...]


def load_vocabulary(checkpoint: Checkpoint, size: int) -> Vocabulary | None:
    """Read the vocabulary of a model with `size` embeddings; None where the checkpoint has no tokenizer."""
    try:
        return _load(checkpoint, size)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ConversionError(
            "model_invalid",
            f"The tokenizer of {checkpoint.folder.name} is damaged: {type(error).__name__}, {error}.",
            "Download its tokenizer files again.",
        ) from error


def _load(checkpoint: Checkpoint, size: int) -> Vocabulary | None:
    settings = checkpoint.json("tokenizer_config.json")
    pieces = read_pieces(checkpoint)
    tiktoken_file = find_tiktoken_file(checkpoint.folder)
    if pieces is None and tiktoken_file is not None:
        pieces = read_tiktoken(tiktoken_file)
    if pieces is None:
        return None
    added = _added_tokens(checkpoint, settings, pieces)
    tokens, types = _token_list(pieces, added, size)
    ids = {token: number for number, token in enumerate(tokens)}
    special_ids = _special_ids(checkpoint, settings, ids)
    template, template_warnings = _chat_template(checkpoint, settings, ids)
    ignored = [token.content for token in added if token.id >= size]
    warnings = [f"Tokens without an embedding were left out: {', '.join(ignored)}."] if ignored else []
    return Vocabulary(
        model=pieces.model,
        pre=pieces.pre,
        tokens=tuple(tokens),
        types=tuple(types),
        scores=_scores(pieces, added, size),
        merges=pieces.merges,
        added_tokens=tuple(token for token in added if token.id < size),
        special_ids=special_ids,
        stop_ids=_stop_ids(checkpoint, special_ids, ids),
        add_bos=_adds(settings, "add_bos_token", pieces.adds_bos),
        add_eos=_adds(settings, "add_eos_token", False),
        prefix=pieces.prefix,
        chat_template=template,
        warnings=(*pieces.warnings, *warnings, *template_warnings),
    )


def added_tokens_json(added_tokens: Sequence[AddedToken]) -> str:
    """Return the added tokens with their flags as the JSON text kept in a GGUF file."""
    return json.dumps([asdict(token) for token in added_tokens], ensure_ascii=False)


def _added_tokens(checkpoint: Checkpoint, settings: dict[str, Any], pieces: Pieces) -> list[AddedToken]:
    """Collect added tokens; tokenizer.json, which the reference reads, has the last word."""
    found = {token.id: token for token in pieces.added_tokens}
    for content, number in checkpoint.json("added_tokens.json").items():
        found[number] = AddedToken(number, content)
    decoder = settings.get("added_tokens_decoder")
    for number, entry in (decoder if isinstance(decoder, dict) else {}).items():
        found[int(number)] = _added_token({"id": int(number), **entry})
    for entry in checkpoint.json("tokenizer.json").get("added_tokens") or []:
        found[int(entry["id"])] = _added_token(entry)
    return [found[number] for number in sorted(found)]


def _added_token(entry: dict[str, Any]) -> AddedToken:
    flags = {name: bool(entry.get(name)) for name in ("lstrip", "rstrip", "special", "normalized", "single_word")}
    return AddedToken(int(entry["id"]), str(entry["content"]), **flags)


def _token_list(pieces: Pieces, added: list[AddedToken], size: int) -> tuple[list[str], list[int]]:
    """Lay added tokens over the learned pieces and fill up to the number of embeddings."""
    tokens = [f"[PAD{number}]" for number in range(size)]
    types = [UNUSED] * size
    for number, (token, token_type) in enumerate(zip(pieces.tokens[:size], pieces.types, strict=False)):
        if token_type != UNUSED or token:
            tokens[number], types[number] = token, token_type
    for extra in added:
        if extra.id < size:
            tokens[extra.id] = extra.content
            types[extra.id] = CONTROL if extra.special else USER_DEFINED
    if len(set(tokens)) != size:
        twice = next(token for token in tokens if tokens.count(token) > 1)
        raise ConversionError("model_invalid", f"The tokenizer is damaged: it has the token {twice!r} twice.")
    return tokens, types


def _scores(pieces: Pieces, added: list[AddedToken], size: int) -> tuple[float, ...] | None:
    if pieces.scores is None:
        return None
    scores = [*pieces.scores[:size], *[-10000.0] * (size - len(pieces.scores))]
    for extra in added:
        if extra.id < size:
            scores[extra.id] = -1000.0
    return tuple(scores)


def _special_ids(checkpoint: Checkpoint, settings: dict[str, Any], ids: dict[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for role, key in (("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token"), ("padding", "pad_token")):
        content = settings.get(key)
        content = content.get("content") if isinstance(content, dict) else content
        number = ids.get(content) if isinstance(content, str) else _first(checkpoint.config.get(f"{key}_id"))
        if isinstance(number, int) and number < len(ids):
            found[role] = number
    end_of_turn = next((token for token in END_OF_TURN if token in ids), None)
    if end_of_turn is not None:
        found["eot"] = ids[end_of_turn]
    return found


def _stop_ids(checkpoint: Checkpoint, special_ids: dict[str, int], ids: dict[str, int]) -> tuple[int, ...]:
    stops = {special_ids[role] for role in ("eos", "eot") if role in special_ids}
    for source in (checkpoint.config, checkpoint.json("generation_config.json")):
        value = source.get("eos_token_id")
        stops.update(value if isinstance(value, list) else [value] if isinstance(value, int) else [])
    if all(token in ids for token in PHI3_ROLES):
        stops.update(ids[token] for token in NEXT_TURN)
    return tuple(sorted(stop for stop in stops if 0 <= stop < len(ids)))


def _first(value: Any) -> int | None:
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, int) else None


def _adds(settings: dict[str, Any], key: str, otherwise: bool) -> bool:
    value = settings.get(key)
    return value if isinstance(value, bool) else otherwise


def _chat_template(
    checkpoint: Checkpoint, settings: dict[str, Any], ids: dict[str, int]
) -> tuple[str | None, tuple[str, ...]]:
    """Find the chat template; a Phi-3 vocabulary without one gets the family's."""
    file = checkpoint.folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8"), ()
    template = settings.get("chat_template") or checkpoint.json("chat_template.json").get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default") or next(iter(named.values()), None)
    if isinstance(template, str) and template:
        return template, ()
    if all(token in ids for token in PHI3_ROLES):
        return PHI3_TEMPLATE, ("The checkpoint has no chat template; Phi-3's was added.",)
    return None, ("The checkpoint has no chat template: it can continue text, but not chat.",)
