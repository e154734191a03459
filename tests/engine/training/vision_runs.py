"""Make quick runs on the tiny vision checkpoint."""

import json
import shutil

from engine.jobs.events import TrainJob
from tests.engine.vision.vectors import FOLDER

PICTURES = (FOLDER / "img0_640x480.png", FOLDER / "img1_300x900.png", FOLDER / "img3_1400x500.png")
ANSWERS = ("A red boat!", "The old tower.", "Nothing at all.")


def exact_checkpoint(checkpoint, folder):
    """Copy a checkpoint of which everything is kept and compared in float32."""
    copy = shutil.copytree(checkpoint, folder)
    config = json.loads((copy / "config.json").read_text("utf-8")) | {"torch_dtype": "float32"}
    (copy / "config.json").write_text(json.dumps(config), "utf-8")
    return copy


def pair_rows(count=2, question="<image>What is it?"):
    """Give rows of which each asks the same of another picture."""
    turns = [(question, answer) for answer in ANSWERS[:count]]
    return [
        {
            "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}],
            "images": [str(picture)],
        }
        for picture, (asked, answer) in zip(PICTURES, turns, strict=False)
    ]


def vision_job(base, data, **options):
    """Make a job that takes seconds."""
    options = {
        "steps": 4,
        "epochs": 100.0,
        "batch_size": 2,
        "checkpoint_steps": 2,
        "sample_tokens": 0,
        "precision": "float32",
        "threads": 1,
        "rank": 4,
        "num_crops": 1,
        "learning_rate": 1e-2,
        "projector_learning_rate": 1e-2,
        "export_adapter": False,
        "cache": str(data.parent / "bases"),
        "busy_file": str(data.parent / "busy"),
        **options,
    }
    return TrainJob(str(base), str(data), **options)
