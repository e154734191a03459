"""Test that texts which were rendered for a model before are noticed."""

import pytest

from engine.data.chat_markers import chat_marker, unfilled_slot


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("<|user|>\nHi<|end|>", "has '<|user|>' of Phi-3 in its text"),
        ("Hi</s>", "has '</s>' of Phi-3 in its text"),
        ("See <|image_1|>", "has '<|image_1|>' of Phi-3 in its text"),
        ("<|im_start|>user", "has '<|im_start|>' of ChatML in its text"),
        ("[INST] Hi [/INST]", "has '[INST]' of Llama 2 or Mistral in its text"),
        ("Hi<|eot_id|>", "has '<|eot_id|>' of Llama 3 in its text"),
        ("<start_of_turn>model", "has '<start_of_turn>' of Gemma in its text"),
        ("Hi\n### Response: Ho", "has '### Response:' of another chat form in its text"),
        ("Hi\nASSISTANT: Ho", "has 'ASSISTANT:' of another chat form in its text"),
    ],
)
def test_tokens_of_chat_templates_are_named(text, finding):
    assert chat_marker(["fine", text]) == finding


@pytest.mark.parametrize("text", ["", "if a < b | c > d: <user>", "### Heading", "The assistant: a job", "<|other|>"])
def test_common_text_is_fine(text):
    assert chat_marker([text]) is None


@pytest.mark.parametrize("text", ["I am {{name}}.", "{{ author }}", "Dear [NAME],", "[INSERT DATE]", "[YOUR COMPANY]"])
def test_unfilled_slots_are_named(text):
    assert unfilled_slot(["fine", text]).startswith("has the unfilled slot ")


@pytest.mark.parametrize("text", ["{name}", "f({{1, 2}})", "[1] a note", "[name]", r"\frac{{a}+b}{c}"])
def test_braces_and_brackets_are_fine(text):
    assert unfilled_slot([text]) is None
