"""Put methods, states, times and counts of runs into words."""

from datetime import datetime

from PySide6.QtCore import QCoreApplication, QDate, QLocale

from app.durations import left_text
from app.training.run import Run
from engine.jobs.events import TrainJob

CHECK_ORDER = (
    "duplicate", "near-duplicate", "empty", "too-long", "template", "roles", "language", "personal-data", "slots"
)  # fmt: skip


def method_text(job: TrainJob) -> str:
    """Name a method as the badge shows it: `LoRA r16`."""
    names = {
        "lora": f"LoRA r{job.rank}",
        "qlora": f"QLoRA r{job.rank}",
        "full": _tr("Full"),
        "dpo": "DPO",
        "pretrain": _tr("Continued"),
    }
    return names.get(job.method, job.method)


def unit_text(method: str, count: int) -> str:
    """Count what a method learns from: `1,240 conversations`."""
    number = QLocale().toString(count)
    if method == "dpo":
        return _tr("1 preference") if count == 1 else _tr("{} preferences").format(number)
    if method == "pretrain":
        return _tr("1 text") if count == 1 else _tr("{} texts").format(number)
    return _tr("1 conversation") if count == 1 else _tr("{} conversations").format(number)


def check_text(check: str) -> str:
    """Name what a check finds, in a word or two."""
    names = {
        "duplicate": _tr("Duplicates"),
        "near-duplicate": _tr("Near-duplicates"),
        "empty": _tr("Empty turns"),
        "too-long": _tr("Too long"),
        "template": _tr("Chat tokens in the text"),
        "roles": _tr("Turns out of order"),
        "language": _tr("Other language"),
        "contaminated": _tr("Repeat an evaluation"),
        "personal-data": _tr("Personal data"),
        "slots": _tr("Unfilled slots"),
        "unreadable": _tr("Unreadable rows"),
    }
    return names.get(check, check)


def duration_text(seconds: float) -> str:
    """Write how long something takes: `40 s`, `12 min`, `3 h`."""
    if seconds < 90:
        return _tr("{} s").format(max(round(seconds), 1))
    if seconds < 5400:
        return _tr("{} min").format(round(seconds / 60))
    return _tr("{} h").format(round(seconds / 3600))


def size_text(size_bytes: float) -> str:
    """Write an amount of memory or disk: `80 MB`, `1.9 GB`."""
    if size_bytes < 0.95e9:
        return f"{max(round(size_bytes / 1e6), 1)} MB"
    return f"{size_bytes / 1e9:.1f} GB"


def when_text(created: float, now: datetime | None = None) -> str:
    """Write a day as people say it: `14:02`, `yesterday`, `Friday`, `3 Oct`."""
    moment, now = datetime.fromtimestamp(created), now or datetime.now()
    days = (now.date() - moment.date()).days
    if days <= 0:
        return moment.strftime("%H:%M")
    if days == 1:
        return _tr("yesterday")
    if days < 7:
        return QLocale().dayName(moment.isoweekday())
    date = QDate(moment.year, moment.month, moment.day)
    return QLocale().toString(date, "d MMM" if moment.year == now.year else "d MMM yyyy")


def state_text(run: Run) -> str:
    """Say what a run does at the moment."""
    stages = {
        "prepare": _tr("Preparing the base and the data…"),
        "pictures": _tr("Looking at the pictures…"),
        "measure": _tr("Measuring how long it will take…"),
        "export": _tr("Writing the result…"),
        "check": _tr("Checking the result…"),
    }
    match run.state:
        case "queued":
            return _tr("Waiting for its turn")
        case "asking":
            return _tr("Waiting for you")
        case "paused":
            return _tr("Paused")
        case "yielding":
            return _tr("Waiting while an answer is written")
        case "finishing":
            stage = run.progress.stage if run.progress else ""
            return stages.get(stage, _tr("Ending and keeping what was learned…"))
        case "preparing":
            begun = run.notice is not None and run.progress is None
            starting = _tr("Measuring the base before it learns…") if begun else _tr("Starting…")
            return stages.get(run.progress.stage if run.progress else "", starting)
        case "done":
            return _tr("Finished")
        case "stopped":
            return _tr("Stopped; what was learned is saved")
        case "failed":
            return _tr("Failed")
    return ""


def step_text(run: Run) -> str:
    """Say how far a run is: `Step 310 of 500 · epoch 1.9 of 3`, with its state where that is not plain training."""
    words = [] if run.state == "training" else [state_text(run)]
    if run.step is not None:
        locale = QLocale()
        step, steps = locale.toString(run.step.step), locale.toString(run.step.steps)
        words.append(_tr("Step {} of {}").format(step, steps))
        words.append(_tr("epoch {:.1f} of {:g}").format(run.step.epoch, run.job.epochs))
    return " · ".join(words)


def pace_text(run: Run) -> str:
    """Say how fast and how long: `412 tokens/s · about 9 min left`."""
    if run.step is None or run.state != "training":
        return ""
    words = [_tr("{} tokens/s").format(QLocale().toString(round(run.step.tokens_per_second)))]
    if run.step.seconds_left is not None:
        words.append(left_text(run.step.seconds_left))
    return " · ".join(words)


def estimate_text(run: Run) -> str:
    """Say what a run will take: time, memory and disk, each measured."""
    estimate = run.estimate
    if estimate is None:
        return ""
    return _tr("About {time} · {memory} of memory, {free} are free · {disk} on disk · {steps} steps").format(
        time=duration_text(estimate.seconds),
        memory=size_text(estimate.memory_bytes),
        free=size_text(estimate.memory_free),
        disk=size_text(estimate.disk_bytes),
        steps=QLocale().toString(estimate.steps),
    )


def loss_text(loss: float | None) -> str:
    """Write a loss: `1.42`."""
    return "–" if loss is None else f"{loss:.2f}"


def _tr(text: str) -> str:
    return QCoreApplication.translate("Training", text)
