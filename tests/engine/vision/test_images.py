"""Decode pictures of every format, and refuse what is none."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.errors import EngineError
from engine.vision import images
from engine.vision.images import decode_picture, open_picture
from tests.engine.vision.vectors import FOLDER

LOSSY = ("JPEG", "AVIF", "HEIF")
pillow_heif.register_heif_opener()


def saved(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def sample(mode="RGB", size=(40, 24)):
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    rgb = np.stack([x * 6, y * 10, x + y], -1).astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


def code_of(data, name="sample"):
    with pytest.raises(EngineError) as caught:
        decode_picture(data, name)
    assert caught.value.remedy and caught.value.message.endswith(".")
    return caught.value.code


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG", "AVIF", "HEIF"])
def test_every_format_gives_upright_rgb(format):
    options = {"lossless": True} if format == "WEBP" else {"quality": 95} if format in LOSSY else {}
    picture = decode_picture(saved(sample(), format, **options))
    assert picture.pixels.dtype == np.uint8 and (picture.width, picture.height) == (40, 24)
    error = np.abs(picture.pixels.astype(int) - np.asarray(sample()).astype(int)).mean()
    assert error < (20 if format == "GIF" else 6 if format in LOSSY else 1e-9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode_picture(saved(sample(), "PNG", exif=exif))
    turns = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    expected = sample() if orientation == 1 else sample().transpose(Image.Transpose(turns[orientation]))
    assert np.array_equal(picture.pixels, np.asarray(expected))


def test_heic_is_turned_by_its_own_box_and_not_again_by_exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decode_picture(saved(sample(), "HEIF", exif=exif, quality=95))  # writes no such box
    assert (picture.width, picture.height) == (40, 24)
    assert np.abs(picture.pixels.astype(int) - np.asarray(sample()).astype(int)).mean() < 6


def test_damaged_exif_does_not_spoil_the_picture():
    data = saved(sample(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    assert decode_picture(data).width == 40


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I", "F"])
def test_every_mode_becomes_rgb(mode):
    format = "TIFF" if mode in ("CMYK", "I", "F") else "PNG"
    picture = decode_picture(saved(sample(mode), format))
    assert np.array_equal(picture.pixels, np.asarray(sample(mode).convert("RGB")))


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    picture = decode_picture(saved(Image.fromarray(ramp), "PNG"))
    assert np.array_equal(picture.pixels[:, :, 0], ramp >> 8)


def test_only_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    picture = decode_picture(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (picture.pixels == (255, 0, 0)).all()


def test_the_digest_tells_contents_apart_but_not_files():
    png, bmp = decode_picture(saved(sample(), "PNG")), decode_picture(saved(sample(), "BMP"))
    wide, tall = (decode_picture(saved(Image.new("RGB", size), "PNG")) for size in ((4, 9), (9, 4)))
    assert png.digest == bmp.digest != wide.digest != tall.digest


def test_a_wrong_extension_does_not_matter(tmp_path):
    path = tmp_path / "picture.jpg"
    path.write_bytes((FOLDER / "img2_336x336.png").read_bytes())
    assert open_picture(path).width == 336


def test_files_that_cannot_be_read_are_refused_in_words(tmp_path):
    empty, text = tmp_path / "empty.png", tmp_path / "notes.png"
    empty.write_bytes(b"")
    text.write_text("These are notes, not a picture.")
    for path, words in ((tmp_path / "none.png", "exist"), (tmp_path, "folder"), (empty, "empty"), (text, "notes.png")):
        with pytest.raises(EngineError, match=words) as caught:
            open_picture(path)
        assert caught.value.code == "picture_invalid"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "HEIF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(format, part):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), format)
    assert code_of(data[: int(len(data) * part)]) == "picture_invalid"


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]), st.integers(0, 300))
def test_garbage_never_gets_through_as_another_error(garbage, format, at):
    data = saved(sample(), format)
    try:
        outcome = decode_picture(data[:at] + garbage + data[at + len(garbage) :])
    except EngineError as error:
        outcome = error.code
    assert outcome == "picture_invalid" or outcome.pixels.ndim == 3


def test_a_bomb_is_refused_before_it_is_decoded():
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for side in (10_000, 60_000):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
        assert code_of(data) == "picture_invalid"


def test_files_of_too_many_bytes_are_not_even_read(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 100)
    path = tmp_path / "large.png"
    path.write_bytes(saved(sample(), "PNG"))
    with pytest.raises(EngineError, match="MB"):
        open_picture(path)


def test_programs_in_postscript_are_not_run():
    assert code_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n") == "picture_invalid"
