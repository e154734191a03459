"""Make tiny wheels, a lock file that names them, and a server that gives them."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def make_wheel(folder: Path, name: str, version: str = "1.0", source: str = "VALUE = 1\n", says: str = "") -> Path:
    """Write a wheel with one module, a script and a file of data; its metadata say `says` in place of the version."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}/__init__.py", source)
        archive.writestr(f"{name}-{version}.data/purelib/{name}_more.py", "MORE = 2\n")
        archive.writestr(f"{name}-{version}.data/scripts/{name}", "#!python\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {says or version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


def make_lock(file: Path, wheels: Sequence[Path], imports: Sequence[str], address: str = "http://127.0.0.1:9") -> Path:
    """Write a lock file of these wheels, which lie at `address`."""
    lines = ['lock-version = "1.0"', 'created-by = "tests"', 'dependency-groups = ["cuda"]', "default-groups = []"]
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines += ["[[packages]]", f'name = "{name}"', f'version = "{version}"', "wheels = ["]
        lines += [
            f'{{ url = "{address}/{wheel.name}", size = {wheel.stat().st_size}, hashes = {{ sha256 = "{digest}" }} }}]'
        ]
    lines += ["[tool.phidelity]", f"imports = {list(imports)}"]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


@dataclass
class Shop:
    """Give the files of a folder over HTTP and note what was asked for.

    Attributes:
        folder: of the files.
        address: of the server.
        asked: names and ranges, in order.
        cuts: after so many bytes the connection breaks, once per entry.
        takes_ranges: whether an answer may begin in the middle.
    """

    folder: Path
    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    takes_ranges: bool = True


@contextmanager
def served(folder: Path) -> Iterator[Shop]:
    """Serve a folder on this computer."""
    shop = Shop(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            wanted = self.headers.get("Range", "")
            shop.asked.append((name, wanted))
            file = shop.folder / name
            if not file.is_file():
                self.send_error(404)
                return
            data, begin = file.read_bytes(), int(wanted.removeprefix("bytes=").rstrip("-") or 0)
            part = data[begin:] if shop.takes_ranges else data
            self.send_response(206 if shop.takes_ranges and wanted else 200)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part[: shop.cuts.pop(0)] if shop.cuts else part)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shop.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
