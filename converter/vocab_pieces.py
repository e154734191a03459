"""Read the learned pieces of a tokenizer: a sentencepiece model, or the byte pair encoding in tokenizer.json."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converter.checkpoint import Checkpoint
from converter.errors import ConversionError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
SPACE = "\u2581"

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LAST_RULES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_WORD = r"[^\r\n\p{L}\p{N}]?"
# Patterns that split text before byte pair encoding, and llama.cpp's names for them. The last pattern is GPT-4o's, but
# llama.cpp's "gpt-4o" tears combining marks off their letters.
SPLIT_PATTERNS = {
    f"{_CONTRACTIONS}|{_WORD}" r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" f"{_LAST_RULES}": "dbrx",
    f"{_CONTRACTIONS}|{_WORD}" r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" f"{_LAST_RULES}": "qwen2",
    f"{_WORD}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_WORD}{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" f"{_LAST_RULES}": "granite-embed-multi-97m",
}  # fmt: skip


@dataclass(frozen=True)
class AddedToken:
    """Describe a token outside the learned pieces with the flags `tokenizer.json` gives it."""

    id: int
    content: str
    lstrip: bool = False
    rstrip: bool = False
    special: bool = True
    normalized: bool = False
    single_word: bool = False


@dataclass(frozen=True)
class Pieces:
    """Hold learned pieces by id; `model` is `llama` (sentencepiece style) or `gpt2` (byte level)."""

    model: str
    pre: str
    tokens: Sequence[str]
    types: Sequence[int]
    scores: Sequence[float] | None
    merges: tuple[str, ...] | None
    adds_bos: bool
    prefix: str
    warnings: tuple[str, ...] = ()
    added_tokens: tuple[AddedToken, ...] = ()


def read_pieces(checkpoint: Checkpoint) -> Pieces | None:
    """Read the pieces of a checkpoint; None where it has no tokenizer.

    The scores of a sentencepiece model are kept where it agrees with tokenizer.json, which the reference reads.
    """
    tokenizer = checkpoint.json("tokenizer.json")
    fast = _from_tokenizer_json(tokenizer) if tokenizer else None
    sentencepiece_model = checkpoint.folder / "tokenizer.model"
    if not sentencepiece_model.is_file() or (fast is not None and fast.model != "llama"):
        return fast
    slow = _from_sentencepiece(sentencepiece_model)
    if fast is None:
        return slow
    if list(slow.tokens) != list(fast.tokens[: len(slow.tokens)]):
        return fast
    return replace(slow, prefix=fast.prefix, adds_bos=fast.adds_bos, warnings=fast.warnings)


def _unsupported(what: str) -> ConversionError:
    return ConversionError(
        "model_unsupported",
        f"The tokenizer of this checkpoint cannot be expressed in llama.cpp: {what}.",
        "Phi-3 models and their fine-tunes come with a tokenizer that can.",
    )


def _from_sentencepiece(path: Path) -> Pieces:
    import sentencepiece  # a quarter of all conversions get along without it

    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError):
        raise ConversionError("model_invalid", f"{path.name} is damaged: it is no sentencepiece model.") from None
    ids = range(model.get_piece_size())

    kinds = ((model.is_unknown, UNKNOWN), (model.is_control, CONTROL), (model.is_unused, UNUSED), (model.is_byte, BYTE))
    return Pieces(
        model="llama",
        pre="default",
        tokens=[model.id_to_piece(number) for number in ids],
        types=[next((kind for is_kind, kind in kinds if is_kind(number)), NORMAL) for number in ids],
        scores=[model.get_score(number) for number in ids],
        merges=None,
        adds_bos=True,
        prefix="always",
    )


def _from_tokenizer_json(tokenizer: dict[str, Any]) -> Pieces:
    model = tokenizer.get("model") or {}
    vocab, merges = model.get("vocab"), model.get("merges")
    if model.get("type") not in ("BPE", None) or not isinstance(vocab, dict) or not isinstance(merges, list):
        raise _unsupported(f"it is of the kind {model.get('type')}")
    pairs = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else (merge[0], merge[1]) for merge in merges]
    tokens = [""] * (max(vocab.values(), default=-1) + 1)
    for token, number in vocab.items():
        tokens[number] = token
    warnings = tuple(
        f"The tokenizer normalises text ({name}), which llama.cpp does not."
        for name in _kinds(tokenizer.get("normalizer"))
        if name not in ("Prepend", "Replace")
    )
    build = _sentencepiece_style if model.get("byte_fallback") else _byte_level
    return replace(build(tokenizer, tokens, pairs), warnings=warnings)


def _sentencepiece_style(tokenizer: dict[str, Any], tokens: list[str], pairs: list[tuple[str, ...]]) -> Pieces:
    """Give each piece the score its merges rank it with: llama.cpp merges the pair that makes the best piece."""
    added = {entry["content"] for entry in tokenizer.get("added_tokens") or []}
    learned = [token for token in tokens if token not in added and _piece_type(token) == NORMAL]
    _check_merges_are_complete(learned, pairs)
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(pairs):
        ranks.setdefault(left + right, rank)
    return Pieces(
        model="llama",
        pre="default",
        tokens=tokens,
        types=[_piece_type(token) for token in tokens],
        scores=[-float(ranks.get(token, len(pairs) + number)) for number, token in enumerate(tokens)],
        merges=None,
        adds_bos=_template_adds_bos(tokenizer, otherwise=True),
        prefix=_prefix(tokenizer),
    )


def _check_merges_are_complete(tokens: list[str], pairs: list[tuple[str, ...]]) -> None:
    """Check that every split of a piece into two pieces is a merge, and that merges of one piece rank side by side."""
    known, merges = set(tokens), set(pairs)
    last_rank: dict[str, int] = {}
    for rank, (left, right) in enumerate(pairs):
        if last_rank.get(left + right, rank - 1) != rank - 1:
            raise _unsupported("its merges are ranked in a way scores cannot express")
        last_rank[left + right] = rank
    for token in tokens:
        splits = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        if any(left in known and right in known and (left, right) not in merges for left, right in splits):
            raise _unsupported(f"it makes the piece {token!r} only from some of its parts")


def _piece_type(token: str) -> int:
    if re.fullmatch(r"<0x[0-9A-F]{2}>", token):
        return BYTE
    return UNKNOWN if token == "<unk>" else UNUSED if token == "" else NORMAL


def _byte_level(tokenizer: dict[str, Any], tokens: list[str], pairs: list[tuple[str, ...]]) -> Pieces:
    return Pieces(
        model="gpt2",
        pre=_pre_tokenizer_name(tokenizer),
        tokens=tokens,
        types=[NORMAL if token else UNUSED for token in tokens],
        scores=None,
        merges=tuple(" ".join(pair) for pair in pairs),
        adds_bos=_template_adds_bos(tokenizer, otherwise=False),
        prefix="never",
    )


def _steps(component: Any) -> list[dict[str, Any]]:
    """Return the steps of a normalizer or pre-tokenizer, which may be a sequence of steps."""
    if not isinstance(component, dict):
        return []
    for key in ("normalizers", "pretokenizers", "processors"):
        if isinstance(component.get(key), list):
            return [step for part in component[key] for step in _steps(part)]
    return [component]


def _kinds(component: Any) -> list[str]:
    return [str(step.get("type")) for step in _steps(component)]


def _prefix(tokenizer: dict[str, Any]) -> str:
    if "Prepend" in _kinds(tokenizer.get("normalizer")):
        return "always"
    for step in _steps(tokenizer.get("pre_tokenizer")):
        if step.get("type") == "Metaspace":
            scheme = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never")
            return scheme if scheme in ("always", "first", "never") else "always"
    return "never"


def _template_adds_bos(tokenizer: dict[str, Any], otherwise: bool) -> bool:
    for step in _steps(tokenizer.get("post_processor")):
        if step.get("type") == "TemplateProcessing":
            parts = step.get("single") or [{}]
            return "SpecialToken" in parts[0]
    return otherwise


def _pre_tokenizer_name(tokenizer: dict[str, Any]) -> str:
    steps = _steps(tokenizer.get("pre_tokenizer"))
    kinds = [step.get("type") for step in steps]
    if "ByteLevel" not in kinds:
        raise _unsupported("it is no byte level encoding and has no byte tokens")
    patterns = [_canonical(step["pattern"]["Regex"]) for step in steps if "Regex" in (step.get("pattern") or {})]
    if len(patterns) == 1 and patterns[0] in SPLIT_PATTERNS:
        name = SPLIT_PATTERNS[patterns[0]]
        return "llama-bpe" if name == "dbrx" and tokenizer["model"].get("ignore_merges") else name
    if not patterns and any(step.get("type") == "ByteLevel" and step.get("use_regex", True) for step in steps):
        return "smollm" if any(step.get("individual_digits") for step in steps) else "gpt-2"
    raise _unsupported("it splits text by an unknown pattern")


def _canonical(pattern: str) -> str:
    """Undo spellings that match the same text: possessive quantifiers, and the contractions of newer tiktoken."""
    pattern = re.sub(r"([+*?]|\{\d+,\d*\})\+", r"\1", pattern).replace("'(?i:[sdmt]|ll|ve|re)", _CONTRACTIONS)
    return pattern.replace(r"|\s*[\r\n]|", r"|\s*[\r\n]+|")
