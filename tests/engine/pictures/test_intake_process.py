"""Take pictures in through the real process, and let it fail in every way that hostile files have."""

import hashlib
import io
import struct
import sys
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image

from engine.errors import EngineError
from engine.pictures.intake_process import IntakeProcess
from engine.pictures.stored_picture import StoredPicture, decode, digest_of_file, encode
from engine.vision.hd_transform import crop_grid

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
from engine.pictures.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def png(width: int = 60, height: int = 40, color: str = "orange") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, "PNG")
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def flat_png(side: int) -> bytes:
    """Make a PNG of a few kilobytes that unpacks to side x side pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(1 + 4 * side)) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def take(data: bytes, tmp_path: Path, name: str = "photo.png") -> StoredPicture:
    source = tmp_path / name
    source.write_bytes(data)
    return IntakeProcess(source, tmp_path / "pictures", name).run()


def refusal(data: bytes, tmp_path: Path, name: str = "photo.png") -> EngineError:
    with pytest.raises(EngineError) as caught:
        take(data, tmp_path, name)
    assert not list((tmp_path / "pictures").glob("*"))
    assert caught.value.message.endswith(".")
    assert caught.value.remedy
    return caught.value


def test_a_picture_is_kept_with_thumbnail_and_view(tmp_path: Path) -> None:
    data = png(3000, 1500)
    picture = take(data, tmp_path)
    folder = tmp_path / "pictures"
    assert picture.digest == hashlib.sha256(data).hexdigest()
    assert (picture.suffix, picture.width, picture.height) == (".png", 3000, 1500)
    assert picture.fast_tokens == crop_grid(3000, 1500, 4).tokens
    assert picture.tokens("fine") == crop_grid(3000, 1500, 16).tokens
    assert picture.file(folder).read_bytes() == data
    assert size_of(picture.thumbnail(folder)) == (320, 160)
    assert size_of(picture.view(folder)) == (2048, 1024)
    assert {digest_of_file(path) for path in folder.iterdir()} == {picture.digest}
    assert len(list(folder.iterdir())) == 3


def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    first = take(png(), tmp_path, "a.png")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "pictures").iterdir()}
    assert take(png(), tmp_path, "b.png") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pictures").iterdir()} == files


def test_what_is_missing_of_a_kept_picture_is_made_again(tmp_path: Path) -> None:
    first = take(png(), tmp_path)
    first.thumbnail(tmp_path / "pictures").unlink()
    assert take(png(), tmp_path) == first
    assert first.is_whole(tmp_path / "pictures")


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_suffix_is_that_of_the_content(format: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "teal").save(file, format)
    picture = take(file.getvalue(), tmp_path, "wrong.png")
    assert picture.suffix == {"JPEG": ".jpg", "TIFF": ".tif"}.get(format, f".{format.lower()}")


def test_a_turned_photo_is_measured_and_shown_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (80, 40), "red").save(file, "JPEG", exif=exif)
    picture = take(file.getvalue(), tmp_path)
    assert (picture.width, picture.height) == (40, 80)
    assert size_of(picture.thumbnail(tmp_path / "pictures")) == (40, 80)


@pytest.mark.parametrize("part", [0.02, 0.5, 0.95])
def test_truncated_files_are_refused(part: float, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(file, "PNG")
    data = file.getvalue()
    assert refusal(data[: int(len(data) * part)], tmp_path).code == "picture_invalid"


def test_what_is_no_picture_is_refused_with_what_works(tmp_path: Path) -> None:
    error = refusal(b"%PDF-1.7\nnot a picture", tmp_path, "letter.pdf")
    assert error.code == "picture_invalid"
    assert error.message == "letter.pdf is not a picture that can be read."
    assert "PNG, JPEG" in str(error.remedy)


def test_missing_files_folders_and_slivers_are_refused(tmp_path: Path) -> None:
    for source, words in ((tmp_path / "none.png", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(EngineError, match=words) as caught:
            IntakeProcess(source, tmp_path / "pictures", source.name).run()
        assert caught.value.code == "picture_invalid"
    assert "too narrow" in refusal(png(5000, 1), tmp_path).message


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    assert "million are the most" in refusal(flat_png(9500), tmp_path).message


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory cannot be limited")
def test_a_file_that_needs_too_much_memory_is_refused_in_words(tmp_path: Path) -> None:
    source = tmp_path / "large.png"
    source.write_bytes(flat_png(7000))
    command = [sys.executable, "-c", LIMITED, str(source), str(tmp_path / "pictures"), "large.png"]
    with pytest.raises(EngineError, match=r"not enough memory to open large\.png") as caught:
        IntakeProcess(source, tmp_path / "pictures", "large.png", command).run()
    assert caught.value.code == "out_of_memory"
    assert not list((tmp_path / "pictures").glob("*"))


@pytest.mark.parametrize("end", ["os.abort()", "os._exit(0)", "os._exit(7)", "print('{}')", "print('no json')"])
def test_a_decoder_that_crashes_is_told_in_one_sentence(end: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", f"import os; {end}"]
    with pytest.raises(EngineError) as caught:
        IntakeProcess(tmp_path / "x.png", tmp_path, "x.png", command).run()
    assert caught.value.code == "picture_invalid"
    assert caught.value.message == "x.png cannot be opened: it is damaged or of an unusual kind."
    assert "status" in str(caught.value.details)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_process_killed_for_memory_is_told_as_such(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    with pytest.raises(EngineError, match="not enough memory") as caught:
        IntakeProcess(tmp_path / "x.png", tmp_path, "x.png", command).run()
    assert caught.value.code == "out_of_memory"


def test_a_decoder_that_never_ends_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(EngineError, match="takes too long"):
        IntakeProcess(tmp_path / "x.png", tmp_path, "x.png", command).run(timeout=0.2)


def test_an_intake_is_cancelled_before_and_while_it_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    for delay in (None, 0.3):
        intake = IntakeProcess(tmp_path / "x.png", tmp_path, "x.png", command)
        if delay is None:
            intake.cancel()
        else:
            threading.Timer(delay, intake.cancel).start()
        with pytest.raises(EngineError) as caught:
            intake.run()
        assert caught.value.code == "cancelled"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("in the way")
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(EngineError, match="could not be kept") as caught:
        IntakeProcess(tmp_path / "a.png", tmp_path / "pictures", "a.png").run()
    assert caught.value.code == "disk_full"


def test_only_names_of_files_that_are_digests_are_believed() -> None:
    good = StoredPicture("a" * 64, ".png", 4, 4, 100, 200)
    assert decode(encode(good)) == good
    for digest, suffix in (("../" + "a" * 61, ".png"), ("a" * 64, "/../x"), ("A" * 64, ".png")):
        assert decode(encode(StoredPicture(digest, suffix, 4, 4, 100, 200))) is None
    assert decode(encode(StoredPicture("a" * 64, ".png", 0, 4, 100, 200))) is None
    assert decode("[1]") is None
    error = decode(encode(EngineError("disk_full", "The disk is full.", "Free some space.")))
    assert isinstance(error, EngineError)
    assert (error.code, error.remedy) == ("disk_full", "Free some space.")
