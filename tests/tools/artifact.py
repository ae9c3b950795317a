#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rewrites an OCI layout, or makes one of an artifact that is no image.

  artifact.py artifact LAYOUT TITLE     a layout of one file of text that wants to be called TITLE
  artifact.py titles LAYOUT TITLE       the layers of the image in LAYOUT get that title
  artifact.py name LAYOUT NAME          the image in LAYOUT gets that name (org.opencontainers.image.ref.name)
"""
import hashlib
import json
import sys
from pathlib import Path

TITLE, NAME = "org.opencontainers.image.title", "org.opencontainers.image.ref.name"
OCI = "application/vnd.oci."


def put(layout, data, kind):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    digest = hashlib.sha256(data).hexdigest()
    folder = layout / "blobs" / "sha256"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / digest).write_bytes(data)
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}


def index(layout, manifest):
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))


def main():
    what, layout, text = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if what == "artifact":
        layer = put(layout, b"written\n", "text/plain")
        layer["annotations"] = {TITLE: text}
        doc = {"schemaVersion": 2, "mediaType": OCI + "image.manifest.v1+json",
               "artifactType": "application/x-file",
               "config": put(layout, {}, OCI + "empty.v1+json"), "layers": [layer],
               "annotations": {TITLE: text}}
        index(layout, put(layout, doc, doc["mediaType"]) | {"annotations": {NAME: "1"}})
        return
    old = json.loads((layout / "index.json").read_text())["manifests"][0]
    if what == "titles":
        doc = json.loads((layout / "blobs" / old["digest"].replace(":", "/")).read_text())
        for layer in doc["layers"]:
            layer.setdefault("annotations", {})[TITLE] = text
        new = put(layout, doc, old["mediaType"])
        new["annotations"] = old.get("annotations", {})
        old = new
    else:
        old.setdefault("annotations", {})[NAME] = text
    index(layout, old)


main()
