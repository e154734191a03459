"""Check the records of language models."""

from pathlib import Path

from app.storage.database import Database
from app.storage.models import ModelRecord, ModelRecords
from tests.app.storage.conftest import Clock


def test_a_record_grows_with_what_becomes_known(database: Database, clock: Clock) -> None:
    records = ModelRecords(database, clock)
    path = Path("/models/phi-3.5-mini.gguf")
    assert records.get(path) == ModelRecord(path)
    assert records.last_used() is None
    records.note_use(path)
    records.note_speed(path, 18.4)
    records.note_speed(path, 19.1)
    records.rename(path, "Phi at home")
    records.set_settings(path, {"context": 8192})
    assert records.get(path) == ModelRecord(path, "Phi at home", clock.now, 19.1, {"context": 8192})
    other = Path("/models/starter.gguf")
    records.note_use(other)
    assert records.last_used() == other
    assert set(records.all()) == {path, other}
    records.forget(path)
    assert records.get(path) == ModelRecord(path)


def test_bad_values_are_read_as_unknown(database: Database) -> None:
    records = ModelRecords(database)
    path = Path("/models/a.gguf")
    records.note_use(path)
    database.connection.execute("UPDATE models SET tokens_per_second = 'fast', settings = '[1]', last_used_at = 'now'")
    assert records.get(path) == ModelRecord(path)
