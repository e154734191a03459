"""Lead from dropped data to a model in the chat, with the real processes and a tiny checkpoint."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.background import Background
from app.job_queue import JobQueue
from app.storage.conversations import Conversations
from app.storage.database import open_database
from app.storage.messages import BAD, GOOD, AnswerStats, Messages
from app.storage.votes import Votes
from app.theme import Theme
from app.training.controller import TrainingController, TrainingServices, example_file
from app.training.new_run_dialog import NewRunDialog
from app.training.packages import PackagesStatus, TrainingPackages
from app.training.page import TrainingPage
from app.training.run import Run
from app.training.run_queue import RunQueue
from engine.jobs.events import ImportJob, JobDone, JobFailed, TrainJob
from engine.library.folders import starter_path
from engine.training_environment.environment import TrainingEnvironment
from engine.training_environment.lock import program_lock
from tests.app.library.conftest import AnsweringNotices
from tests.app.training.conftest import ESTIMATE, MakeRun, WriteRun, steps, whole_run

WAIT_MS = 180_000


@dataclass
class Training:
    """Hold the page and everything behind it."""

    page: TrainingPage
    controller: TrainingController
    queue: RunQueue
    jobs: JobQueue
    conversations: Conversations
    messages: Messages
    notices: AnsweringNotices
    models: list[Path] = field(default_factory=list)
    chats: list[tuple[Path, str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@pytest.fixture
def training(
    qtbot: QtBot, theme: Theme, background: Background, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Training]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # where workers say that they are busy
    database = open_database(tmp_path / "phidelity.db")
    conversations, messages = Conversations(database), Messages(database)
    page = TrainingPage(theme)
    qtbot.addWidget(page)
    queue, jobs, notices = RunQueue(tmp_path / "runs", background), JobQueue(tmp_path / "jobs"), AnsweringNotices(page)
    models: list[Path] = []
    services = TrainingServices(
        theme,
        queue,
        jobs,
        conversations,
        messages,
        Votes(database),
        notices,
        background,
        TrainingPackages(TrainingEnvironment(tmp_path / "environment"), program_lock(), background, has_own=True),
        models=lambda: models,
        models_folder=lambda: tmp_path / "models",
        bases=tmp_path / "bases",
        datasets=tmp_path / "datasets",
    )
    controller = TrainingController(page, services)
    made = Training(page, controller, queue, jobs, conversations, messages, notices, models)
    controller.chat_requested.connect(lambda *asked: made.chats.append(asked))
    controller.note_changed.connect(made.notes.append)
    page.resize(1000, 700)
    page.show()
    yield made
    if queue.active is not None:
        queue.stop(queue.active)
        qtbot.waitUntil(lambda: queue.active is None, timeout=WAIT_MS)
    for job in jobs.jobs:
        jobs.cancel(job.identity)
    qtbot.waitUntil(lambda: not jobs._handles, timeout=WAIT_MS)
    queue.close()
    jobs.close()
    database.close()


def data_file(folder: Path) -> Path:
    """Write rows with one duplicate and one that cannot be read."""
    rows = [
        {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"It is {n}!"}]}
        for n in range(12)
    ]
    lines = [json.dumps(row) for row in (*rows, rows[0])]
    path = folder / "my_rows.jsonl"
    path.write_text("\n".join([*lines, "{broken"]) + "\n", "utf-8")
    return path


def prepared(qtbot: QtBot, training: Training, checkpoint: Path, data: Path) -> NewRunDialog:
    """Open the dialog with data that has been examined."""
    dialog = training.controller.ask_new([])
    dialog.base.choose_folder(checkpoint)
    assert not dialog.start_button.isEnabled()
    dialog.add_data([data])
    qtbot.waitUntil(dialog.start_button.isEnabled, timeout=WAIT_MS)
    return dialog


def test_from_data_to_the_chat(
    qtbot: QtBot, training: Training, checkpoint: Path, gguf_file: Path, tmp_path: Path
) -> None:
    dialog = prepared(qtbot, training, checkpoint, data_file(tmp_path))
    assert dialog.name.text() == "My rows"
    qtbot.waitUntil(dialog.tokens.isVisible, timeout=WAIT_MS)
    assert "It is" in dialog.tokens.text()
    dialog.advanced.set_value("epochs", 1.0)
    dialog.advanced.set_value("rank", 2)
    dialog.start_button.click()
    qtbot.waitUntil(lambda: training.queue.active is not None, timeout=WAIT_MS)
    run = training.queue.active
    assert run is not None
    assert training.controller._dialog is None
    assert (run.note.kept, run.note.examples, run.note.left_out) == (12, 14, {"duplicate": 1, "unreadable": 1})
    assert training.page.shown is run

    qtbot.waitUntil(lambda: run.state == "asking", timeout=WAIT_MS)
    assert run.step is None
    training.page.card.asked.emit("confirm", run)
    qtbot.waitUntil(lambda: run.ended, timeout=WAIT_MS)
    assert run.state == "done", run.failure
    assert run.losses
    assert run.evaluations
    assert any(note.endswith("%") for note in training.notes)
    assert training.notes[-1] == ""
    assert "My rows is ready." in training.notices.said

    training.models.append(gguf_file)
    training.controller.use_in_chat(run)
    qtbot.waitUntil(lambda: bool(training.chats), timeout=WAIT_MS)
    [(model, adapter, num_crops)] = training.chats
    assert num_crops == 0
    assert model == gguf_file
    assert Path(adapter) == tmp_path / "models" / "My rows.lora.gguf"
    assert Path(adapter).is_file()

    training.controller.export(run, "My rows", "q8_0")
    qtbot.waitUntil(lambda: bool(training.jobs.jobs), timeout=WAIT_MS)
    job = training.jobs.jobs[0].job
    assert isinstance(job, ImportJob)
    assert job.source == str(checkpoint)
    assert Path(str(job.adapter)).is_dir()
    out = tmp_path / "models" / "My rows-Q8_0.gguf"
    qtbot.waitUntil(lambda: not training.jobs.jobs or training.jobs.jobs[0].failure is not None, timeout=WAIT_MS)
    assert out.is_file()


def test_faults_of_the_data_are_told_and_cancelling_leaves_nothing(
    qtbot: QtBot, training: Training, tmp_path: Path
) -> None:
    dialog = training.controller.ask_new([])
    dialog.base.choose_folder(tmp_path)
    dialog.add_data([data_file(tmp_path)])
    qtbot.waitUntil(lambda: not dialog.data._failure.isHidden(), timeout=WAIT_MS)
    assert not dialog.start_button.isEnabled()
    dialog.reject()
    assert dialog._preview is None
    assert not (tmp_path / "runs").exists()
    assert training.controller._dialog is None


def test_chosen_chats_become_data(qtbot: QtBot, training: Training, tmp_path: Path) -> None:
    chat = training.conversations.create("Lisbon")
    question = training.messages.add(chat.id, None, "user", "How is Lisbon?")
    answer = training.messages.add(chat.id, question.id, "assistant", "Sunny.", streaming=True)
    training.messages.finish(answer.id, AnswerStats("stop"))
    dialog = training.controller.ask_new([])
    training.controller.take_chats([chat.id, 999])
    qtbot.waitUntil(lambda: bool(dialog.data.paths), timeout=WAIT_MS)
    assert dialog.data.paths == [tmp_path / "datasets" / "my-chats.jsonl"]
    dialog.reject()


def test_ratings_of_chosen_chats_become_preferences_and_dpo_is_proposed(qtbot: QtBot, training: Training) -> None:
    chat = training.conversations.create("Lisbon")
    question = training.messages.add(chat.id, None, "user", "How is Lisbon?")
    for text, rating in (("Grey.", BAD), ("Sunny.", GOOD)):
        answer = training.messages.add(chat.id, question.id, "assistant", text)
        training.messages.rate(answer.id, rating)
    dialog = training.controller.ask_new([])
    training.controller.take_chats([chat.id], "preferences")
    qtbot.waitUntil(lambda: dialog._summary is not None, timeout=WAIT_MS)
    assert dialog._summary is not None
    assert dialog._summary.kinds == {"preference": 1}
    assert dialog.method.method == "dpo"
    training.controller.take_chats([chat.id])
    qtbot.waitUntil(lambda: dialog.method.method == "lora", timeout=WAIT_MS)
    dialog.reject()


def test_packages_are_downloaded_only_after_a_yes(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    assert training.page.packages.isHidden()
    packages = training.controller._services.packages
    begun: list[Path | None] = []
    monkeypatch.setattr(packages, "install", lambda wheels=None: begun.append(wheels))
    packages.status = PackagesStatus("absent", download_bytes=364_000_000, disk_bytes=1_300_000_000)
    packages.changed.emit()
    assert training.page.packages.isVisible()
    training.notices.answer = False
    training.page.packages.install.click()
    assert not begun
    training.notices.answer = True
    training.page.packages.install.click()
    assert begun == [None]
    question, consequence = training.notices.questions[-1]
    assert "364 MB" in question and "1.3 GB" in consequence


def test_a_folder_of_wheels_is_chosen(training: Training, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packages = training.controller._services.packages
    begun: list[Path | None] = []
    monkeypatch.setattr(packages, "install", begun.append)
    for chosen in ("", str(tmp_path)):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, chosen=chosen: chosen)
        training.page.packages.wheels_requested.emit()
    assert begun == [tmp_path]


def test_packages_are_removed_after_a_yes_and_never_under_a_run(
    training: Training, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(training.controller._services.packages, "remove", lambda: removed.append("removed"))
    monkeypatch.setattr(RunQueue, "active", property(lambda _: make_run(steps(3))))
    training.controller.remove_packages()
    assert not removed and "in use" in training.notices.said[-1]
    monkeypatch.setattr(RunQueue, "active", None)
    training.controller.remove_packages()
    assert removed == ["removed"]


def test_closing_the_window_closes_the_dialog_and_its_process(training: Training) -> None:
    dialog = training.controller.ask_new([example_file()])
    preview = dialog._preview
    assert preview is not None
    training.controller.close()
    assert preview._process.state() == preview._process.ProcessState.NotRunning
    assert training.controller._dialog is None


def test_the_example_is_there_and_opens_with_the_first_step(training: Training) -> None:
    assert len(example_file().read_text("utf-8").splitlines()) == 56
    training.page.example_requested.emit()
    dialog = training.controller._dialog
    assert dialog is not None
    assert dialog.data.paths == [example_file()]
    dialog.reject()


def test_an_adapter_of_the_starter_is_used_with_it(
    qtbot: QtBot, training: Training, write_run: WriteRun, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    (folder / "result").mkdir(parents=True)
    (folder / "result" / "run.lora.gguf").write_bytes(b"adapter")
    write_run("Support tone", whole_run(folder))
    training.queue.resume()
    qtbot.waitUntil(lambda: bool(training.queue.runs), timeout=WAIT_MS)
    training.page.table.chat_requested.emit(training.queue.runs[0])
    qtbot.waitUntil(lambda: bool(training.chats), timeout=WAIT_MS)
    assert training.chats == [(starter_path(), str(tmp_path / "models" / "Support tone.lora.gguf"), 0)]


def test_former_results_and_bases_are_offered(
    training: Training, make_run: MakeRun, checkpoint: Path, tmp_path: Path
) -> None:
    result = tmp_path / "checkpoint"
    result.mkdir()
    run = make_run([JobDone({"path": str(result)})], method="full", note={"base": "Phi-tiny"})
    run.job = TrainJob(str(checkpoint), "data.jsonl", "full")
    training.queue._runs[run.identity] = run
    assert [choice.base for choice in training.controller._bases()] == ["starter", str(result), str(checkpoint)]


@pytest.mark.parametrize(
    ("ask", "changed"), [("smaller batch", {"batch_size": 4}), ("retry", {"learning_rate": 5e-5}), ("continue", {})]
)
def test_remedies_begin_again(
    training: Training, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, ask: str, changed: dict[str, float]
) -> None:
    begun: list[TrainJob | None] = []
    monkeypatch.setattr(training.queue, "start_again", lambda run, job=None: begun.append(job))
    run: Run = make_run([ESTIMATE, *steps(3), JobFailed("out_of_memory", "")])
    training.page.card.asked.emit(ask, run)
    [job] = begun
    assert (job is None) == (not changed)
    for name, value in changed.items():
        assert getattr(job, name) == pytest.approx(value)


def test_deleting_is_confirmed(qtbot: QtBot, training: Training, write_run: WriteRun) -> None:
    folder = write_run("Old", [JobFailed("cancelled", "")])
    training.queue.resume()
    qtbot.waitUntil(lambda: bool(training.queue.runs), timeout=WAIT_MS)
    run = training.queue.runs[0]
    training.notices.answer = False
    training.page.table.delete_requested.emit(run)
    assert folder.exists()
    training.notices.answer = True
    training.page.table.delete_requested.emit(run)
    qtbot.waitUntil(lambda: not folder.exists(), timeout=WAIT_MS)
    assert training.notices.questions[0][0] == "Delete the run Old?"
