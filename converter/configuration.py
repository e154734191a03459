"""Read numbers from a config.json that may be old, new or wrong."""

import math
from dataclasses import dataclass, replace
from typing import Any

from converter.errors import ConversionError

Config = dict[str, Any]
MAX_SIZE = 1 << 31
DEFAULT_ORIGINAL_CONTEXT = 4096
LONG_ROPE_TYPES = ("su", "longrope", "yarn")  # transformers reads all three as LongRoPE for this family


def wrong(key: str, value: Any, wanted: str) -> ConversionError:
    """Make the error for a setting that cannot be used."""
    return ConversionError(
        "model_unsupported", f"config.json has {key} = {value!r}, but {wanted} is needed.", "Check config.json."
    )


def size(config: Config, key: str, default: int | None = None) -> int:
    """Return the positive whole number at `key`."""
    value = config.get(key)
    value = default if value is None else value
    if type(value) is not int or not 0 < value < MAX_SIZE:
        raise wrong(key, value, "a positive whole number")
    return value


def number(config: Config, key: str, default: float) -> float:
    """Return the finite number at `key`."""
    value = config.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise wrong(key, value, "a number")
    return float(value)


def optional_size(config: Config, key: str) -> int | None:
    """Return the positive whole number at `key`, or None where it is missing or null."""
    return None if config.get(key) is None else size(config, key)


@dataclass(frozen=True)
class DecoderSize:
    """Hold the sizes every decoder of the family has."""

    vocabulary: int
    embedding: int
    feed_forward: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    context: int

    @property
    def head(self) -> int:
        """Return the length of one attention head."""
        return self.embedding // self.n_heads

    @property
    def query(self) -> int:
        """Return how many rows all query heads have."""
        return self.head * self.n_heads

    @property
    def key_value(self) -> int:
        """Return how many rows all key heads have, and all value heads."""
        return self.head * self.n_kv_heads


def decoder_size(config: Config, feed_forward_key: str = "intermediate_size") -> DecoderSize:
    """Read the sizes of a decoder and check that they fit together."""
    n_heads = size(config, "num_attention_heads")
    sizes = DecoderSize(
        vocabulary=size(config, "vocab_size"),
        embedding=size(config, "hidden_size"),
        feed_forward=size(config, feed_forward_key),
        n_layers=size(config, "num_hidden_layers"),
        n_heads=n_heads,
        n_kv_heads=size(config, "num_key_value_heads", n_heads),
        context=size(config, "max_position_embeddings"),
    )
    if sizes.embedding % n_heads or sizes.head % 2:
        raise wrong("hidden_size", sizes.embedding, f"a number that {n_heads} heads of even length share")
    if n_heads % sizes.n_kv_heads:
        raise wrong("num_key_value_heads", sizes.n_kv_heads, f"a divisor of {n_heads}")
    if config.get("head_dim") not in (None, sizes.head):
        raise wrong("head_dim", config["head_dim"], str(sizes.head))
    return sizes


@dataclass(frozen=True)
class Rope:
    """Describe rotary embeddings: how many values of a head turn, how fast, and LongRoPE's factors if there are any.

    Cosine and sine are scaled by `attention_factor`, and by `long_attention_factor` where the long factors are in use.
    """

    dimensions: int
    theta: float
    original_context: int
    short_factors: tuple[float, ...] | None
    long_factors: tuple[float, ...] | None
    attention_factor: float
    long_attention_factor: float


def read_rope(
    config: Config, sizes: DecoderSize, default_theta: float = 10000.0, *, nested_original: bool = True
) -> Rope:
    """Read rotary embeddings in the spelling of the Hub (`rope_scaling`) or of transformers 5 (`rope_parameters`).

    `nested_original` says whether `original_max_position_embeddings` may stand there too, and not only in the config.
    """
    settings = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if not isinstance(settings, dict):
        raise wrong("rope_scaling", settings, "an object")
    theta = number(settings, "rope_theta", number(config, "rope_theta", default_theta))
    if theta <= 0:
        raise wrong("rope_theta", theta, "a positive number")
    partial = number(settings, "partial_rotary_factor", number(config, "partial_rotary_factor", 1.0))
    dimensions = int(sizes.head * partial)
    if not 0 < dimensions <= sizes.head or dimensions % 2:
        raise wrong("partial_rotary_factor", partial, "a fraction that leaves an even number of values")
    kind = settings.get("rope_type", settings.get("type", "default"))
    plain = kind in ("default", None)
    usual = sizes.context if plain else DEFAULT_ORIGINAL_CONTEXT
    nested = optional_size(settings, "original_max_position_embeddings") if nested_original else None
    original = size(config, "original_max_position_embeddings", nested or usual)
    if plain:
        return Rope(dimensions, theta, original, None, None, 1.0, 1.0)
    if original < 2:
        raise wrong("original_max_position_embeddings", original, "a number above 1")
    if kind not in LONG_ROPE_TYPES:
        raise wrong("the type of rope_scaling", kind, "one of " + ", ".join(LONG_ROPE_TYPES))
    short, long = (_factors(settings, key, dimensions // 2) for key in ("short_factor", "long_factor"))
    factor = _attention_factor(settings, sizes.context, original)
    return Rope(dimensions, theta, original, short, long, factor, factor)


def with_mscales(rope: Rope, config: Config, short_default: float | None = None) -> Rope:
    """Scale cosine and sine by the settings `short_mscale` and `long_mscale`; numbers of 0 or less count as missing."""
    if rope.short_factors is None:
        return rope
    settings = config.get("rope_scaling") or config.get("rope_parameters") or {}
    short, long = number(settings, "short_mscale", 0), number(settings, "long_mscale", 0)
    usual = rope.attention_factor if short_default is None else short_default
    return replace(
        rope,
        attention_factor=short if short > 0 else usual,
        long_attention_factor=long if long > 0 else rope.attention_factor,
    )


def _factors(settings: Config, key: str, count: int) -> tuple[float, ...]:
    values = settings.get(key)
    if not isinstance(values, list) or len(values) != count:
        raise wrong(key, "nothing" if values is None else "a list of another length", f"a list of {count} numbers")
    factors = tuple(number({key: value}, key, 1.0) for value in values)
    if min(factors) <= 0:
        raise wrong(key, min(factors), "only positive numbers")
    return factors


def _attention_factor(settings: Config, context: int, original: int) -> float:
    """Compute LongRoPE's scale of cosine and sine, https://arxiv.org/abs/2402.13753."""
    factor = number(settings, "factor", context / original)
    usual = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    return number(settings, "attention_factor", usual)
