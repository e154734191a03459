"""Test that chats give what the user chose, and nothing else."""

import pytest

from engine.data.example import Place, RowProblem
from engine.data.from_chat import DOWN, UP, Chat, ChatChoice, ChatMessage, ChatVote, chat_examples
from engine.protocol import Message

EVERYTHING = ChatChoice(conversations=True, rated_pairs=True, regenerated_pairs=True, edited_pairs=True)


def chat(*messages, system_prompt=""):
    return Chat(1, messages, system_prompt)


def user(number, parent, text=None, **changes):
    return ChatMessage(number, parent, "user", text or f"question {number}", **changes)


def answer(number, parent, text=None, **changes):
    return ChatMessage(number, parent, "assistant", text or f"answer {number}", **changes)


def examples(choice, *chats):
    return list(chat_examples(chats, choice))


def words(example):
    """Give the texts of an example in its three parts."""
    return tuple([message.content for message in part] for part in (example.messages, example.chosen, example.rejected))


def pairs(choice, *messages):
    return [(words(example)[1], words(example)[2]) for example in examples(choice, chat(*messages))]


TALK = (user(1, None), answer(2, 1), user(3, 2), answer(4, 3))
VERSIONS = (
    user(1, None),
    answer(2, 1, shown=False, rating=DOWN),
    answer(3, 1, shown=False),
    answer(4, 1, rating=UP),
)


def test_nothing_is_given_without_a_choice():
    assert examples(ChatChoice(), chat(*VERSIONS), chat(*TALK)) == []


def test_conversations_are_given_as_they_are_shown():
    [example] = examples(ChatChoice(conversations=True), chat(*TALK, system_prompt="Be brief."))
    assert example.place == Place("chats", 1, "chat")
    assert example.messages == (
        Message("system", "Be brief."),
        Message("user", "question 1"),
        Message("assistant", "answer 2"),
        Message("user", "question 3"),
        Message("assistant", "answer 4"),
    )
    [example] = examples(ChatChoice(conversations=True), chat(*VERSIONS))
    assert words(example)[0] == ["question 1", "answer 4"]


@pytest.mark.parametrize(
    ("last", "length"),
    [
        ((user(5, 4),), 4),
        ((user(5, 4), answer(6, 5, finished=False)), 4),
        ((user(5, 4), answer(6, 5, rating=DOWN), user(7, 6), answer(8, 7)), 4),
        ((user(5, 4), answer(6, 5, " ")), 4),
        ((user(5, 4), answer(6, 5)), 6),
    ],
)
def test_conversations_end_with_their_last_good_answer(last, length):
    [example] = examples(ChatChoice(conversations=True), chat(*TALK, *last))
    assert len(example.messages) == length


def test_only_rated_conversations():
    choice = ChatChoice(conversations=True, only_rated=True)
    assert examples(choice, chat(*TALK)) == []
    [example] = examples(choice, chat(user(1, None), answer(2, 1, rating=UP), user(3, 2), answer(4, 3)))
    assert words(example)[0] == ["question 1", "answer 2"]


def test_rated_versions_make_a_pair():
    [example] = examples(ChatChoice(rated_pairs=True), chat(*VERSIONS, system_prompt="Be brief."))
    assert words(example) == (["Be brief.", "question 1"], ["answer 4"], ["answer 2"])


def test_the_kept_version_is_preferred_to_earlier_ones():
    assert pairs(ChatChoice(regenerated_pairs=True), *VERSIONS) == [
        (["answer 4"], ["answer 2"]),
        (["answer 4"], ["answer 3"]),
    ]


def test_a_version_to_which_the_user_went_back_says_nothing_of_later_ones():
    versions = (user(1, None), answer(2, 1), answer(3, 1, shown=False))
    assert pairs(ChatChoice(regenerated_pairs=True), *versions) == []


def test_ratings_count_for_more_than_the_order():
    versions = (user(1, None), answer(2, 1, shown=False, rating=UP), answer(3, 1, rating=DOWN))
    assert pairs(ChatChoice(rated_pairs=True, regenerated_pairs=True), *versions) == [(["answer 2"], ["answer 3"])]


def test_a_corrected_answer_is_preferred_to_what_the_model_wrote():
    versions = (user(1, None), answer(2, 1, shown=False), answer(3, 1, "better", edited_from=2))
    assert pairs(ChatChoice(edited_pairs=True), *versions) == [(["better"], ["answer 2"])]
    assert pairs(ChatChoice(regenerated_pairs=True), *versions) == []


def test_of_several_corrections_the_last_counts():
    edits = answer(3, 1, "better", edited_from=2, shown=False), answer(4, 1, "best", edited_from=2)
    versions = (user(1, None), answer(2, 1, shown=False), *edits)
    assert pairs(ChatChoice(edited_pairs=True), *versions) == [(["best"], ["answer 2"])]
    [example] = examples(ChatChoice(edited_conversations=True), chat(*versions))
    assert words(example) == (["question 1", "best"], [], [])


def test_conversations_lead_to_corrected_answers_shown_or_not():
    versions = (
        user(1, None),
        answer(2, 1, shown=False),
        answer(3, 1, "better", edited_from=2),
        user(4, 3),
        answer(5, 4),
        answer(6, 4, "better too", edited_from=5, shown=False),
    )
    [example] = examples(ChatChoice(edited_conversations=True), chat(*versions, system_prompt="Be kind."))
    assert words(example) == (["Be kind.", "question 1", "better", "question 4", "better too"], [], [])
    assert examples(ChatChoice(edited_conversations=True), chat(user(1, None), answer(2, 1))) == []


@pytest.mark.parametrize("changes", [{"rating": DOWN}, {"finished": False}])
def test_what_is_bad_before_a_correction_is_not_learned_with_it(changes):
    versions = (user(1, None), answer(2, 1, **changes), user(3, 2), answer(4, 3), answer(5, 3, "good", edited_from=4))
    assert examples(ChatChoice(edited_conversations=True), chat(*versions)) == []


def test_the_same_two_texts_make_one_pair():
    versions = (
        user(1, None),
        answer(2, 1, "a", rating=DOWN),
        answer(3, 1, "a ", rating=DOWN),
        answer(4, 1, "b", rating=UP),
    )
    assert pairs(ChatChoice(rated_pairs=True), *versions) == [(["b"], ["a"])]


@pytest.mark.parametrize(
    "versions",
    [
        (user(1, None), answer(2, 1, "same", rating=DOWN), answer(3, 1, "same", rating=UP)),
        (user(1, None), answer(2, 1, " ", rating=DOWN), answer(3, 1, rating=UP)),
        (user(1, None), answer(2, 1, rating=DOWN), answer(3, 1, rating=UP, finished=False)),
        (answer(1, None, rating=DOWN), answer(2, None, rating=UP)),
    ],
)
def test_versions_that_teach_nothing_make_no_pair(versions):
    assert pairs(ChatChoice(rated_pairs=True, regenerated_pairs=True, edited_pairs=True), *versions) == []


def test_pairs_further_down_have_the_whole_conversation_before_them():
    more = (user(5, 4), answer(6, 5, rating=DOWN), answer(7, 5, rating=UP))
    [example] = examples(ChatChoice(rated_pairs=True), chat(*TALK, *more))
    assert words(example)[0] == ["question 1", "answer 2", "question 3", "answer 4", "question 5"]


def test_a_damaged_chat_is_a_problem_and_the_others_stay():
    damaged = Chat(2, (user(1, None, "a\x00b"), answer(2, 1)))
    first, second = examples(EVERYTHING, damaged, chat(*TALK))
    assert isinstance(first, RowProblem)
    assert str(first.place) == "chat 2"
    assert len(second.messages) == 4


def test_lost_parents_and_circles_do_no_harm():
    messages = (user(1, 9), answer(2, 1), ChatMessage(3, 3, "user", "me"), answer(4, 99))
    assert all(example.messages for example in examples(EVERYTHING, chat(*messages), chat()))


def test_pictures_come_along():
    [example] = examples(ChatChoice(conversations=True), chat(user(1, None, pictures=("/a.png",)), answer(2, 1)))
    assert example.pictures == ("/a.png",)


def voted(votes, *messages, choice=None):
    found = examples(choice or ChatChoice(voted_pairs=True, rated_pairs=True), Chat(1, messages, votes=votes))
    return [(words(example)[1], words(example)[2]) for example in found]


def test_a_vote_gives_the_chosen_version_before_the_other():
    versions = (user(1, None), answer(2, 1, shown=False), answer(3, 1), answer(4, 1, shown=False))
    assert voted((ChatVote(2, 3),), *versions) == [(["answer 2"], ["answer 3"])]
    assert voted((ChatVote(2, 3),), *versions, choice=ChatChoice(rated_pairs=True)) == []


def test_a_vote_counts_more_than_ratings_and_a_pair_comes_once():
    versions = (user(1, None), answer(2, 1, shown=False, rating=UP), answer(3, 1, rating=DOWN))
    assert voted((ChatVote(3, 2),), *versions) == [(["answer 3"], ["answer 2"])]
    assert voted((ChatVote(2, 3),), *versions) == [(["answer 2"], ["answer 3"])]


def test_a_vote_for_an_answer_that_was_cut_off_or_for_one_that_is_gone_gives_nothing():
    versions = (user(1, None), answer(2, 1, shown=False, finished=False), answer(3, 1))
    assert voted((ChatVote(2, 3), ChatVote(9, 3)), *versions) == []
