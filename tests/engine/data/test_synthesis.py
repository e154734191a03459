"""Test which of a model's words become examples; the model is a script, so that every case can be had."""

from engine.data.example import Example, Place
from engine.data.synthesis import Reply, Synthesis
from engine.protocol import Message

QUESTIONS = ("Why is the sky blue today?", "How many legs has a spider?", "Who wrote that tale?", "What is tea?")
SEEDS = [
    Example(Place("f", number), (Message("user", text), Message("assistant", "So.")))
    for number, text in enumerate(QUESTIONS)
]


class Script:
    """Answer prompts for questions with the words of a list in turn, and questions with one answer."""

    def __init__(self, *questions, answer="It is so.", finished=True):
        self.questions, self.answer, self.finished = list(questions), answer, finished
        self.prompts = []

    def __call__(self, prompt, seed):
        """Note the prompt and give the next words."""
        self.prompts.append((prompt, seed))
        asks_for_question = "Write one" in prompt
        text = self.questions.pop(0) if asks_for_question else self.answer
        return Reply(text, asks_for_question or self.finished)


def made(script, count, seeds=SEEDS, seed=0):
    synthesis = Synthesis(seeds, script, count, seed)
    return [tuple(turn.content for turn in example.messages) for example in synthesis.examples()], synthesis.refused


def test_new_questions_are_asked_and_answered():
    script = Script("1. Where do swallows spend the winter?", '\nQuestion: "Can cats swim in the sea?"\nAnswer: yes')
    examples, refused = made(script, 2)
    assert examples == [
        ("Where do swallows spend the winter?", "It is so."),
        ("Can cats swim in the sea?", "It is so."),
    ]
    assert refused == {}
    assert sum(question in script.prompts[0][0] for question in QUESTIONS) == 3
    assert script.prompts[1][0] == "Where do swallows spend the winter?"


def test_what_is_no_good_is_counted_and_tried_again():
    script = Script(
        "Why is the sky blue today?",
        "Why?",
        "What does <|end|> mean to you?",
        "Where do swallows spend the winter?",
        "Where do swallows spend the winter?",
        "Can cats swim in the sea?",
        *["x"] * 4,
    )
    examples, refused = made(script, 2)
    assert [question for question, _ in examples] == [
        "Where do swallows spend the winter?",
        "Can cats swim in the sea?",
    ]
    assert refused == {
        "the question is like another": 2,
        "the question is too short": 1,
        "the question has chat tokens": 1,
    }


def test_bad_answers_are_no_examples():
    question = "Where do swallows spend the winter?"
    for script, reason in (
        (Script(question, *"abcd", answer=" "), "the answer is empty or has chat tokens"),
        (Script(question, *"abcd", answer="So.</s>"), "the answer is empty or has chat tokens"),
        (Script(question, *"abcd", finished=False), "the answer is too long"),
        (Script(question, *"abcd", answer="a\x00b"), "The text contains a NUL character."),
    ):
        examples, refused = made(script, 1)
        assert examples == []
        assert refused == {reason: 1, "the question is too short": 4}


def test_texts_are_asked_about_and_answered_from():
    text = " ".join(f"word{number}" for number in range(2000))
    script = Script("What comes after the first word?")
    examples, _ = made(script, 1, [Example(Place("f", 1), text=text)])
    assert examples == [("What comes after the first word?", "It is so.")]
    (asked, _), (answered, _) = script.prompts
    passage = asked.partition("\n\n")[0]
    assert passage in text
    assert 1900 < len(passage) <= 2000
    assert passage.split()[0] in text.split() and passage.split()[-1] in text.split()
    assert answered.startswith(passage)
    assert answered.endswith("What comes after the first word?")


def test_short_texts_are_shown_whole():
    script = Script("What is said about the cat?")
    made(script, 1, [Example(Place("f", 1), text="The cat is black.")])
    assert script.prompts[0][0].startswith("The cat is black.\n\n")


def test_conversations_and_texts_take_turns():
    script = Script("Where do swallows spend the winter?", "What is said about the cat?")
    examples, _ = made(script, 2, [*SEEDS, Example(Place("f", 1), text="The cat is black.")])
    assert len(examples) == 2
    assert "These are requests" in script.prompts[0][0]
    assert "The cat is black." in script.prompts[2][0]


def test_the_same_seed_asks_the_same():
    questions = ("Where do swallows spend the winter?", "Can cats swim in the sea?")
    first, second, third = Script(*questions), Script(*questions), Script(*questions)
    for script, seed in ((first, 1), (second, 1), (third, 2)):
        made(script, 2, seed=seed)
    assert first.prompts == second.prompts != third.prompts
