"""Check what macOS is told, and that the application is complete."""

import ast
import plistlib
from pathlib import Path

from engine.version import VERSION
from release.components import ROOT
from release.macos.application import ENTITLEMENTS, complete_application, info_plist


def test_the_values_are_a_plist_with_this_version() -> None:
    values = plistlib.loads(plistlib.dumps(info_plist()))
    assert values == info_plist()
    assert values["CFBundleVersion"] == VERSION


def test_it_has_a_window() -> None:
    # PyInstaller sets it as soon as one of the programs is for the console.
    assert info_plist()["LSBackgroundOnly"] is False


def test_models_are_its_documents() -> None:
    (document,) = info_plist()["CFBundleDocumentTypes"]
    (declared,) = info_plist()["UTImportedTypeDeclarations"]
    assert document["LSItemContentTypes"] == [declared["UTTypeIdentifier"]]
    assert declared["UTTypeTagSpecification"]["public.filename-extension"] == ["gguf"]
    assert document["LSHandlerRank"] == "Alternate"


def test_it_asks_for_nothing_of_the_network_or_the_devices() -> None:
    entitlements = plistlib.loads(ENTITLEMENTS.read_bytes())
    assert set(entitlements) == {
        "com.apple.security.cs.allow-unsigned-executable-memory",
        "com.apple.security.cs.disable-library-validation",
    }
    text = " ".join([*entitlements, *info_plist()]).lower()
    assert not any(word in text for word in ("network", "camera", "microphone", "usagedescription"))


def test_the_specification_makes_the_application_of_it() -> None:
    calls = [
        node for node in ast.walk(ast.parse((ROOT / "build.spec").read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    (bundle,) = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "BUNDLE")
    words = {word.arg: ast.unparse(word.value) for word in bundle.keywords}
    assert words["info_plist"] == "info_plist()"
    assert (words["name"], words["version"], words["bundle_identifier"]) == ("NAME", "VERSION", "IDENTIFIER")


def test_the_notice_comes_along(tmp_path: Path) -> None:
    program, application = tmp_path / "phidelity", tmp_path / "Phidelity.app"
    (program / "licenses").mkdir(parents=True)
    (application / "Contents" / "Resources").mkdir(parents=True)
    for name in ("NOTICE", "sbom.cdx.json", "licenses/Qt.txt"):
        (program / name).write_text(name)
    for _ in range(2):  # a second time it is there already
        complete_application(application, program)
    resources = application / "Contents" / "Resources"
    assert (resources / "NOTICE").read_text() == "NOTICE"
    assert (resources / "licenses" / "Qt.txt").read_text() == "licenses/Qt.txt"
    assert (resources / "sbom.cdx.json").is_file()
