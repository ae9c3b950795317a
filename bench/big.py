# SPDX-License-Identifier: Apache-2.0
"""A 1.7 GB image of 6 layers and 50,000 files, gzip inside, as `docker save` of a large scientific
image would be."""

import hashlib
import io
import json
import os
import shutil
import tarfile

from common import INPUTS, run, say, words_of

ARCHIVE = INPUTS / "big.tar"
SIZES = [80, 150, 250, 420, 400, 400]  # MB in each layer, expanded


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), 1000000000, 0o644
    tar.addfile(info, io.BytesIO(data))


def layer(path, number, size):
    """About 8,300 files; a few are large, as in real images. Half is text, half packs badly."""
    text = words_of(number, 4 << 20)
    noise = b"".join(hashlib.sha512(b"%d %d" % (number, i)).digest() for i in range(1 << 16))
    left, count = size * 1000 * 1000, 0
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for d in range(83):
            info = tarfile.TarInfo(f"layer{number}/d{d:03}")
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, 1000000000
            tar.addfile(info)
        big = left // 2
        for i in range(8):
            data = (text[:big // 16] + noise[i * 8:]) * 20
            add(tar, f"layer{number}/d{i:03}/large{i}", data[:big // 8])
        small = (left - big) // 8300
        for i in range(8300):
            want = small // 4 + (i * 7919) % (small * 3 // 2)
            at = (i * 104729) % (len(text) - 1)
            add(tar, f"layer{number}/d{i % 83:03}/f{i:05}", (text + noise)[at:at + want])


def make():
    folder = INPUTS / "big"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    diffs, names = [], []
    for number, size in enumerate(SIZES):
        plain = folder / f"{number}.tar"
        layer(plain, number, size)
        digest = hashlib.sha256()
        with open(plain, "rb") as f:
            while block := f.read(1 << 20):
                digest.update(block)
        diffs.append("sha256:" + digest.hexdigest())
        packer = "pigz" if shutil.which("pigz") else "gzip"
        run([packer, "-n", "-6", plain])
        names.append(f"{number}.tar.gz")
    config = json.dumps({"architecture": "amd64", "os": "linux", "created": "2001-09-09T01:46:40Z",
                         "config": {"Cmd": ["/bin/true"]},
                         "rootfs": {"type": "layers", "diff_ids": diffs}}).encode()
    (folder / "config.json").write_bytes(config)
    (folder / "manifest.json").write_text(json.dumps(
        [{"Config": "config.json", "RepoTags": ["bench/big:1"], "Layers": names}]))
    run(["tar", "-C", folder, "-cf", f"{ARCHIVE}.part", "manifest.json", "config.json", *names])
    os.rename(f"{ARCHIVE}.part", ARCHIVE)
    shutil.rmtree(folder)


def archive():
    """The archive, made at first use, and in the page cache for everybody."""
    if not ARCHIVE.exists():
        say("making the 1.7 GB archive")
        make()
    with open(ARCHIVE, "rb") as f:
        while f.read(1 << 22):
            pass
    return ARCHIVE
