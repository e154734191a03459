"""Test that rows of every published form become the examples they mean."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.example import Example, RowProblem
from engine.data.reader import DataFile
from engine.protocol import Message
from tests.helpers.fixtures import DATA

QUESTION, ANSWER = Message("user", "Why?"), Message("assistant", "Because.")
TALK = (QUESTION, ANSWER)
SYSTEM = Message("system", "Be brief.")


def turns(*pairs, role="role", content="content"):
    return [{role: who, content: text} for who, text in pairs]


PAIR = (("user", "Why?"), ("assistant", "Because."))

CONVERSATIONS = {
    "messages": [
        ({"messages": turns(*PAIR)}, TALK),
        ({"messages": turns(("developer", "Be brief."), *PAIR)}, (SYSTEM, *TALK)),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}, turns(PAIR[1])[0]]}, TALK),
        (turns(*PAIR), TALK),
        ({"conversations": turns(*PAIR)}, TALK),
        (
            {"messages": [*turns(PAIR[0]), {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}]},
            (QUESTION, Message("assistant", '[{"name": "f"}]')),
        ),
        ({"messages": turns(*PAIR), "tools": [{"name": "f"}]}, (Message("system", '[{"name": "f"}]'), *TALK)),
    ],
    "sharegpt": [
        ({"conversations": turns(("human", "Why?"), ("gpt", "Because."), role="from", content="value")}, TALK),
        ({"system": "Be brief.", "conversations": turns(*PAIR, role="from", content="value")}, (SYSTEM, *TALK)),
        (
            {"conversations": turns(("human", "Why?"), ("function_call", "f()"), ("observation", "1"), role="from")},
            (QUESTION, Message("assistant", "f()"), Message("user", "1")),
        ),
    ],
    "self-instruct": [
        ({"instruction": "Why?", "instances": [{"input": "", "output": "Because."}]}, TALK),
        (
            {"instruction": "Add.", "instances": [{"input": "1 2", "output": 3}]},
            (Message("user", "Add.\n1 2"), Message("assistant", "3")),
        ),
    ],
    "alpaca": [
        ({"instruction": "Why?", "input": "", "output": "Because."}, TALK),
        ({"Instruction": "Why?", "Output": "Because."}, TALK),
        ({"instruction": "Why?", "context": None, "response": "Because."}, TALK),
        ({"system": "Be brief.", "instruction": "Why?", "output": "Because."}, (SYSTEM, *TALK)),
        (
            {"instruction": "And?", "output": "No.", "history": [["Why?", "Because."]]},
            (*TALK, Message("user", "And?"), Message("assistant", "No.")),
        ),
    ],
    "prompt-completion": [
        ({"prompt": "Why?", "completion": "Because."}, TALK),
        ({"question": "Why?", "answer": "Because."}, TALK),
        ({"prompt": turns(PAIR[0]), "completion": turns(PAIR[1])}, TALK),
        ({"prompt": turns(PAIR[0]), "completion": "Because."}, TALK),
    ],
    "marked-text": [
        ({"text": "### Human: Why? ### Assistant: Because."}, TALK),
        ({"text": "### System: Be brief.\n### Instruction:\nWhy?\n\n### Response:\nBecause."}, (SYSTEM, *TALK)),
        ({"text": "\n\nHuman: Why?\n\nAssistant: Because."}, TALK),
    ],
}


def examples(tmp_path, *rows, name="rows.json"):
    path = tmp_path / name
    path.write_text(json.dumps(list(rows)), "utf-8")
    file = DataFile(path)
    return file.recognition, list(file.items())


@pytest.mark.parametrize(
    ("form", "row", "messages"),
    [(form, row, messages) for form, cases in CONVERSATIONS.items() for row, messages in cases],
)
def test_conversations(tmp_path, form, row, messages):
    if "from" in json.dumps(row):
        row = json.loads(json.dumps(row).replace('"content"', '"value"'))
    recognition, [example] = examples(tmp_path, row)
    assert (recognition.format, recognition.share) == (form, 1.0)
    assert (example.kind, example.messages) == ("conversation", messages)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": "Because.", "rejected": "No."},
        {"prompt": turns(PAIR[0]), "chosen": turns(PAIR[1]), "rejected": turns(("assistant", "No."))},
        {"prompt": "Why?", "chosen": turns(*PAIR), "rejected": turns(PAIR[0], ("assistant", "No."))},
        {"chosen": turns(*PAIR), "rejected": turns(PAIR[0], ("assistant", "No."))},
        {"question": "Why?", "chosen": turns(PAIR[1])[0], "rejected": turns(("assistant", "No."))[0]},
        {"chosen": "\n\nHuman: Why?\n\nAssistant: Because.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."},
        {"prompt": "\n\nHuman: Why?\n\nAssistant:", "chosen": "Because.", "rejected": "No."},
    ],
)
def test_preferences(tmp_path, row):
    recognition, [example] = examples(tmp_path, row)
    assert recognition.format == "preference"
    assert example.kind == "preference"
    assert example.messages == (QUESTION,)
    assert (example.chosen, example.rejected) == ((ANSWER,), (Message("assistant", "No."),))


def test_texts(tmp_path):
    recognition, [first, second] = examples(tmp_path, {"text": "A tale."}, "Another.")
    assert recognition.format == "text"
    assert [(example.kind, example.text) for example in (first, second)] == [("text", "A tale."), ("text", "Another.")]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"messages": turns(("narrator", "x"))},
            "A turn is by 'narrator', which is neither system, user nor assistant.",
        ),
        ({"messages": []}, "The row does not have"),
        ({"messages": "Hi"}, "The row does not have"),
        ({"messages": [{"role": "user", "content": "x"}, 3]}, "A turn is no object with a role and a text."),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "`content` is no text."),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "of the unknown type 'video'"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, "The text contains a NUL character."),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "half a character"),
        ({"instruction": ["a"], "output": "b"}, "`instruction` is no text."),
        ({"instruction": "a", "output": "b", "history": ["x"]}, "`history` is no list of questions with answers."),
        ({"instruction": "a", "instances": ["x"]}, "An instance is no object"),
        ({"prompt": "a", "completion": "b", "label": False}, "The row is labelled as a bad answer."),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "The row prefers an answer to itself."),
        ({"chosen": "a", "rejected": "b"}, "The row has two answers and no prompt."),
        ({"role": "user", "text": "Hi", "replies": []}, "The tree has no answer."),
        ({"role": "user", "text": "Hi", "replies": ["x"]}, "`replies` is no list of messages."),
        (7, "The row has no names for its values."),
        ({"other": 1}, "The row does not have turns with `role` and `content`."),
    ],
)
def test_rows_with_errors_are_named_and_the_others_stay(tmp_path, row, sentence):
    good = {"messages": turns(*PAIR)}
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in (good, row, good)))
    first, problem, last = DataFile(path).items()
    assert (first.messages, last.messages) == (TALK, TALK)
    assert isinstance(problem, RowProblem)
    assert sentence in problem.sentence
    assert str(problem.place) == "line 2"


def test_rows_of_another_form_are_read_as_well(tmp_path):
    recognition, found = examples(
        tmp_path, {"messages": turns(*PAIR)}, {"messages": turns(*PAIR)}, {"prompt": "Why?", "completion": "Because."}
    )
    assert recognition.evidence == "2 of the first 3 rows have turns with `role` and `content`."
    assert [example.messages for example in found] == [TALK] * 3


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "img").mkdir()
    paths = [tmp_path / "img" / name for name in ("a.png", "b.png")]
    for path in paths:
        path.write_bytes(b"picture")
    return [str(path.resolve()) for path in paths]


def test_pictures_go_where_their_marks_are(tmp_path, pictures):
    row = {
        "images": ["img/a.png", "img/b.png"],
        "conversations": turns(
            ("human", "<image>\nWhat is it?"),
            ("gpt", "A cat."),
            ("human", "And <image>?"),
            role="from",
            content="value",
        ),
    }
    _, [example] = examples(tmp_path, row)
    assert example.messages == (
        Message("user", "What is it?", (pictures[0],)),
        Message("assistant", "A cat."),
        Message("user", "And\n?", (pictures[1],)),
    )
    assert example.pictures == tuple(pictures)


@pytest.mark.parametrize(
    "row",
    [
        {"image": "img/a.png", "messages": turns(*PAIR)},
        {"image": "img/a.png", "prompt": "Why?", "completion": "Because."},
        {"images": ["img/a.png"], "instruction": "<image>Why?", "output": "Because."},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "img/a.png"}},
                        {"type": "text", "text": "Why?"},
                    ],
                },
                turns(PAIR[1])[0],
            ]
        },
    ],
)
def test_pictures_without_marks_come_first(tmp_path, pictures, row):
    _, [example] = examples(tmp_path, row)
    assert example.messages == (Message("user", "Why?", (pictures[0],)), ANSWER)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        ("img/none.png", "The picture img/none.png is not there."),
        ("https://example.com/a.png", "lies on the internet"),
        ({"bytes": "x"}, "not given as the path of a file"),
        (["img/a.png", "img/b.png"], "The row has 2 pictures and 1 marks <image>."),
        (None, "The row has 0 pictures and 1 marks <image>."),
        ("a\x00b", "is not there"),
        ("x" * 5000, "is not there"),
    ],
)
def test_pictures_that_are_not_there_are_problems(tmp_path, pictures, image, sentence):
    _, [problem] = examples(tmp_path, {"image": image, "messages": turns(("user", "<image> What?"), PAIR[1])})
    assert sentence in problem.sentence


def test_open_assistants_trees_give_the_best_threads_and_all_ranked_pairs():
    found = list(DataFile(DATA / "training" / "oasst_trees.jsonl").items())
    threads = [example for example in found if example.kind == "conversation"]
    pairs = [example for example in found if example.kind == "preference"]
    assert [thread.messages[0].content for thread in threads] == [
        "Who are you?",
        "what is the speed of an unladen swallow ?",
    ]
    assert all(thread.messages[-1].role == "assistant" for thread in threads)
    # Three, three, four and three ranked answers: 3 + 3 and 6 + 3 pairs.
    assert len(pairs) == 15
    assert pairs[0].chosen[0].content.startswith("I am an open-source AI language model")
    assert all(pair.chosen != pair.rejected and pair.messages[-1].role == "user" for pair in pairs)


@pytest.mark.parametrize(
    ("name", "form", "count"),
    [
        ("identity.json", "alpaca", 60),
        ("glaive.json", "sharegpt", 3),
        ("dolly.jsonl", "marked-text", 60),
        ("self_instruct.jsonl", "self-instruct", 4),
    ],
)
def test_published_files_are_read_whole(name, form, count):
    file = DataFile(DATA / "training" / name)
    found = list(file.items())
    assert file.recognition.format == form
    assert len(found) == count
    assert all(isinstance(example, Example) and example.messages[-1].role == "assistant" for example in found)


CONTENT = st.text(max_size=10).filter(lambda text: "\x00" not in text and "<image>" not in text)
MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), CONTENT), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(MESSAGES.map(tuple))
def test_what_is_written_reads_back_the_same(tmp_path_factory, messages):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    example = Example(None, messages)
    path.write_text(json.dumps(example.to_row(), ensure_ascii=False) + "\n", "utf-8")
    [found] = DataFile(path).items()
    assert found.messages == messages
    assert found.content_hash() == example.content_hash()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["user", "assistant", "x", "<image>", "### Human: a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "type", "text", "replies", "rank", "path"]), inner
        )
    ),
    max_leaves=10,
)
NAMES = (
    *("messages", "conversations", "prompt", "completion", "chosen", "rejected", "instruction", "output", "instances"),
    *("input", "history", "text", "system", "tools", "images", "image", "label", "role", "replies"),
)
COLUMNS = st.sampled_from(NAMES)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(COLUMNS, JSON_VALUES, max_size=5))
def test_no_row_breaks_the_reader(tmp_path_factory, row):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text('{"text": "x"}\n' + json.dumps(row) + "\n")
    found = list(DataFile(path).items())
    assert all(isinstance(item, Example | RowProblem) for item in found)
