"""Test pictures in the runtime: ids and logits of the reference, one cache for text and pictures, LongRoPE, faults."""

import shutil

import numpy as np
import pytest

from engine.chat.template import PHI3_TEMPLATE, ChatTemplate
from engine.errors import EngineError
from engine.protocol import Chat, Count, Load, Logits, Message, Sampling
from engine.runtime.cancellation import Cancellation
from tests.engine.vision.vectors import CASES, FOLDER

GREEDY = Sampling(temperature=0)
PICTURES = [FOLDER / f"img{index}.png" for index in ("0_640x480", "1_300x900", "2_336x336")]


def quiet(stage, done, total):
    """Take progress and do nothing."""


def turn(text, *pictures):
    return Message("user", text, tuple(str(path) for path in pictures))


def messages_of(case):
    """Give the conversation whose rendering is the prompt of a case."""
    body = case.prompt.removeprefix("<|user|>\n").removesuffix("<|end|>\n<|assistant|>\n")
    messages = (turn(body, *(FOLDER / name for name in case.pictures)),)
    assert ChatTemplate(PHI3_TEMPLATE, {}).render(messages) == case.prompt
    return messages


def logits(session, tmp_path, **request):
    session.logits(Logits(str(tmp_path / "l.npz"), **request), Cancellation(), quiet)
    with np.load(tmp_path / "l.npz") as arrays:
        return dict(arrays)


def answer(session, request, cancellation=None, on_progress=quiet):
    return session.chat(
        request,
        cancellation or Cancellation(),
        arrived=0.0,
        on_text=lambda text, ids: None,
        on_dropped=lambda count: None,
        on_progress=on_progress,
    )


@pytest.fixture(scope="module")
def seeing(vision_model, native_log):
    """Load the tiny vision model once."""
    from engine.runtime.session import Session

    session = Session(native_log)
    session.load(Load(str(vision_model.path)), Cancellation(), lambda fraction: None)
    yield session
    session.unload()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_logits_of_conversations_are_the_references(seeing, tmp_path, case):
    found = logits(seeing, tmp_path, messages=messages_of(case), num_crops=case.num_crops)
    assert found["tokens"].tolist() == case.arrays["input_ids"].tolist()
    wanted = case.arrays["logits_stride16"]
    assert np.linalg.norm(found["logits"][::16] - wanted) < 1e-3 * np.linalg.norm(wanted)
    assert found["logits"].argmax() == case.arrays["top_ids"][0]
    if case.pictures:
        assert len(found["image_embeds"]) == (case.arrays["input_ids"] < 0).sum()


def test_ids_of_pictures_can_be_given(seeing, tmp_path):
    case = next(case for case in CASES if len(case.pictures) == 2 and case.num_crops == 4)
    pictures = tuple(str(FOLDER / name) for name in case.pictures)
    ids = tuple(case.arrays["input_ids"].tolist())
    found = logits(seeing, tmp_path, tokens=ids, pictures=pictures, num_crops=4)
    assert found["tokens"].tolist() == list(ids)
    assert np.abs(found["logits"][case.arrays["top_ids"]] - case.arrays["top_logits"]).max() < 0.01


@pytest.mark.parametrize(("tokens", "pictures"), [((1, -1), ()), ((1, -1, -1, 5), (str(PICTURES[2]),))])
def test_ids_that_do_not_fit_the_pictures_are_refused(seeing, tmp_path, tokens, pictures):
    with pytest.raises(EngineError) as caught:
        logits(seeing, tmp_path, tokens=tokens, pictures=pictures)
    assert caught.value.code == "bad_request"


def test_the_second_turn_about_a_picture_evaluates_only_its_own_text(seeing):
    question = turn("What is it?", PICTURES[2])
    first = answer(seeing, Chat((question,), GREEDY, 8))
    stages = []
    turns = (question, Message("assistant", first.text), turn("And why?"))
    second = answer(seeing, Chat(turns, GREEDY, 4), on_progress=lambda stage, *_: stages.append(stage))
    assert second.cached_tokens >= first.prompt_tokens > 757
    assert set(stages) == {"prefill"}


def test_another_picture_of_the_same_size_is_not_taken_for_the_first(seeing, tmp_path):
    from PIL import Image, ImageOps

    with Image.open(PICTURES[2]) as image:
        ImageOps.invert(image.convert("RGB")).save(tmp_path / "negative.png")
    first = answer(seeing, Chat((turn("What is it?", PICTURES[2]),), GREEDY, 1))
    second = answer(seeing, Chat((turn("What is it?", tmp_path / "negative.png"),), GREEDY, 1))
    assert first.prompt_tokens == second.prompt_tokens and second.cached_tokens < 10


def test_an_answer_that_crosses_the_line_keeps_its_pictures(seeing, tmp_path):
    base = seeing.count(Count((turn("", PICTURES[2]),), 16)).prompt_tokens
    one = turn(" ".join(["word"] * (4070 - base)), PICTURES[2])
    length = seeing.count(Count((one,), 16)).prompt_tokens
    assert 4050 < length < 4090
    stages = []
    result = answer(seeing, Chat((one,), GREEDY, 4100 - length, num_crops=16), on_progress=lambda *a: stages.append(a))
    assert result.context_tokens > 4096 and ("reread", 0, 4097) in stages
    held = list(seeing.opened.context.tokens)
    ours = seeing.opened.context.logits()
    ids = tuple(-1 if token < 0 else token for token in held)
    fresh = logits(seeing, tmp_path, tokens=ids, pictures=(str(PICTURES[2]),), num_crops=16)
    assert np.linalg.norm(ours - fresh["logits"]) < 1e-4 * np.linalg.norm(ours)


def test_progress_counts_the_crops_of_all_pictures(seeing):
    reports = []
    request = Chat((turn("Compare.", PICTURES[0], PICTURES[1]),), GREEDY, 1, num_crops=2)
    answer(seeing, request, on_progress=lambda *report: reports.append(report))
    crops = [(done, total) for stage, done, total in reports if stage == "picture"]
    assert crops[0] == (0, crops[-1][1]) and crops[-1][0] == crops[-1][1] == 2 + 3
    assert crops == sorted(crops) and [stage for stage, *_ in reports] == sorted(stage for stage, *_ in reports)


def test_a_picture_can_be_stopped_and_sent_again(seeing):
    cancellation = Cancellation()
    request = Chat((turn("Look.", PICTURES[0]),), GREEDY, 2, num_crops=9)

    def stop(stage, done, total):
        if stage == "picture" and done >= 2:
            cancellation.request()

    stopped = answer(seeing, request, cancellation, stop)
    assert (stopped.finish_reason, stopped.completion_tokens) == ("cancelled", 0)
    assert answer(seeing, request).completion_tokens > 0


def test_embeddings_survive_the_model(load_session, vision_model, tmp_path):
    request = Chat((turn("Look.", PICTURES[2]),), GREEDY, 1)
    stages = []
    for _ in range(2):
        session = load_session(vision_model.path, picture_cache=str(tmp_path / "cache"))
        answer(session, request, on_progress=lambda stage, *_: stages.append(stage))
        session.unload()
        stages.append("unloaded")
    assert "picture" in stages and "picture" not in stages[stages.index("unloaded") :]


def test_penalties_pass_over_pictures(seeing):
    sampling = Sampling(temperature=0, repeat_penalty=1.3, penalty_last_n=4096)
    assert answer(seeing, Chat((turn("Look.", PICTURES[2]),), sampling, 3)).completion_tokens == 3


def test_a_model_without_eyes_says_so(load_session, tiny):
    session = load_session(tiny[1])
    for ask in (
        lambda: answer(session, Chat((turn("Look.", PICTURES[0]),), GREEDY, 1)),
        lambda: session.count(Count((turn("Look.", PICTURES[0]),))),
    ):
        with pytest.raises(EngineError) as caught:
            ask()
        assert caught.value.code == "no_vision" and caught.value.remedy


def test_a_vision_model_without_its_companion_still_reads_text_as_the_reference(load_session, vision_model, tmp_path):
    shutil.copy(vision_model.path, tmp_path / "alone.gguf")
    case = next(case for case in CASES if not case.pictures)
    found = logits(load_session(tmp_path / "alone.gguf"), tmp_path, messages=messages_of(case))
    assert found["tokens"].tolist() == case.arrays["input_ids"].tolist()


def test_the_companion_of_another_model_is_refused(load_session, tiny, vision_model):
    with pytest.raises(EngineError) as caught:
        load_session(vision_model.path, companion=str(tiny[1]))
    assert caught.value.code == "model_unsupported"
    with pytest.raises(EngineError) as caught:
        load_session(tiny[1], companion=str(vision_model.companion))
    assert caught.value.code == "model_invalid"


def test_a_tower_of_another_family_beside_a_model_does_not_stop_it(load_session, tiny, tmp_path):
    shutil.copy(tiny[1], tmp_path / "m.gguf")
    shutil.copy(tiny[1], tmp_path / "m.mmproj.gguf")
    assert load_session(tmp_path / "m.gguf").count(Count((Message("user", "Hi"),))).prompt_tokens > 0


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n cut short", b"no picture"])
def test_bad_pictures_leave_the_conversation_untouched(seeing, tmp_path, content):
    broken = tmp_path / "broken.png"
    broken.write_bytes(content)
    good = Chat((turn("Look.", PICTURES[2]),), GREEDY, 2)
    first = answer(seeing, good)
    with pytest.raises(EngineError) as caught:
        answer(seeing, Chat((*good.messages, Message("assistant", first.text), turn("This?", broken)), GREEDY, 2))
    assert caught.value.code == "picture_invalid"
    assert answer(seeing, good).cached_tokens >= first.prompt_tokens - 1


def test_a_picture_that_was_replaced_is_looked_at_again(seeing, tmp_path):
    path = tmp_path / "p.png"
    shutil.copy(PICTURES[2], path)
    before = seeing.count(Count((turn("Look.", path),), 16)).prompt_tokens
    shutil.copy(PICTURES[1], path)
    assert seeing.count(Count((turn("Look.", path),), 16)).prompt_tokens != before


def test_pictures_count_where_the_oldest_turns_are_left_out(load_session, vision_model):
    session = load_session(vision_model.path, context=1024)
    dropped = []
    turns = (turn("One.", PICTURES[2]), Message("assistant", "Yes."), turn("Two.", PICTURES[2]))
    result = session.chat(
        Chat(turns, GREEDY, 4, num_crops=4),
        Cancellation(),
        arrived=0.0,
        on_text=lambda text, ids: None,
        on_dropped=dropped.append,
        on_progress=quiet,
    )
    assert dropped == [2] and 757 < result.prompt_tokens < 1024
