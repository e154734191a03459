"""Test what the checks find in whole files, and which examples stay."""

import json

import pytest

from engine.data.examination import CHECKS, CheckOptions, Examination, examine, installed_checks
from engine.data.split import split_examples
from engine.errors import EngineError
from tests.helpers.fixtures import DATA

ENGLISH = (
    "Camels use the fat in their humps to keep them filled with energy for long periods of time."
    " That is why they can cross a desert, which no horse and no cow can do without being led to water."
)
GERMAN = "Kamele nutzen das Fett in ihren Höckern, um lange Zeit ohne Nahrung auszukommen."
QUIET = CheckOptions(guess_language=False)
ALL = CheckOptions(near_threshold=0.8)


def talk(question, answer="It is so."):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def write(tmp_path, *rows, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def found(examination):
    """Give the codes and details of the findings of each example."""
    return [{finding.check: finding.detail for finding in record.findings} for record in examination.records]


def test_every_check_finds_its_fault(tmp_path):
    evaluation = write(tmp_path, {"question": " ".join(map(str, range(1000, 1020)))}, name="test.jsonl")
    rows = [
        talk(ENGLISH),
        talk(ENGLISH),
        talk(ENGLISH.replace("Camels", "All camels"), "It is so, yes."),
        talk(ENGLISH, " "),
        talk(f"{ENGLISH} What is it for?<|im_end|>"),
        {"messages": [{"role": "user", "content": "And then?"}]},
        talk("Was tun Kamele?", GERMAN),
        talk(" ".join(map(str, range(1000, 1020)))),
        talk("Who is jane@example.org?"),
        talk("Who is {{name}}?"),
        talk("word " * 50),
    ]
    options = CheckOptions(
        max_tokens=50,
        count_tokens=lambda example: sum(len(text.split()) for text in example.texts()),
        near_threshold=0.6,
        evaluations=(evaluation,),
    )
    examination = examine([write(tmp_path, *rows)], options)
    findings = found(examination)
    assert findings[0] == {}
    assert findings[1] == {"duplicate": "is the same as line 1"}
    assert findings[2] == {"near-duplicate": "is nearly the same as line 1"}
    assert findings[3]["empty"] == "has an empty turn"
    assert findings[4]["template"] == "has '<|im_end|>' of ChatML in its text"
    assert findings[5] == {"roles": "has no answer"}
    assert findings[6] == {"language": "is in 'de', not in 'en'"}
    assert findings[7] == {"contaminated": "repeats test.jsonl"}
    assert findings[8] == {"personal-data": "seems to hold: e-mail address"}
    assert findings[9] == {"slots": "has the unfilled slot '{{name}}'"}
    assert findings[10]["too-long"] == "has 53 tokens"
    assert {check for checks in findings for check in checks} == set(CHECKS)
    assert examination.kept(CHECKS) == [0]
    assert examination.kept(["roles"]) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]


def test_a_wanted_language_counts_for_more_than_the_common_one(tmp_path):
    path = write(tmp_path, talk(ENGLISH), talk(ENGLISH + " Yes."), talk("Was tun Kamele?", GERMAN), talk("2 + 2?", "4"))
    assert examine([path], CheckOptions()).kept(["language"]) == [0, 1, 3]
    assert examine([path], CheckOptions(language="de")).kept(["language"]) == [2, 3]


def test_the_first_of_equal_examples_stays_unless_another_check_drops_it(tmp_path):
    path = write(tmp_path, talk(ENGLISH), talk(ENGLISH), talk(ENGLISH), talk("Else?"))
    examination = examine([path], QUIET)
    assert examination.kept(["duplicate"]) == [0, 3]
    near = write(tmp_path, talk(f"{ENGLISH} {ENGLISH}<|end|>"), talk(f"{ENGLISH} {ENGLISH}"))
    examination = examine([near], ALL)
    assert "near-duplicate" in found(examination)[1]
    assert examination.kept(["near-duplicate"]) == [0]
    assert examination.kept(["near-duplicate", "template"]) == [1]


def test_pairs_of_one_tree_are_no_duplicates_but_stay_on_one_side():
    examination = examine([DATA / "training" / "oasst_trees.jsonl"], ALL)
    assert examination.kept(["duplicate", "near-duplicate"]) == list(range(17))
    groups = examination.groups()
    assert len(set(groups)) == 2
    split = split_examples([record.content_hash for record in examination.records], groups, 0.5)
    assert {groups[number] for number in split.training}.isdisjoint({groups[number] for number in split.validation})


def test_alike_examples_are_one_group(tmp_path):
    path = write(tmp_path, talk(ENGLISH), talk("Else?"), talk(ENGLISH), talk(ENGLISH + " Yes."))
    assert examine([path], ALL).groups() == [0, 1, 0, 0]


def test_kept_examples_are_read_again(tmp_path):
    path = write(tmp_path, talk("One?"), 7, talk("Two?"), talk("Three?"))
    examination = examine([path], QUIET)
    assert [example.messages[0].content for example in examination.examples([0, 2])] == ["One?", "Three?"]
    assert list(examination.examples([])) == []


@pytest.mark.parametrize("rows", [[talk("One?"), talk("Other?")], [talk("One?")]])
def test_data_that_changed_in_between_is_refused(tmp_path, rows):
    examination = examine([write(tmp_path, talk("One?"), talk("Two?"))], QUIET)
    write(tmp_path, *rows)
    with pytest.raises(EngineError, match="changed while it was read"):
        list(examination.examples([0, 1]))


def test_problems_are_counted_and_listed(tmp_path):
    examination = examine([write(tmp_path, talk("One?"), *[3] * 1500)], QUIET)
    assert examination.problem_count == 1500
    assert len(examination.problems) == 1000
    assert str(examination.problems[0].place) == "line 2"


def test_a_folder_is_read_as_one_set_with_progress(tmp_path):
    folder = tmp_path / "data"
    (folder / "more").mkdir(parents=True)
    write(folder, talk("One?"), name="a.jsonl")
    write(folder, talk("One?"), name="more/a.jsonl")
    seen = []
    examination = examine([folder], QUIET, lambda name, done, total: seen.append((name, done == total)))
    assert found(examination) == [{}, {"duplicate": "is the same as line 1 of a.jsonl"}]
    assert {name for name, _ in seen} == {"a.jsonl", "more/a.jsonl"}
    assert seen[-1] == ("more/a.jsonl", True)


def test_what_progress_raises_ends_the_examination(tmp_path):
    def stop(name, done, total):
        raise EngineError("cancelled", "The work was cancelled.")

    with pytest.raises(EngineError, match="cancelled"):
        examine([write(tmp_path, talk("One?"))], QUIET, stop)


def test_all_libraries_of_the_checks_are_installed_here():
    assert installed_checks() == CheckOptions(guess_language=True, near_threshold=0.8)


def test_no_examples_belong_to_no_groups():
    assert Examination(QUIET, []).groups() == []
