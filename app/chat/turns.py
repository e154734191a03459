"""Put a chat into the engine's terms."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeGuard

from app.settings import Values
from app.storage.messages import Message
from engine.errors import EngineError
from engine.pictures.stored_picture import Detail
from engine.protocol import MAX_ADAPTER_SCALE, Adapter, Role, Sampling
from engine.protocol import Message as Turn

# What a chat may set for itself; everything else comes from the settings.
OWN_VALUES = ("temperature", "top_p", "top_k", "min_p")


def turns_of(system_prompt: str, path: Sequence[Message], *, with_pictures: bool = True) -> tuple[Turn, ...]:
    """Return the turns of a chat up to its last question.

    Answers that came to nothing are left out, and questions that then follow each other become one turn: many
    templates accept nothing but turns that alternate. Pictures whose files are gone, or all of them for a model that
    sees none, are left out too; of a message that is nothing else, the descriptions stay.
    """
    turns = [Turn("system", system_prompt.strip())] if system_prompt.strip() else []
    told = [message for message in path if (message.text or message.pictures) and not message.streaming]
    for role, group in groupby(told, lambda message: message.role):
        texts, files = [], []
        for message in group:
            seen = [str(picture.file) for picture in message.pictures if with_pictures and picture.file.is_file()]
            texts.append(message.text or ("" if seen else _descriptions(message)))
            files += seen if _role(role) == "user" else []
        turns.append(Turn(_role(role), "\n\n".join(filter(None, texts)), tuple(files)))
    return tuple(turns)


def missing_pictures(path: Sequence[Message]) -> int:
    """Count the pictures of a chat whose files are gone."""
    return sum(not picture.file.is_file() for message in path for picture in message.pictures)


def detail_of(values: Values, own: Mapping[str, Any]) -> Detail:
    """Return how finely pictures are looked at: the chat's own value before the settings."""
    return "fine" if own.get("picture_detail", values.picture_detail) == "fine" else "fast"


def _descriptions(message: Message) -> str:
    return "\n".join(f"[{picture.alt_text}]" for picture in message.pictures)


def sampling_of(values: Values, own: Mapping[str, Any]) -> tuple[Sampling, int]:
    """Return how the next token is drawn and how long the answer may be: the chat's own values before the settings."""
    chosen = {name: own[name] for name in OWN_VALUES if _is_number(own.get(name))}
    length = own.get("max_tokens", values.max_tokens)
    max_tokens = int(length) if _is_number(length) and length >= 0 else values.max_tokens
    try:
        return replace(values.sampling(), **chosen), max_tokens
    except EngineError:
        # The stored values of a chat may be damaged; it is answered all the same.
        return values.sampling(), max_tokens


def shown_sampling(values: Values, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the panel shows for a chat."""
    sampling, max_tokens = sampling_of(values, own)
    return {**{name: getattr(sampling, name) for name in OWN_VALUES}, "max_tokens": max_tokens}


def made_with_of(values: Values, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer is made with besides its model, to be kept with it: sampling values and adapters."""
    used = [{"name": Path(adapter.path).name, "scale": adapter.scale} for adapter in adapters_of(own)]
    return {**shown_sampling(values, own), **({"adapters": used} if used else {})}


def adapters_of(own: Mapping[str, Any]) -> tuple[Adapter, ...]:
    """Return the adapters that a chat has chosen; what is damaged is left out, a file comes once."""
    stored = own.get("adapters", [{"path": own.get("adapter"), "scale": own.get("adapter_scale", 1.0)}])
    read = [_adapter(each) for each in stored] if isinstance(stored, list) else []
    return tuple({adapter.path: adapter for adapter in read if adapter is not None}.values())


def with_adapters(own: Mapping[str, Any], adapters: Sequence[Adapter]) -> dict[str, Any]:
    """Return a chat's own values with these adapters in place of its former ones."""
    kept = {name: value for name, value in own.items() if name not in ("adapter", "adapter_scale")}
    return {**kept, "adapters": [{"path": adapter.path, "scale": adapter.scale} for adapter in adapters]}


def _adapter(stored: object) -> Adapter | None:
    values = stored if isinstance(stored, dict) else {}
    path, scale = values.get("path"), values.get("scale")
    if not isinstance(path, str) or not path or not _is_number(scale) or not abs(scale) <= MAX_ADAPTER_SCALE:
        return None
    return Adapter(path, float(scale))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _role(role: str) -> Role:
    return "assistant" if role == "assistant" else "user"
