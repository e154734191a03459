"""Define the messages between the engine's client and its worker; docs/engine-protocol.md is the authority.

Requests carry no id of their own: the client gives one when it sends them. Every event but `Ready` carries the id of
its request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.errors import EngineError

PROTOCOL = 1
MAX_CROPS = 64
MAX_THREADS = 512
MAX_ADAPTER_SCALE = 100

Role = Literal["system", "user", "assistant"]
Stage = Literal["load", "picture", "prefill", "reread"]
FinishReason = Literal["stop", "length", "cancelled"]
Runtime = Literal["auto", "llama.cpp", "pytorch"]
GpuUse = Literal["auto", "retry", "avoid"]


def require(condition: bool, sentence: str) -> None:
    """Raise EngineError `bad_request` with a sentence unless a condition holds."""
    if not condition:
        raise EngineError("bad_request", sentence)


def _check_crops(number: int) -> None:
    require(0 <= number <= MAX_CROPS, f"A picture is cut into at most {MAX_CROPS} crops (0: as the model's own).")


@dataclass(frozen=True, slots=True)
class Message:
    """Hold one turn of a conversation; `pictures` are paths of files, which the turn shows before its text."""

    role: Role
    content: str
    pictures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse pictures that are not the user's."""
        require(self.role == "user" or not self.pictures, "Only a turn of the user can have pictures.")
        require(all(self.pictures), "The path of a picture is empty.")


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
        require(0 <= self.temperature <= 100, "The temperature must be between 0 and 100.")
        require(0 <= self.top_k < 2**31, "top_k must be 0 (off) or a positive number.")
        require(0 <= self.top_p <= 1, "top_p must be between 0 and 1.")
        require(0 <= self.min_p <= 1, "min_p must be between 0 and 1.")
        require(0 < self.repeat_penalty <= 100, "The repetition penalty must be above 0 and at most 100.")
        require(-100 <= self.frequency_penalty <= 100, "The frequency penalty must be between -100 and 100.")
        require(-100 <= self.presence_penalty <= 100, "The presence penalty must be between -100 and 100.")
        require(0 <= self.penalty_last_n < 2**31, "penalty_last_n must be 0 (off) or a positive number.")
        require(self.seed is None or 0 <= self.seed < 2**32 - 1, "The seed must be between 0 and 4294967294.")


@dataclass(frozen=True, slots=True)
class Adapter:
    """Name a LoRA adapter file and its strength."""

    path: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        require(bool(self.path), "The path of the adapter is empty.")
        require(abs(self.scale) <= MAX_ADAPTER_SCALE, f"An adapter's scale is at most {MAX_ADAPTER_SCALE}.")


@dataclass(frozen=True, slots=True)
class Load:
    """Ask for a model to be loaded in place of the present one.

    `context` is the most tokens a conversation may reach (0: what the model was trained for); 0 threads are chosen by
    the engine; `gpu_layers` -1 means as many as fit. `companion` is the file with a vision model's tower (empty: the
    one beside the model), `picture_cache` a folder for embeddings of pictures (empty: kept in memory only),
    `thread_cache` one for the numbers of threads that measured best (empty: neither measured nor kept). `runtime` is
    what computes; `auto` takes PyTorch where it is installed and llama.cpp cannot compute the model exactly. `gpu`
    `auto` leaves GPUs alone whose driver has crashed before, `retry` tries them again, `avoid` takes the processor
    after a failure.
    """

    path: str
    context: int = 0
    threads: int = 0
    batch_threads: int = 0
    gpu_layers: int = -1
    adapters: tuple[Adapter, ...] = ()
    companion: str = ""
    picture_cache: str = ""
    runtime: Runtime = "auto"
    thread_cache: str = ""
    gpu: GpuUse = "auto"

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        require(bool(self.path), "The path of the model is empty.")
        require(0 <= self.context <= 2**24, "The context must be between 0 and 16777216 tokens.")
        for name, number in (("threads", self.threads), ("batch threads", self.batch_threads)):
            require(0 <= number <= MAX_THREADS, f"The number of {name} must be between 0 and {MAX_THREADS}.")
        require(-1 <= self.gpu_layers <= 10000, "The number of GPU layers must be -1 (automatic) or more.")


@dataclass(frozen=True, slots=True)
class Unload:
    """Ask for the model's memory to be given back."""


@dataclass(frozen=True, slots=True)
class UseAdapters:
    """Ask for these adapters, and no others, to change the loaded model."""

    adapters: tuple[Adapter, ...]


@dataclass(frozen=True, slots=True)
class Chat:
    """Ask for the next answer of a conversation.

    `max_tokens` 0 means to the end of the context. `num_crops` is into how many crops a picture is cut at most (0: what
    the model's own processor takes). `written` are the ids of an answer that was begun elsewhere: it goes on after
    them, and the text that they make is not sent again.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = 0
    stop: tuple[str, ...] = ()
    num_crops: int = 0
    written: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an empty conversation and values outside their range."""
        require(bool(self.messages), "The conversation is empty.")
        require(0 <= self.max_tokens < 2**31, "max_tokens must be 0 (no limit) or a positive number.")
        require(len(self.stop) <= 64 and all(self.stop), "Stop sequences are at most 64 texts, none empty.")
        _check_crops(self.num_crops)


@dataclass(frozen=True, slots=True)
class Count:
    """Ask how many tokens a conversation takes."""

    messages: tuple[Message, ...]
    num_crops: int = 0

    def __post_init__(self) -> None:
        """Refuse an empty conversation."""
        require(bool(self.messages), "The conversation is empty.")
        _check_crops(self.num_crops)


@dataclass(frozen=True, slots=True)
class Logits:
    """Ask for the logits after the last token, in the file `out` (.npz); give one of `tokens` and `messages`.

    Among `tokens`, -k stands for a position of picture k of `pictures`.
    """

    out: str
    tokens: tuple[int, ...] | None = None
    messages: tuple[Message, ...] | None = None
    pictures: tuple[str, ...] = ()
    num_crops: int = 0

    def __post_init__(self) -> None:
        """Refuse anything but one non-empty source of tokens."""
        require((self.tokens is None) != (self.messages is None), "Give either tokens or messages.")
        require(bool(self.tokens or self.messages), "There is nothing to evaluate.")
        require(self.tokens is not None or not self.pictures, "Messages bring their pictures themselves.")
        require(bool(self.out), "The path of the result is empty.")
        _check_crops(self.num_crops)


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


Request = Load | Unload | UseAdapters | Chat | Count | Logits | Cancel | Ping | Shutdown

REQUESTS: dict[str, type[Request]] = {
    "load": Load,
    "unload": Unload,
    "adapters": UseAdapters,
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
class LoadNote:
    """Tell what the user should know of a model's file; `repairable` means that a repair cures it without loss."""

    code: str
    message: str
    repairable: bool = False


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Describe the loaded model.

    `runs_on` names what computes and `runs_on_reason` says in a phrase why that (empty: nothing to say); `num_crops` is
    into how many crops at most its own processor cuts a picture (0: it sees none); beyond `faithful_context` tokens its
    answers are approximate (0: nowhere). `notes` say what is wrong with the file and could not be put right without a
    word while it was loaded, and that a GPU is not used after a failure.
    """

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
    num_crops: int = 0
    faithful_context: int = 0
    notes: tuple[LoadNote, ...] = ()
    runs_on_reason: str = ""


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
    """Carry a piece of the answer, never a part of a character, and the ids of the tokens since the last piece."""

    id: int
    text: str
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """Tell the user something about a request that goes on; `model` is what the loaded model has become by it."""

    id: int
    code: Literal["turns_dropped", "approximate", "moved_to_processor"]
    message: str
    dropped_messages: int = 0
    model: LoadedModel | None = None


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
