"""Tell what a GGUF file of a LoRA adapter changes, and whether it fits a model file."""

from collections.abc import Iterator

from converter.gguf_file import GGUFHeader, MetadataType
from converter.metadata import ADAPTER_BASE_KEY, BASE_FINGERPRINT_KEY, FINGERPRINT_KEY, SOURCE_NAME_KEY

TYPE_KEY, ADAPTER = "general.type", "adapter"
METHOD_KEY, LORA = "adapter.type", "lora"
ALPHA_KEY = "adapter.lora.alpha"
A_SUFFIX, B_SUFFIX = ".lora_a", ".lora_b"
EMBEDDING = "token_embd.weight"
# llama.cpp leaves these out.
IGNORED = "_norm.weight"
NUMBER_TYPES = ("f32", "f16", "bf16", "q8_0")


def is_adapter(header: GGUFHeader) -> bool:
    """Tell whether a file is an adapter and not a model."""
    return header.text(TYPE_KEY) == ADAPTER


def rank(header: GGUFHeader) -> int:
    """Return the largest rank of the changes of an adapter."""
    return max((info.shape[-1] for name, info in header.tensors.items() if name.endswith(B_SUFFIX)), default=0)


def base_name(header: GGUFHeader) -> str:
    """Return the name of the model that an adapter was trained on; empty where the file does not say."""
    return header.text(ADAPTER_BASE_KEY) or header.text("general.base_model.0.name")


def made_for(adapter: GGUFHeader, model: GGUFHeader) -> bool:
    """Tell whether an adapter was trained on the very weights that a model file was made of."""
    wanted = adapter.text(BASE_FINGERPRINT_KEY)
    return wanted != "" and wanted == model.text(FINGERPRINT_KEY)


def made_for_another(adapter: GGUFHeader, model: GGUFHeader) -> bool:
    """Tell whether an adapter was trained on other weights; copies in another precision go by their name."""
    wanted, known = adapter.text(BASE_FINGERPRINT_KEY), model.text(FINGERPRINT_KEY)
    if not wanted or not known or wanted == known:
        return False
    return base_name(adapter) != model.text(SOURCE_NAME_KEY)


def problem_with(adapter: GGUFHeader, model: GGUFHeader) -> str | None:
    """Say in words why an adapter cannot be added to a model; None where it can."""
    if not is_adapter(adapter) or adapter.text(METHOD_KEY) != LORA:
        return "it is no LoRA adapter"
    if adapter.architecture != model.architecture:
        return f"it is for models of the architecture {adapter.architecture!r}, not {model.architecture!r}"
    alpha = adapter.metadata.get(ALPHA_KEY)
    if alpha is not None and alpha.type is not MetadataType.FLOAT32:
        return "its strength is damaged"
    return next(_misfits(adapter, model), None)


def _misfits(adapter: GGUFHeader, model: GGUFHeader) -> Iterator[str]:
    names = {name.removesuffix(A_SUFFIX).removesuffix(B_SUFFIX) for name in adapter.tensors}
    if not names:
        yield "it is empty"
    for name in sorted(name for name in names if not name.endswith(IGNORED)):
        a, b = adapter.tensors.get(name + A_SUFFIX), adapter.tensors.get(name + B_SUFFIX)
        changed = model.tensors.get(name)
        if a is None or b is None or {a.type.name, b.type.name} - set(NUMBER_TYPES):
            yield f"its change of {name} is damaged"
        elif changed is None:
            yield f"the model has no {name}"
        elif name == EMBEDDING:
            if (a.shape[0], b.shape[0], a.shape[-1]) != (*changed.shape, b.shape[-1]):
                yield f"{name} has another shape"
        elif (*b.shape[:-1], a.shape[-1]) != changed.shape or a.shape != (*b.shape[:-2], b.shape[-1], a.shape[-1]):
            yield f"{name} has another shape"
