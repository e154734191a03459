"""Write the program's bill of materials in CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from engine.version import VERSION
from release.components import Component

_SPACE = uuid.UUID("a3fdc7f6-31f2-5cb8-9a9e-6e8b0c6f5f0e")


def sbom(components: Sequence[Component]) -> str:
    """Give the document; the same components make the same text."""
    parts = [_component(component) for component in components]
    product = {
        "type": "application",
        "bom-ref": f"phidelity@{VERSION}",
        "name": "phidelity",
        "version": VERSION,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, json.dumps(parts, sort_keys=True))}",
        "version": 1,
        "metadata": {"component": product},
        "components": parts,
        "dependencies": [{"ref": product["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _component(component: Component) -> dict[str, Any]:
    part: dict[str, Any] = {
        "type": component.kind,
        "bom-ref": f"{component.name}@{component.version}",
        "name": component.name,
        "version": component.version,
    }
    if component.license != "NOASSERTION":
        part["licenses"] = [_license(component.license)]
    if component.origin.startswith("pkg:"):
        part["purl"] = component.origin
    else:
        part["externalReferences"] = [{"type": "distribution", "url": component.origin}]
    return part


def _license(expression: str) -> dict[str, Any]:
    if " " in expression:
        return {"expression": expression}
    return {"license": {"id": expression}}
