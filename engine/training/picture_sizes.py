"""Tell how many positions pictures take, without a tower: enough to show what a model that sees would learn."""

from pathlib import Path

from engine.vision.hd_transform import FAST_CROPS, crop_grid
from engine.vision.images import open_picture
from engine.vision.picture_reader import SeenPicture


class PictureSizes:
    """Look at pictures and number them as they come."""

    def __init__(self, num_crops: int = FAST_CROPS) -> None:
        """Take into how many crops a picture is cut at most."""
        self._num_crops = num_crops
        self._seen: dict[Path, SeenPicture] = {}

    def look(self, path: Path) -> SeenPicture:
        """Open a picture. Raises EngineError `picture_invalid`."""
        if path not in self._seen:
            picture = open_picture(path)
            grid = crop_grid(picture.width, picture.height, self._num_crops)
            self._seen[path] = SeenPicture(path, len(self._seen) + 1, picture.digest, self._num_crops, grid)
        return self._seen[path]
