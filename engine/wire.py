"""Write the messages of the protocol as lines of JSON, and read them strictly."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from typing import Any, Literal, TypeVar

from engine.errors import EngineError
from engine.protocol import (
    EVENTS,
    REQUESTS,
    ChatResult,
    CountResult,
    Done,
    Event,
    LoadResult,
    LogitsResult,
    Request,
    require,
)

MAX_LINE_BYTES = 64 * 1024 * 1024

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
        require(kind is not None, f"There is no operation {_shown(operation)}.")
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
    require(kind is not None, f"There is no event {_shown(name)}.")
    assert kind is not None
    if kind is not Done:
        return _record(fields, kind, "the event")
    request_id: int = _value(fields.pop("id", None), int, "id")
    result = next((result for name, result in _RESULTS_BY_FIELD.items() if name in fields), None)
    if result is None:
        require(not fields, "The result of the request is not known.")
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
    require(len(line) <= MAX_LINE_BYTES, "The line is longer than 64 MiB.")
    try:
        fields = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise EngineError("bad_request", "The line is not valid JSON.") from error
    require(isinstance(fields, dict), "The line is not a JSON object.")
    return typing.cast(dict[str, Any], fields)


RecordType = TypeVar("RecordType")


def _record(fields: dict[str, Any], kind: type[RecordType], where: str) -> RecordType:
    """Build a dataclass from exactly its fields, each of its declared type."""
    hints = typing.get_type_hints(kind)
    entries = dataclasses.fields(kind)  # type: ignore[arg-type]
    unknown = fields.keys() - {entry.name for entry in entries}
    require(not unknown, f"There is no field {_shown(min(unknown, default=''))} in {where}.")
    arguments: dict[str, Any] = {}
    for entry in entries:
        if entry.name in fields:
            arguments[entry.name] = _value(fields[entry.name], hints[entry.name], entry.name)
        else:
            optional = entry.default is not dataclasses.MISSING or entry.default_factory is not dataclasses.MISSING
            require(optional, f"The field {entry.name!r} is missing in {where}.")
    return kind(**arguments)


def _value(value: Any, hint: Any, where: str) -> Any:
    """Check one value against its type hint, and give lists as tuples and objects as dataclasses."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in typing.get_args(hint):
            return None
        return _value(value, next(part for part in typing.get_args(hint) if part is not type(None)), where)
    if origin is Literal:
        require(value in typing.get_args(hint), f"The field {where!r} cannot be {_shown(value)}.")
        return value
    if origin is tuple:
        require(isinstance(value, list), f"The field {where!r} must be a list.")
        return tuple(_value(item, typing.get_args(hint)[0], where) for item in value)
    if dataclasses.is_dataclass(hint) or origin is dict:
        require(isinstance(value, dict), f"The field {where!r} must be an object.")
        return value if origin is dict else _record(value, typing.cast(type[Any], hint), where)
    return _scalar(value, hint, where)


def _scalar(value: Any, kind: type, where: str) -> Any:
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
        require(number and math.isfinite(value), f"The field {where!r} must be a number.")
        return float(value)
    if kind is int:
        whole = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        require(whole, f"The field {where!r} must be a whole number.")
        return value
    require(isinstance(value, kind), f"The field {where!r} must be {'text' if kind is str else 'true or false'}.")
    return value


def _shown(value: Any) -> str:
    return repr(value)[:60]
