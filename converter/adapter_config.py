"""Read the settings of a PEFT LoRA adapter (adapter_config.json) and refuse what changes a model in other ways."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.checkpoint import read_json_object
from converter.errors import ConversionError

CONFIG_FILE = "adapter_config.json"
MAX_RANK = 1 << 16
MAX_PATTERNS = 4096
MAX_PATTERN_LENGTH = 256
# Regular expressions beyond these can take longer than any training.
MAX_QUANTIFIERS = 4
QUANTIFIER, QUANTIFIED_GROUP = re.compile(r"(?<!\\)[*+?{]"), re.compile(r"\)[*+?{]")
# Settings that make PEFT compute something else than W + scale * B A.
OTHER_METHODS = (
    "fan_in_fan_out",
    "use_qalora",
    "use_bdlora",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
)


@dataclass(frozen=True)
class AdapterConfig:
    """Hold the settings of an adapter; patterns are of PEFT's: regular expressions for the ends of module names.

    `token_indices` tells, by the module's last name, which rows of it were trained; `ties_embeddings` whether a tied
    output matrix follows the embeddings.
    """

    rank: int
    alpha: float
    rank_pattern: dict[str, Any]
    alpha_pattern: dict[str, Any]
    use_rslora: bool
    use_dora: bool
    token_indices: dict[str, tuple[int, ...]]
    ties_embeddings: bool
    base_name: str

    def rank_of(self, module: str) -> int:
        """Return the rank of the factors of a module."""
        return _whole(_matching(self.rank_pattern, module, self.rank), "rank_pattern")

    def scale_of(self, module: str) -> float:
        """Return what the product of a module's factors is multiplied by."""
        alpha = _number(_matching(self.alpha_pattern, module, self.alpha), "alpha_pattern")
        rank = self.rank_of(module)
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank


def read_adapter_config(folder: Path) -> AdapterConfig:
    """Read the settings in the folder of an adapter."""
    values = read_json_object(folder / CONFIG_FILE)
    if not values:
        raise ConversionError(
            "model_invalid", f"{folder.name} is no LoRA adapter: it has no {CONFIG_FILE}.", "Choose the folder of one."
        )
    kind = values.get("peft_type")
    if kind != "LORA":
        raise ConversionError(
            "model_unsupported", f"{folder.name} is an adapter of the kind {kind!r}.", "Only LoRA can be used."
        )
    other = next((key for key in OTHER_METHODS if values.get(key)), None)
    if other is not None:
        raise ConversionError(
            "model_unsupported", f"The adapter was trained with {other}, which is not supported.", "Train plain LoRA."
        )
    base = values.get("base_model_name_or_path")
    return AdapterConfig(
        rank=_whole(values.get("r"), "r"),
        alpha=_number(values.get("lora_alpha"), "lora_alpha"),
        rank_pattern=_patterns(values, "rank_pattern"),
        alpha_pattern=_patterns(values, "alpha_pattern"),
        use_rslora=values.get("use_rslora") is True,
        use_dora=values.get("use_dora") is True,
        token_indices=_token_indices(values.get("trainable_token_indices")),
        ties_embeddings=values.get("ensure_weight_tying") is True,
        base_name=base if isinstance(base, str) else "",
    )


def damaged_config(key: str) -> ConversionError:
    """Make the error for a setting that cannot be used."""
    return ConversionError("model_invalid", f"{CONFIG_FILE} has no usable {key}.", "Save the adapter again.")


def _matching(patterns: dict[str, Any], module: str, otherwise: Any) -> Any:
    """Return the value of the first pattern that is a module's name or the end of it, as PEFT chooses it."""
    for pattern, value in patterns.items():
        try:
            if re.match(rf"(.*\.)?({pattern})$", module):
                return value
        except re.error:
            raise damaged_config("pattern of modules") from None
    return otherwise


def _patterns(values: dict[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key) or {}
    if not isinstance(found, dict) or len(found) > MAX_PATTERNS or not all(_is_simple(pattern) for pattern in found):
        raise damaged_config(key)
    return found


def _is_simple(pattern: str) -> bool:
    quantifiers = len(QUANTIFIER.findall(pattern))
    short = len(pattern) <= MAX_PATTERN_LENGTH and quantifiers <= MAX_QUANTIFIERS
    return short and QUANTIFIED_GROUP.search(pattern) is None


def _token_indices(value: Any) -> dict[str, tuple[int, ...]]:
    if value is None:
        return {}
    by_module = value if isinstance(value, dict) else {"embed_tokens": value}
    for indices in by_module.values():
        if not isinstance(indices, list) or not all(type(index) is int and index >= 0 for index in indices):
            raise damaged_config("trainable_token_indices")
    return {name: tuple(indices) for name, indices in by_module.items()}


def _whole(value: Any, key: str) -> int:
    if type(value) is not int or not 0 < value <= MAX_RANK:
        raise damaged_config(key)
    return value


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise damaged_config(key)
    return float(value)
