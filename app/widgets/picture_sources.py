"""Find pictures in what is dropped or pasted, without opening any of them.

if offers_pictures(event.mimeData()): ...       # cheap enough for every move of a drag
sources = picture_sources(event.mimeData())     # files, or the bytes that another program hands over
"""

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QMimeData
from PySide6.QtGui import QImage

# As other programs name them, the exact ones first.
RAW_FORMATS = (
    "image/png", "image/webp", "image/jpeg", "image/gif", "image/bmp", "image/tiff", "image/heic", "image/avif",
)  # fmt: skip
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PictureSource:
    """Be something that may be a picture: a file, bytes, or pixels where the system gives nothing else."""

    name: str
    path: Path | None = None
    data: bytes = b""
    pixels: QImage | None = None


def offers_pictures(mime: QMimeData) -> bool:
    """Tell whether files or a picture are on offer; text that comes along means the text unless files do too."""
    return bool(_local_files(mime)) or (_has_picture(mime) and not _has_plain_text(mime))


def drops_pictures(mime: QMimeData) -> bool:
    """Tell the same of a drop, where the text beside a picture is only its address."""
    return bool(_local_files(mime)) or _has_picture(mime) or _is_web_picture(mime)


def are_picture_files(mime: QMimeData) -> bool:
    """Tell whether there are files on offer that all have names of pictures."""
    files = _local_files(mime)
    return bool(files) and all(path.suffix.lower() in SUFFIXES for path in files)


def picture_sources(mime: QMimeData) -> list[PictureSource]:
    """Return what is to be taken in."""
    files = _local_files(mime)
    if files:
        return [PictureSource(path.name or str(path), path) for path in files]
    name = QCoreApplication.translate("Pictures", "Pasted picture")
    for kind in RAW_FORMATS:
        if mime.hasFormat(kind):
            # Not through Qt's decoders: bytes of others are opened by the intake only.
            return [PictureSource(name, data=bytes(mime.data(kind).data()))]
    if mime.hasImage():
        pixels = mime.imageData()
        return [PictureSource(name, pixels=pixels if isinstance(pixels, QImage) else QImage(pixels))]
    return []


def name_filter() -> str:
    """Return the file dialog's filter."""
    patterns = " ".join(f"*{suffix}" for suffix in SUFFIXES)
    return QCoreApplication.translate("Pictures", "Pictures ({0})").format(patterns)


def _local_files(mime: QMimeData) -> list[Path]:
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]


def _has_picture(mime: QMimeData) -> bool:
    return any(mime.hasFormat(kind) for kind in RAW_FORMATS) or mime.hasImage()


def _has_plain_text(mime: QMimeData) -> bool:
    return mime.hasFormat("text/plain") and bool(mime.text().strip())


def _is_web_picture(mime: QMimeData) -> bool:
    """Tell whether a browser offers nothing but the address of a picture."""
    return any(Path(url.path()).suffix.lower() in SUFFIXES for url in mime.urls() if not url.isLocalFile())
