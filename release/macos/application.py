"""Say what macOS is told of the application, and put into it what belongs to every package."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from engine.version import VERSION
from release.components import ROOT

NAME = "Phidelity.app"
IDENTIFIER = "org.phidelity.Phidelity"
ENTITLEMENTS = ROOT / "release" / "macos" / "entitlements.plist"
MINIMUM_VERSION = "13.0"  # Qt's and Python's wheels ask for no less
FILE_TYPE = "org.ggml.gguf"
DOCUMENTS = ("NOTICE", "sbom.cdx.json", "licenses")


def info_plist() -> dict[str, Any]:
    """Give the values of Info.plist that PyInstaller does not know."""
    return {
        "CFBundleDisplayName": "Phidelity",
        "CFBundleVersion": VERSION,
        "LSMinimumSystemVersion": MINIMUM_VERSION,
        "LSApplicationCategoryType": "public.app-category.productivity",
        # PyInstaller takes a bundle with a console program in it for one that has no window.
        "LSBackgroundOnly": False,
        "NSHighResolutionCapable": True,
        "NSPrincipalClass": "NSApplication",
        "NSHumanReadableCopyright": "The authors of Phidelity. Apache License 2.0.",
        "CFBundleDocumentTypes": [
            {
                "CFBundleTypeName": "GGUF language model",
                "CFBundleTypeRole": "Viewer",
                "LSHandlerRank": "Alternate",
                "LSItemContentTypes": [FILE_TYPE],
            }
        ],
        "UTImportedTypeDeclarations": [
            {
                "UTTypeIdentifier": FILE_TYPE,
                "UTTypeDescription": "GGUF language model",
                "UTTypeConformsTo": ["public.data"],
                "UTTypeTagSpecification": {"public.filename-extension": ["gguf"]},
            }
        ],
    }


def complete_application(application: Path, program: Path) -> None:
    """Copy the notice, the licences and the bill of materials of the program's folder into the application."""
    resources = application / "Contents" / "Resources"
    for name in DOCUMENTS:
        source, target = program / name, resources / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)
