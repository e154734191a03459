"""Test that templates render as transformers renders them, and that hostile ones are stopped."""

import json

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from engine.chat.template import PHI3_TEMPLATE, ChatTemplate
from engine.errors import EngineError
from engine.protocol import Message
from tests.helpers.checkpoints import TOKENIZER

SPECIAL = {"bos_token": "<s>", "eos_token": "<|endoftext|>"}
TALK = (
    Message("system", "Be kind."),
    Message("user", " Hi\n"),
    Message("assistant", "Yes: 100% {{ 1 }}"),
    Message("user", "é 😀"),
)
TEMPLATES = [
    json.loads((TOKENIZER / "tokenizer_config.json").read_text("utf-8"))["chat_template"],
    "{{ bos_token }}{% for m in messages %}\n  {% if m.role == 'user' %}\n[{{ m['content'] | trim }}]\n  {% endif %}\n"
    "{% endfor %}{{ messages | tojson }}{{ messages[0] | tojson(indent=2) }}",
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% continue %}{% endif %}{% break %}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + loop.index * 100000 %}{% endfor %}"
    "{{ ns.n }}{{ '%s-%03d' % ('a', 7) }}{{ 'x' * 3 }}{{ messages | length }}{% if tools is none %}!{% endif %}",
    "{% macro turn(m) %}<{{ m.role }}>{{ m.content }}{% endmacro %}{% for m in messages %}{{ turn(m) }}{% endfor %}",
]


@pytest.mark.parametrize("source", TEMPLATES)
def test_rendering_equals_transformers(source):
    turns = [{"role": message.role, "content": message.content} for message in TALK]
    expected = render_jinja_template([turns], chat_template=source, add_generation_prompt=True, **SPECIAL)
    assert ChatTemplate(source, SPECIAL).render(TALK) == expected[0][0]


def test_the_built_in_template_is_phi_3s_own():
    assert ChatTemplate(PHI3_TEMPLATE, {}).render(TALK) == ChatTemplate(TEMPLATES[0], SPECIAL).render(TALK)


@pytest.mark.parametrize("source", ["{% if %}", "{{ x", "{% for %}", "{{ 'a' | no_such_filter }}", "{% include 'x' %}"])
def test_a_faulty_template_is_told_in_a_sentence(source):
    with pytest.raises(EngineError) as failure:
        ChatTemplate(source, {}).render(TALK)
    assert failure.value.code == "template_invalid"
    assert failure.value.message.endswith(".")
    assert failure.value.remedy


def test_what_a_template_says_itself_reaches_the_user():
    with pytest.raises(EngineError) as failure:
        ChatTemplate("{{ raise_exception('Roles must alternate!') }}", {}).render(TALK)
    assert "refuses this conversation: Roles must alternate!" in failure.value.message


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ range(10**9) | list }}",
        "{{ 'a' * 10**12 }}",
        "{{ [1] * 999999999 }}",
        "{{ 99999 ** 99999 ** 99 }}",
        "{{ '%9999999999d' % 1 }}",
        "{{ '%9999999999d' | format(1) }}",
        "{{ '{:>9999999999}'.format(1) }}",
        "{{ 'a'.ljust(9999999999) }}",
        "{{ 'a' | center(9999999999) }}",
        "{{ lipsum(n=999999) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append({}) }}",
        "{{ messages.__init__.__globals__ }}",
    ],
)
def test_a_hostile_template_is_stopped(source, monkeypatch):
    monkeypatch.setattr("engine.chat.template._SECONDS", 0.5)
    with pytest.raises(EngineError) as failure:
        ChatTemplate(source, {}).render(TALK)
    assert failure.value.code == "template_invalid"
