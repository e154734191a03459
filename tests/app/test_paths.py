"""Check where a profile's data lie."""

from pathlib import Path

from app.paths import assets_dir, profile_paths
from engine.library.folders import builtin_models_dir, default_models_dir


def test_a_profile_holds_everything(tmp_path: Path) -> None:
    paths = profile_paths(tmp_path)
    assert paths.models == tmp_path / "models"
    for path in (paths.database, paths.settings, paths.models, paths.logs, paths.jobs, paths.thread_cache):
        assert path.is_relative_to(tmp_path)
        assert not path.exists()


def test_without_a_profile_the_command_line_sees_the_same_models() -> None:
    paths = profile_paths()
    assert paths.models == default_models_dir()
    assert paths.database.parent == paths.data


def test_assets_are_those_with_the_built_in_models() -> None:
    assert assets_dir() == builtin_models_dir().parent
    assert (assets_dir() / "styles").is_dir()
