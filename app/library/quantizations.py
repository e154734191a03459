"""List the quantisations that an import offers, the recommended one first."""

from PySide6.QtCore import QCoreApplication

# The import job takes every file type of llama.cpp; these are the ones worth choosing between.
QUANTIZATIONS = ("q4_k_m", "q5_k_m", "q6_k", "q8_0", "q4_0", "q3_k_m", "bf16")
UNQUANTIZED = ("f32", "f16", "bf16")


def explanation(quantization: str) -> str:
    """Say in one line what choosing a quantisation means."""
    tr = QCoreApplication.translate
    return {
        "q4_k_m": tr("Library", "A good balance of size, speed and quality."),
        "q5_k_m": tr("Library", "A little larger, a little closer to the original."),
        "q6_k": tr("Library", "Very close to the original."),
        "q8_0": tr("Library", "Practically the original, at half its size."),
        "q4_0": tr("Library", "Small and fast; weaker than Q4_K_M."),
        "q3_k_m": tr("Library", "For little memory; answers get noticeably worse."),
        "bf16": tr("Library", "The original weights, for measuring and training."),
    }[quantization]
