"""Put sizes and speeds into words."""

from PySide6.QtCore import QCoreApplication


def size_text(size_bytes: float) -> str:
    """Write a size as files are sized: `98 MB`, `2.4 GB`, `25 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        amount = size_bytes / factor
        if amount >= 0.95:
            return f"{amount:.1f} {unit}" if unit == "GB" and amount < 9.95 else f"{amount:.0f} {unit}"
    return f"{max(size_bytes, 0) / 1e3:.0f} kB"


def memory_text(memory_bytes: float) -> str:
    """Write an amount of memory in one unit, so that amounts compare: `0.3 GB`."""
    return f"{max(memory_bytes / 1e9, 0.1):.1f} GB" if memory_bytes < 9.95e9 else f"{memory_bytes / 1e9:.0f} GB"


def context_text(tokens: int) -> str:
    """Write a context length as models are named: `4k`, `128k`."""
    return f"{round(tokens / 1024)}k" if tokens >= 1024 else str(tokens)


def speed_text(tokens_per_second: float) -> str:
    """Write a measured speed: `105 tok/s`, `9.2 tok/s`."""
    digits = 0 if tokens_per_second >= 9.95 else 1
    return _translate("{} tok/s").format(f"{tokens_per_second:.{digits}f}")


def parameters_text(parameters: int) -> str:
    """Write a number of weights: `135 million parameters`, `3.8 billion parameters`."""
    if parameters >= 1e9:
        return _translate("{} billion parameters").format(f"{parameters / 1e9:.1f}")
    return _translate("{} million parameters").format(round(parameters / 1e6))


def fault_text(code: str) -> str:
    """Name a fault of a file in a few words; the whole sentence comes with it."""
    words = {
        "sliding_window": _translate("sliding window missing"),
        "long_rope_factors": _translate("long context broken"),
        "long_rope_scale": _translate("attention scale missing"),
        "moe_layer_norm": _translate("wrong norm"),
        "moe_router": _translate("wrong expert weights"),
        "moe_rope_scale": _translate("wrong attention scale"),
        "name_marker": _translate("reads chats wrongly"),
        "tokenizer": _translate("tokenizer missing"),
        "chat_template": _translate("chat template wrong"),
        "end_of_turn": _translate("does not stop"),
    }
    return words.get(code, _translate("has a fault"))


def _translate(text: str) -> str:
    return QCoreApplication.translate("Library", text)
