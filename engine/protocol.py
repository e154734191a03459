"""Define the messages between the engine's client and its worker; docs/engine-protocol.md is the authority.

Requests carry no id of their own: the client gives one when it sends them. Every event but `Ready` carries the id of
its request.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from engine.errors import EngineError

PROTOCOL = 1
MAX_LINE_BYTES = 64 * 1024 * 1024

Role = Literal["system", "user", "assistant"]
Stage = Literal["load", "prefill", "reread"]
FinishReason = Literal["stop", "length", "cancelled"]


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise EngineError("bad_request", sentence)


@dataclass(frozen=True, slots=True)
class Message:
    """Hold one turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """Choose how the next token is drawn; temperature 0 takes the likeliest."""

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_last_n: int = 64
    seed: int | None = None

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _require(0 <= self.temperature <= 100, "The temperature must be between 0 and 100.")
        _require(0 <= self.top_k < 2**31, "top_k must be 0 (off) or a positive number.")
        _require(0 <= self.top_p <= 1, "top_p must be between 0 and 1.")
        _require(0 <= self.min_p <= 1, "min_p must be between 0 and 1.")
        _require(0 < self.repeat_penalty <= 100, "The repetition penalty must be above 0 and at most 100.")
        _require(-100 <= self.frequency_penalty <= 100, "The frequency penalty must be between -100 and 100.")
        _require(-100 <= self.presence_penalty <= 100, "The presence penalty must be between -100 and 100.")
        _require(0 <= self.penalty_last_n < 2**31, "penalty_last_n must be 0 (off) or a positive number.")
        _require(self.seed is None or 0 <= self.seed < 2**32 - 1, "The seed must be between 0 and 4294967294.")


@dataclass(frozen=True, slots=True)
class Adapter:
    """Name a LoRA adapter file and its strength."""

    path: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """Ask for a model to be loaded in place of the present one.

    `context` is the most tokens a conversation may reach (0: what the model was trained for); 0 threads are chosen by
    the engine; `gpu_layers` -1 means as many as fit.
    """

    path: str
    context: int = 0
    threads: int = 0
    batch_threads: int = 0
    gpu_layers: int = -1
    adapters: tuple[Adapter, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _require(bool(self.path), "The path of the model is empty.")
        _require(0 <= self.context <= 2**24, "The context must be between 0 and 16777216 tokens.")
        _require(0 <= self.threads <= 512, "The number of threads must be between 0 and 512.")
        _require(0 <= self.batch_threads <= 512, "The number of batch threads must be between 0 and 512.")
        _require(-1 <= self.gpu_layers <= 10000, "The number of GPU layers must be -1 (automatic) or more.")


@dataclass(frozen=True, slots=True)
class Unload:
    """Ask for the model's memory to be given back."""


@dataclass(frozen=True, slots=True)
class Chat:
    """Ask for the next answer of a conversation; `max_tokens` 0 means to the end of the context."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an empty conversation and values outside their range."""
        _require(bool(self.messages), "The conversation is empty.")
        _require(0 <= self.max_tokens < 2**31, "max_tokens must be 0 (no limit) or a positive number.")
        _require(len(self.stop) <= 64 and all(self.stop), "Stop sequences are at most 64 texts, none empty.")


@dataclass(frozen=True, slots=True)
class Count:
    """Ask how many tokens a conversation takes."""

    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        """Refuse an empty conversation."""
        _require(bool(self.messages), "The conversation is empty.")


@dataclass(frozen=True, slots=True)
class Logits:
    """Ask for the logits after the last token, in the file `out` (.npz); give one of `tokens` and `messages`."""

    out: str
    tokens: tuple[int, ...] | None = None
    messages: tuple[Message, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse anything but one non-empty source of tokens."""
        _require((self.tokens is None) != (self.messages is None), "Give either tokens or messages.")
        _require(bool(self.tokens or self.messages), "There is nothing to evaluate.")
        _require(bool(self.out), "The path of the result is empty.")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask for the open request `target` to end."""

    target: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask for a sign of life."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Ask for the worker to end."""


Request = Load | Unload | Chat | Count | Logits | Cancel | Ping | Shutdown

REQUESTS: dict[str, type[Request]] = {
    "load": Load,
    "unload": Unload,
    "chat": Chat,
    "count": Count,
    "logits": Logits,
    "cancel": Cancel,
    "ping": Ping,
    "shutdown": Shutdown,
}


@dataclass(frozen=True, slots=True)
class Device:
    """Describe a processor that the worker can compute on; memory in bytes."""

    name: str
    kind: Literal["cpu", "gpu"]
    memory_total: int
    memory_free: int


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Describe the loaded model; `runs_on` says where it computes and why."""

    name: str
    architecture: str
    quantization: str
    parameters: int
    size_bytes: int
    context_train: int
    context: int
    has_template: bool
    runs_on: str
    gpu_layers: int
    threads: int
    batch_threads: int


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Report a finished load."""

    model: LoadedModel
    load_ms: float


@dataclass(frozen=True, slots=True)
class ChatResult:
    """Report a finished answer: its whole text and what it cost."""

    finish_reason: FinishReason
    text: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    context_tokens: int
    context: int
    prefill_ms: float
    first_token_ms: float
    decode_ms: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class CountResult:
    """Report the length of a conversation and the most that it may reach."""

    prompt_tokens: int
    context: int


@dataclass(frozen=True, slots=True)
class LogitsResult:
    """Report how many tokens were evaluated."""

    tokens: int


Result = LoadResult | ChatResult | CountResult | LogitsResult | None


@dataclass(frozen=True, slots=True)
class Ready:
    """Open the stream: the first event of a worker."""

    protocol: int
    versions: dict[str, str]
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """Tell how far a stage is; `seconds_left` is None while unknown."""

    id: int
    stage: Stage
    done: float
    total: float
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """Carry a piece of the answer, never a part of a character."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Tell the user something about a request that goes on."""

    id: int
    code: Literal["turns_dropped"]
    message: str
    dropped_messages: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """End a request well; the type of `result` follows from the request (None: nothing to report)."""

    id: int
    result: Result = None


@dataclass(frozen=True, slots=True)
class Failed:
    """End a request with a known failure; `id` is None when a line could not be read."""

    id: int | None
    code: str
    message: str
    remedy: str | None = None
    details: str | None = None

    @classmethod
    def from_error(cls, request_id: int | None, error: EngineError) -> Failed:
        """Put an error into an event."""
        return cls(request_id, error.code, error.message, error.remedy, error.details)

    def to_error(self) -> EngineError:
        """Give back the error that the event carries."""
        return EngineError(self.code, self.message, self.remedy, self.details)


Event = Ready | Progress | Token | Notice | Done | Failed

EVENTS: dict[str, type[Event]] = {
    "ready": Ready,
    "progress": Progress,
    "token": Token,
    "notice": Notice,
    "done": Done,
    "error": Failed,
}
_EVENT_NAMES = {kind: name for name, kind in EVENTS.items()}
_OPERATION_NAMES = {kind: name for name, kind in REQUESTS.items()}

# A `done` line has the fields of its result beside the id; the field in this table tells which result it is.
_RESULTS_BY_FIELD: dict[str, type[LoadResult | ChatResult | CountResult | LogitsResult]] = {
    "model": LoadResult,
    "finish_reason": ChatResult,
    "prompt_tokens": CountResult,
    "tokens": LogitsResult,
}


class RequestError(EngineError):
    """Report a line that is not a valid request, with the id that it carries if that much could be read."""

    def __init__(self, request_id: int | None, message: str) -> None:
        """Keep the id for the answer."""
        super().__init__("bad_request", message)
        self.request_id = request_id


def encode_request(request_id: int, request: Request) -> bytes:
    """Write a request as one line."""
    return _line({"id": request_id, "op": _OPERATION_NAMES[type(request)], **_plain(request)})


def decode_request(line: bytes) -> tuple[int, Request]:
    """Read one line into its id and request; raises RequestError."""
    request_id = None
    try:
        fields = _parse(line)
        request_id = _value(fields.pop("id", None), int, "id")
        operation = fields.pop("op", None)
        kind = REQUESTS.get(operation) if isinstance(operation, str) else None
        _require(kind is not None, f"There is no operation {_shown(operation)}.")
        assert kind is not None
        return request_id, _record(fields, kind, "the request")
    except EngineError as error:
        raise RequestError(request_id, error.message) from error


def encode_event(event: Event) -> bytes:
    """Write an event as one line."""
    fields = _plain(event)
    head = {"id": fields.pop("id")} if "id" in fields else {}
    if isinstance(event, Done):
        fields = fields.pop("result") or {}
    return _line({**head, "event": _EVENT_NAMES[type(event)], **fields})


def decode_event(line: bytes) -> Event:
    """Read one line into its event; raises EngineError with code `bad_request`."""
    fields = _parse(line)
    name = fields.pop("event", None)
    kind = EVENTS.get(name) if isinstance(name, str) else None
    _require(kind is not None, f"There is no event {_shown(name)}.")
    assert kind is not None
    if kind is not Done:
        return _record(fields, kind, "the event")
    request_id: int = _value(fields.pop("id", None), int, "id")
    result = next((result for name, result in _RESULTS_BY_FIELD.items() if name in fields), None)
    if result is None:
        _require(not fields, "The result of the request is not known.")
        return Done(request_id)
    return Done(request_id, _record(fields, result, "the result"))


def _line(fields: dict[str, Any]) -> bytes:
    # Lone surrogates, which JSON allows and UTF-8 does not, must not stop the stream.
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", errors="replace") + b"\n"


def _plain(record: Any) -> dict[str, Any]:
    return {entry.name: _plain_value(getattr(record, entry.name)) for entry in dataclasses.fields(record)}


def _plain_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _plain(value)
    if isinstance(value, tuple):
        return [_plain_value(item) for item in value]
    return value


def _refuse_constant(name: str) -> float:
    raise EngineError("bad_request", f"The line holds {name}, which is not a number.")


def _parse(line: bytes) -> dict[str, Any]:
    _require(len(line) <= MAX_LINE_BYTES, "The line is longer than 64 MiB.")
    try:
        fields = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise EngineError("bad_request", "The line is not valid JSON.") from error
    _require(isinstance(fields, dict), "The line is not a JSON object.")
    return typing.cast(dict[str, Any], fields)


RecordType = TypeVar("RecordType")


def _record(fields: dict[str, Any], kind: type[RecordType], where: str) -> RecordType:
    """Build a dataclass from exactly its fields, each of its declared type."""
    hints = typing.get_type_hints(kind)
    entries = dataclasses.fields(kind)  # type: ignore[arg-type]
    unknown = fields.keys() - {entry.name for entry in entries}
    _require(not unknown, f"There is no field {_shown(min(unknown, default=''))} in {where}.")
    arguments: dict[str, Any] = {}
    for entry in entries:
        if entry.name in fields:
            arguments[entry.name] = _value(fields[entry.name], hints[entry.name], entry.name)
        else:
            optional = entry.default is not dataclasses.MISSING or entry.default_factory is not dataclasses.MISSING
            _require(optional, f"The field {entry.name!r} is missing in {where}.")
    return kind(**arguments)


def _value(value: Any, hint: Any, where: str) -> Any:
    """Check one value against its type hint, and give lists as tuples and objects as dataclasses."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in typing.get_args(hint):
            return None
        return _value(value, next(part for part in typing.get_args(hint) if part is not type(None)), where)
    if origin is Literal:
        _require(value in typing.get_args(hint), f"The field {where!r} cannot be {_shown(value)}.")
        return value
    if origin is tuple:
        _require(isinstance(value, list), f"The field {where!r} must be a list.")
        return tuple(_value(item, typing.get_args(hint)[0], where) for item in value)
    if dataclasses.is_dataclass(hint) or origin is dict:
        _require(isinstance(value, dict), f"The field {where!r} must be an object.")
        return value if origin is dict else _record(value, typing.cast(type[Any], hint), where)
    return _scalar(value, hint, where)


def _scalar(value: Any, kind: type, where: str) -> Any:
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
        _require(number and math.isfinite(value), f"The field {where!r} must be a number.")
        return float(value)
    if kind is int:
        whole = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        _require(whole, f"The field {where!r} must be a whole number.")
        return value
    _require(isinstance(value, kind), f"The field {where!r} must be {'text' if kind is str else 'true or false'}.")
    return value


def _shown(value: Any) -> str:
    return repr(value)[:60]
