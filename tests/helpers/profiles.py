"""Unpack the profiles that earlier versions wrote, and tell all that is in a profile."""

import hashlib
import importlib.util
import json
import lzma
import shutil
from dataclasses import asdict
from pathlib import Path

PROFILES = Path(__file__).parents[1] / "data" / "profiles"
HOME = "/home/user/.local/share/Phidelity"
"""Where the stored profiles say that they lie."""

HAS_PICTURES = importlib.util.find_spec("app.storage.pictures") is not None
HAS_VOTES = importlib.util.find_spec("app.storage.votes") is not None
"""What the code beside this file knows: it also runs beside that of earlier versions."""


def unpack_profile(name, folder):
    """Copy a stored profile into `folder`, as if it had always lain there; return its folder."""
    target = folder / name
    shutil.copytree(PROFILES / name, target, ignore=shutil.ignore_patterns("*.xz", "expected.json"))
    for packed in (PROFILES / name).glob("*.xz"):
        (target / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    for path in target.glob("runs/*/*.json*"):
        here = json.dumps(str(target))[1:-1]
        path.write_text(path.read_text("utf-8").replace(HOME, here), "utf-8")
    return target


def read_profile(folder):
    """Tell everything that the storage and the settings of a profile hold, in plain values."""
    from app.settings import Settings
    from app.storage.database import open_database

    database = open_database(folder / "phidelity.db")
    try:
        notice = database.notice
        chats = _read_chats(database)
        models = _read_models(database)
    finally:
        database.close()
    settings = Settings(folder / "settings.json")
    return {
        "notices": [notice, settings.notice],
        "chats": chats,
        "models": models,
        "settings": asdict(settings.values),
        "files": _read_files(folder),
    }


def _read_chats(database):
    from app.storage.conversations import Conversations
    from app.storage.messages import Messages

    chats, messages = Conversations(database), Messages(database)
    found = []
    for chat in [*chats.page(100), *chats.trashed()]:
        rows = database.rows("SELECT id FROM messages WHERE conversation_id = ? ORDER BY id", chat.id)
        found.append(
            {
                **asdict(chat),
                "draft": chats.draft(chat.id),
                "shown": [message.id for message in messages.path(chat.id)],
                "messages": [_plain(messages.get(row[0])) for row in rows],
                **_read_pictures_and_votes(database, chat.id),
            }
        )
    return {"list": found, "draft": chats.draft(None), "found": [asdict(hit) for hit in chats.search("sure")]}


def _read_pictures_and_votes(database, chat_id):
    more = {}
    if HAS_PICTURES:
        from app.storage.pictures import Pictures

        more["draft pictures"] = [_picture(picture) for picture in Pictures(database).draft(chat_id)]
    if HAS_VOTES:
        from app.storage.votes import Votes

        more["votes"] = [asdict(vote) for vote in Votes(database).of_chat(chat_id)]
    return more


def _plain(message):
    plain = {name: getattr(message, name) for name in message.__dataclass_fields__ if name != "pictures"}
    plain["stats"] = asdict(message.stats) if message.stats else None
    if HAS_PICTURES:
        plain["pictures"] = [_picture(picture) for picture in message.pictures]
    return json.loads(json.dumps(plain))


def _picture(picture):
    files = (picture.file, picture.thumbnail, picture.view)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return {**asdict(picture.stored), "name": picture.name, "alt_text": picture.alt_text, "files": digests}


def _read_models(database):
    from app.storage.models import ModelRecords

    records = ModelRecords(database).all().values()
    return [{**asdict(record), "path": record.path.as_posix()} for record in records]


def _read_files(folder):
    """Give the SHA-256 of what is neither database nor log."""
    kept = ("models", "runs", "datasets", "pictures")
    paths = sorted(path for name in kept for path in folder.glob(f"{name}/**/*") if path.is_file())
    # The files of a run name their folder, which differs from computer to computer.
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.suffix not in (".json", ".jsonl", ".md")
    }
