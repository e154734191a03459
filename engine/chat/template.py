"""Render conversations with a model's own chat template, which is a program from a stranger."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import FrameType, TracebackType
from typing import Any

import jinja2
import jinja2.exceptions
import jinja2.ext
import jinja2.filters
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import EngineError
from engine.protocol import Message

PHI3_TEMPLATE = (
    "{% for message in messages %}{{'<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|assistant|>\n'}}{% endif %}"
)

_REMEDY = "Convert the checkpoint again, or choose another model."
_MOST_CHARACTERS = 64_000_000
_LARGEST_NUMBER = 100_000
_SECONDS = 5.0


class ChatTemplate:
    """Hold a compiled template that can neither reach the system nor run for ever."""

    def __init__(self, source: str, special_texts: Mapping[str, str]) -> None:
        """Compile a template; `special_texts` holds `bos_token` and the like; raises EngineError `template_invalid`."""
        self._special_texts = dict(special_texts)
        try:
            self._template = _Sandbox().from_string(source)
        except Exception as error:
            raise _invalid("cannot be read", error) from error

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """Give the text of a conversation, by default up to where the next answer begins.

        Raises EngineError `template_invalid`.
        """
        turns = [{"role": message.role, "content": message.content} for message in messages]
        pieces, length = [], 0
        try:
            with _Deadline(_SECONDS):
                for piece in self._template.generate(
                    messages=turns,
                    add_generation_prompt=add_generation_prompt,
                    tools=None,
                    documents=None,
                    **self._special_texts,
                ):
                    pieces.append(piece)
                    length += len(piece)
                    if length > _MOST_CHARACTERS:
                        raise OverflowError("the text is too long")
        except _Refusal as error:
            raise _invalid("refuses this conversation", error) from error
        except Exception as error:
            raise _invalid("fails", error) from error
        return "".join(pieces)


def _invalid(what: str, error: Exception) -> EngineError:
    reason = (str(error) or type(error).__name__).strip().rstrip(".")[:200]
    return EngineError("template_invalid", f"The model's chat template {what}: {reason}.", _REMEDY, repr(error))


class _Refusal(jinja2.TemplateError):
    """Carry what a template says with `raise_exception`."""


class _GenerationBlock(jinja2.ext.Extension):
    """Pass through `{% generation %}` blocks, which mark answers for training."""

    tags = {"generation"}  # noqa: RUF012  (Jinja declares it so)

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Offer what transformers offers to templates, and refuse numbers that only serve to exhaust memory."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def __init__(self) -> None:
        extensions = [_GenerationBlock, jinja2.ext.loopcontrols]
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        self.filters = {name: _guarded(function) for name, function in self.filters.items()}
        self.filters["tojson"] = _to_json
        self.filters["format"] = _format
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%":
            _check_format(left)
        elif operator == "**" or isinstance(left, str | list | tuple) or isinstance(right, str | list | tuple):
            _check_numbers((left, right))
        return super().call_binop(context, operator, left, right)

    def call(self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        _check_numbers((*args, *kwargs.values()))
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is not None:
            raise jinja2.exceptions.SecurityError("str.format is not offered")
        return None


def _check_numbers(arguments: Iterable[Any]) -> None:
    for argument in arguments:
        if isinstance(argument, int) and abs(argument) > _LARGEST_NUMBER:
            raise OverflowError(f"the number {argument} is too large")


def _check_format(pattern: Any) -> None:
    # A format such as %999999999d makes a text of that length.
    if isinstance(pattern, str) and re.search(r"%[^a-zA-Z%]{6}", pattern):
        raise OverflowError("a format is too wide")


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    def filtered(*args: Any, **kwargs: Any) -> Any:
        _check_numbers((*args, *kwargs.values()))
        return function(*args, **kwargs)

    # Jinja marks filters that want its context with attributes.
    filtered.__dict__.update(getattr(function, "__dict__", {}))
    return filtered


def _format(pattern: str, *args: Any, **kwargs: Any) -> str:
    _check_format(pattern)
    return str(jinja2.filters.do_format(pattern, *args, **kwargs))


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def _raise_exception(message: str) -> None:
    raise _Refusal(message)


class _Deadline:
    """Raise TimeoutError in this thread's Python code once the time is over, on every platform."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __enter__(self) -> None:
        self._previous = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        sys.settrace(self._previous)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if time.monotonic() > self._end:
            raise TimeoutError("it takes too long")
        return self._trace
