"""Check that wheels stay inside their folder."""

import zipfile

import pytest

from engine.errors import EngineError
from engine.training_environment.unpack import unpack, unpacked_size


def test_names_that_lead_elsewhere_are_left_out(tmp_path):
    wheel = tmp_path / "bad-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("../outside.py", "/outside.py", "bad-1.0.data/scripts/x", "bad-1.0.data/purelib/../../y", "in.py"):
            archive.writestr(name, "1234")
    counted = []
    unpack(wheel, tmp_path / "packages", counted.append)
    assert [path.name for path in tmp_path.rglob("*.py")] == ["in.py"]
    assert sum(counted) == unpacked_size(wheel) == 4


def test_what_is_no_wheel_is_told(tmp_path):
    wheel = tmp_path / "bad-1.0-py3-none-any.whl"
    wheel.write_bytes(b"not a zip file")
    with pytest.raises(EngineError, match="is damaged"):
        unpacked_size(wheel)
