"""Test the bill of materials."""

import json
from pathlib import Path

import pytest

from release.components import Component, components
from release.folder import validate
from release.sbom import sbom

TEXT = (Path(__file__),)
FOUND = [
    Component("numpy", "2.4.6", "BSD-3-Clause AND MIT", "pkg:pypi/numpy@2.4.6", TEXT),
    Component("Inter", "4", "OFL-1.1", "https://rsms.me/inter/", TEXT, "data"),
    Component("libdrm2", "2.4", "NOASSERTION", "pkg:deb/debian/libdrm2@2.4", TEXT),
]


def test_every_component_is_listed_with_its_origin_and_licence() -> None:
    document = json.loads(sbom(FOUND))
    numpy, inter, drm = document["components"]
    assert numpy["purl"] == "pkg:pypi/numpy@2.4.6"
    assert numpy["licenses"] == [{"expression": "BSD-3-Clause AND MIT"}]
    assert inter["externalReferences"][0]["url"] == "https://rsms.me/inter/"
    assert inter["licenses"] == [{"license": {"id": "OFL-1.1"}}]
    assert "licenses" not in drm
    assert document["dependencies"][0]["dependsOn"] == [part["bom-ref"] for part in document["components"]]


def test_the_same_components_make_the_same_text() -> None:
    assert sbom(FOUND) == sbom(list(FOUND))
    assert json.loads(sbom(FOUND))["serialNumber"] != json.loads(sbom(FOUND[:1]))["serialNumber"]


def test_the_document_is_valid_cyclonedx() -> None:
    pytest.importorskip("cyclonedx.validation.json", reason="the packaging environment checks the schema")
    validate(sbom(components()))
    with pytest.raises(ValueError, match="not valid"):
        validate('{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{}]}')
