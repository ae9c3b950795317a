#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes layer archives byte by byte, evil ones and their legal twins, and runs them.

  forge.py list                             names of the groups
  forge.py run GROUP LAYER-APPLY DIR        runs a group's cases in DIR; prints what went wrong
  forge.py write GROUP DIR                  writes the archives only (seeds for fuzzing)

Each case is a list of layers and either a piece of the error that must come, or the tree that must be
there in the end. Around each run a canary folder outside the store is compared with itself, and the
store must hold no temporary folders afterwards. `model` makes random layers and compares the result
with a model of layers in fifty lines below.
"""
import bz2
import gzip
import hashlib
import lzma
import os
import random
import shutil
import subprocess
import sys

CANARY = "@CANARY@"  # becomes the path of the canary folder


def num(v, n):
    if 0 <= v < 8 ** (n - 1):
        return b"%0*o\0" % (n - 1, v)
    return (v & (2 ** (8 * n) - 1) | 1 << (8 * n - 1)).to_bytes(n, "big") if v >= 0 else (
        (2 ** (8 * n) + v).to_bytes(n, "big"))


def b(x):
    return x.encode() if isinstance(x, str) else x


def header(name, kind="0", size=0, mode=0o644, uid=0, gid=0, mtime=1000, link="", major=0, minor=0,
           magic=b"ustar\0" b"00", chksum=None):
    h = b(name)[:100].ljust(100, b"\0") + num(mode, 8) + num(uid, 8) + num(gid, 8)
    h += (size if isinstance(size, bytes) else num(size, 12)) + num(mtime, 12) + b" " * 8 + b(kind)
    h += b(link)[:100].ljust(100, b"\0") + magic + b"\0" * 64 + num(major, 8) + num(minor, 8)
    h = h.ljust(512, b"\0")
    s = sum(h) if chksum is None else chksum
    return h[:148] + b"%06o\0 " % s + h[156:]


def pad(data):
    return data + b"\0" * (-len(data) % 512)


def record(key, value):
    body = b" " + b(key) + b"=" + b(value) + b"\n"
    n = len(body) + 1
    while len(str(n)) + len(body) != n:
        n = len(str(n)) + len(body)
    return b(str(n)) + body


def pax(kind="x", **records):
    data = b"".join(record(k, v) for k, v in records.items())
    return header("././@PaxHeader", kind, len(data)) + pad(data)


def paxd(records, kind="x"):
    return pax(kind, **records)


def f(name, data="x", **kw):
    data = b(data)
    return (b"" if len(b(name)) <= 100 else longname(name)) + header(name, "0", len(data), **kw) + pad(data)


def d(name, mode=0o755, **kw):
    return (b"" if len(b(name)) <= 100 else longname(name)) + header(name, "5", mode=mode, **kw)


def s(name, link, **kw):
    return header(name, "2", link=link, mode=0o777, **kw)


def h(name, link, **kw):
    return header(name, "1", link=link, **kw)


def c(name, major, minor, kind="3", **kw):
    return header(name, kind, major=major, minor=minor, **kw)


def longname(name):
    return header("././@LongLink", "L", len(b(name)) + 1) + pad(b(name) + b"\0")


def tar(*entries):
    return b"".join(entries) + b"\0" * 1024


GROUPS = {}


class Case:
    def __init__(self, name, layers, err=None, tree=None, slow=False, root=None):
        self.name, self.layers, self.err, self.tree, self.root = name, layers, err, tree, root


def case(group, name, *layers, err=None, tree=None, root=None):
    raw = [x if isinstance(x, bytes) else tar(*x) for x in layers]
    GROUPS.setdefault(group, []).append(Case(name, raw, err, tree, root=root))


# --- names that lead out (and what must keep working) ---------------------------------------------
X = CANARY
case("names", "absolute name", [f("/etc/passwd")], err="absolute")
case("names", "dot dot", [f("../x")], err="leads out")
case("names", "dot dot in the middle", [d("a/"), f("a/../../x")], err="leads out")
case("names", "dot dot after a link", [s("a", "/"), f("a/../../x")], err="leads out")
case("names", "only dot dot", [d("..")], err="leads out")
case("names", "the root as a file", [f(".")], err="not a folder")
case("names", "the root as a link", [s("./", X)], err="not a folder")
case("names", "a link, then a child through it", [s("a", X), f("a/evil")], err="not a folder")
case("names", "a relative link, then a child", [s("a", "../../../../../../../../.." + X), f("a/evil")],
     err="not a folder")
case("names", "a chain of links", [s("a", "b"), s("b", "c"), s("c", X), f("a/evil")], err="not a folder")
case("names", "a loop of links", [s("a", "b"), s("b", "a"), f("a/evil")], err="'a'")
case("names", "a folder entry with a slash over a link", [s("a", X), d("a/", mode=0o777)],
     tree={"a": "d 0777"})
case("names", "a file over a link", [s("a", X + "/file"), f("a", "mine")], tree={"a": "f mine"})
case("names", "a folder becomes a link between children",
     [d("a/"), f("a/x"), s("a", X), f("a/evil")], err="not a folder")
case("names", "a link becomes a folder", [s("a", X), d("a/"), f("a/x", "in")],
     tree={"a": "d", "a/x": "f in"})
case("names", "a file as a folder", [f("a"), f("a/x")], err="not a folder")
case("names", "a name of 300 bytes", [f("n" * 300)], err="255 bytes")
case("names", "10,000 levels", [f("a/" * 10000 + "x")], err="more than 4096")
case("names", "400 levels", [d("/".join(["a"] * 400))], tree=None)
case("names", "an empty name", [header("", "0")], err="not a folder")
case("names", "a name with a NUL in pax", [pax(path="a\0b"), f("q")], err="NUL")
case("names", "escape sequences in names", [f("a\x1b]0;x\x07")], tree={"a\\x1b]0;x\\x07": "f x"})
case("names-legal", "dots that stay inside", [f("./a/./b//c"), f("a/../d")],
     tree={"a": "d", "a/b": "d", "a/b/c": "f x", "d": "f x"})
case("names-legal", "an absolute link inside", [d("run/"), d("var/"), s("var/run", "/run"), f("var/run/pid", "7")],
     tree={"run": "d", "var": "d", "var/run": "l /run", "run/pid": "f 7"})
case("names-legal", "a link upwards that stays inside",
     [d("a/"), d("b/"), s("a/l", "../../../b"), f("a/l/x")],
     tree={"a": "d", "b": "d", "a/l": "l ../../../b", "b/x": "f x"})
case("names-legal", "files beginning with dots", [f("..a"), f("...", "y"), f(".b")],
     tree={"..a": "f x", "...": "f y", ".b": "f x"})
case("names-legal", "a listed twice", [f("a", "1"), f("a", "2")], tree={"a": "f 2"})
case("names-legal", "a folder becomes a file and back",
     [d("a/"), f("a/x"), f("a", "file"), d("a/"), f("a/y")], tree={"a": "d", "a/y": "f x"})
case("names-legal", "folder attributes come after children",
     [d("a/", mode=0o555, mtime=77), f("a/x"), f("a/y")],
     tree={"a": "d 0555 77", "a/x": "f x", "a/y": "f x"})
case("names-legal", "a set-group-id folder does not pass its group on",
     [d("a/", mode=0o2775, gid=50), f("a/x"), d("a/b/")], tree={"a": "d 2775", "a/x": "f x", "a/b": "d 0755"})
case("names-legal", "a set-user-id file", [f("su", "#!", mode=0o4755)], tree={"su": "f #! 4755"})
case("names-legal", "implied folders of a bottom layer", [f("tmp/x/y")],
     tree={"tmp": "d 0755 0", "tmp/x": "d 0755 0", "tmp/x/y": "f x"})
case("names-legal", "implied folders look like those below",
     [d("tmp/", mode=0o1777, mtime=5), d("root/", mode=0o700, uid=3, gid=4, mtime=6)], [f("tmp/a"), f("root/b")],
     tree={"tmp": "d 1777 5", "tmp/a": "f x", "root": "d 0700 6", "root/b": "f x"})

# --- hard links -----------------------------------------------------------------------------------
case("links", "to a file outside", [h("a", X + "/file")], err="neither this layer nor one below")
case("links", "to a relative file outside", [h("a", "../../../.." + X + "/file")], err="leads out")
case("links", "through a link outside", [s("o", X), h("a", "o/file"), f("a", "evil")], tree={"o": "l", "a": "f evil"})
case("links", "to a link outside, then written", [s("o", X + "/file"), h("a", "o"), f("a", "evil")],
     tree={"o": "l", "a": "f evil"})
case("links", "to a folder", [d("a/"), h("b", "a")], err="leads to folder")
case("links", "to the root", [h("b", "/")], err="leads to the root")
case("links", "to a missing file", [h("b", "nowhere")], err="neither this layer")
case("links", "to itself, nowhere", [h("b", "b")], err="neither this layer")
case("links", "that replaces its target's folder", [d("a/"), f("a/x"), h("a", "a/x")], err="'a'")
case("links-legal", "an absolute target", [d("a/"), f("a/x", "1"), h("b", "/a/x")],
     tree={"a": "d", "a/x": "f 1", "b": "h a/x"})
case("links-legal", "the target is replaced later", [f("a", "1"), h("b", "a"), f("a", "2")],
     tree={"a": "f 2", "b": "f 1"})
case("links-legal", "to itself, after the file", [f("a", "1"), h("a", "a")], tree={"a": "f 1"})
case("links-legal", "to a link", [s("a", "x"), h("b", "a")], tree={"a": "l x", "b": "h a"})
case("links-legal", "to a file of a lower layer", [d("a/", mtime=9), f("a/x", "low", mode=0o640, uid=7)], [h("b", "a/x")],
     tree={"a": "d 0755 9", "a/x": "f low 0640", "b": "h a/x"})
case("links-legal", "two to a file of a lower layer", [f("x", "low")], [h("a", "x"), h("b", "a")],
     tree={"x": "h a", "a": "f low", "b": "h a"})

# --- whiteouts ------------------------------------------------------------------------------------
LOW = [d("d/"), f("d/x", "1"), f("d/y", "2"), f("z", "3")]
for n in (".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."):
    case("whiteouts", "of nothing: " + n, LOW, [f(n, "")], err="whiteout of nothing")
case("whiteouts", "with children", LOW, [f(".wh.../x", "")], err="inside a whiteout")
case("whiteouts", "through a link outside", LOW, [s("o", X), f("o/.wh.file", "")], err="not a folder")
case("whiteouts", "opaque through a link outside", LOW, [s("o", X), f("o/.wh..wh..opq", "")], err="not a folder")
case("whiteouts-legal", "of a file", LOW, [f(".wh.z", "")], tree={"d": "d", "d/x": "f 1", "d/y": "f 2"})
case("whiteouts-legal", "of a folder", LOW, [f(".wh.d", "")], tree={"z": "f 3"})
case("whiteouts-legal", "of a file inside an unlisted folder", LOW, [f("d/.wh.x", "")],
     tree={"d": "d 0755 1000", "d/y": "f 2", "z": "f 3"})
case("whiteouts-legal", "a sibling before it stays", LOW, [f("z", "new"), f(".wh.z", "")],
     tree={"d": "d", "d/x": "f 1", "d/y": "f 2", "z": "f new"})
case("whiteouts-legal", "a sibling after it stays", LOW, [f(".wh.z", ""), f("z", "new")],
     tree={"d": "d", "d/x": "f 1", "d/y": "f 2", "z": "f new"})
case("whiteouts-legal", "and the folder again before", LOW, [d("d/"), f("d/n"), f(".wh.d", "")],
     tree={"d": "d", "d/n": "f x", "z": "f 3"})
case("whiteouts-legal", "and the folder again after", LOW, [f(".wh.d", ""), d("d/"), f("d/n")],
     tree={"d": "d", "d/n": "f x", "z": "f 3"})
case("whiteouts-legal", "and the folder again, unlisted", LOW, [f(".wh.d", ""), f("d/n")],
     tree={"d": "d 0755 0", "d/n": "f x", "z": "f 3"})
case("whiteouts-legal", "opaque before the siblings", LOW, [d("d/"), f("d/.wh..wh..opq", ""), f("d/n")],
     tree={"d": "d", "d/n": "f x", "z": "f 3"})
case("whiteouts-legal", "opaque after the siblings", LOW, [d("d/"), f("d/n"), f("d/.wh..wh..opq", "")],
     tree={"d": "d", "d/n": "f x", "z": "f 3"})
case("whiteouts-legal", "opaque alone", LOW, [f("d/.wh..wh..opq", "")], tree={"d": "d", "z": "f 3"})
case("whiteouts-legal", "of what is not below", LOW, [f(".wh.q", "")],
     tree={"d": "d", "d/x": "f 1", "d/y": "f 2", "z": "f 3"})
case("whiteouts-legal", "aufs leaves things", LOW, [d(".wh..wh.plnk/"), f(".wh..wh.plnk/1.2", "q"), f(".wh..wh.aufs", "")],
     tree={"d": "d", "d/x": "f 1", "d/y": "f 2", "z": "f 3"})
case("whiteouts-legal", "a 0:0 device is one", LOW, [c("z", 0, 0)], tree={"d": "d", "d/x": "f 1", "d/y": "f 2"})

# --- devices, attributes, owners ------------------------------------------------------------------
case("attributes", "overlay attributes do not enter", LOW,
     [paxd({"SCHILY.xattr.user.overlay.opaque": "y"}) + d("d/"),
      paxd({"SCHILY.xattr.trusted.overlay.opaque": "y"}) + d("d/"), f("d/n")],
     tree={"d": "d", "d/x": "f 1", "d/y": "f 2", "d/n": "f x", "z": "f 3"})
case("attributes", "labels and ACLs do not enter",
     [paxd({"SCHILY.xattr.security.selinux": "x", "SCHILY.xattr.trusted.x": "y",
            "SCHILY.xattr.system.posix_acl_access": "z"}) + f("a")], tree={"a": "f x"})
case("attributes", "damaged capabilities", [paxd({"SCHILY.xattr.security.capability": "x"}) + f("a")],
     err="capabilities that are not valid")
case("attributes", "an id that no machine has", [f("a", uid=2 ** 32)], err="user id 4294967296")
case("attributes", "the id that means nobody", [f("a", gid=2 ** 32 - 1)], err="group id 4294967295")
case("attributes-legal", "user attributes and capabilities", [
    paxd({"SCHILY.xattr.user.k": "v"}) + f("a"),
    paxd({"SCHILY.xattr.security.capability": "\x00\x00\x00\x02\x00\x04" + "\0" * 14}) + f("b", mode=0o755)],
     tree={"a": "f x +user.k", "b": "f x 0755 +security.capability"})
case("attributes-legal", "a fifo", [c("p", 0, 0, kind="6")], tree={"p": "p"})

# --- bombs and broken archives --------------------------------------------------------------------
case("broken", "not an archive", b"hello, world\n" * 100, err="check sum")
case("broken", "a bad check sum", header("a", chksum=1), err="check sum")
case("broken", "cut inside a header", header("a")[:200], err="ends at byte 200")
case("broken", "cut inside content", header("abc", size=5000) + b"y" * 700, err="inside 'abc'")
case("broken", "a negative size", header("a", size=num(-1, 12)), err="bad size")
case("broken", "a size of 2^62", header("a", size=num(2 ** 62, 12)), err="claims")
case("broken", "a size that is no number", header("a", size=b"12345678x  \0"), err="bad size")
case("broken", "a pax header of 1 GiB", header("p", "x", 2 ** 30), err="extension header")
case("broken", "a pax record with a bad length", header("p", "x", 10) + pad(b"99 a=b\n\n\n\n") + f("a"), err="bad length")
case("broken", "a pax record without '='", header("p", "x", 6) + pad(b"6 abc\n") + f("a"), err="no '='")
case("broken", "a pax size that is negative", [pax(size="-1") + f("a")], err="'-1'")
case("broken", "a pax header at the end", pax(path="q"), err="ends at byte")
case("broken", "1,000 pax headers in a row", pax(path="q") * 1000 + f("a"), err="in a row")
case("broken", "a long name of 1 MiB + 1", header("l", "L", 2 ** 20 + 1), err="extension header")
case("broken", "an unknown type", [header("a", "Q")], err="unknown type")
case("broken", "a sparse file of 8 EiB",
     [paxd({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a",
            "GNU.sparse.realsize": str(2 ** 63 - 1)}) + header("a", "0", 512) + pad(b"0\n")], err="claims")
case("broken", "a sparse map of a million", [
    paxd({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}) +
    header("a", "0", 512) + pad(b"1000000\n" + b"0\n0\n" * 100)], err="sparse map")
case("broken", "a sparse map that overlaps", [
    paxd({"GNU.sparse.size": "100", "GNU.sparse.map": "10,10,5,10"}) + header("a", "0", 20) + pad(b"y" * 20)],
     err="sparse map")
case("broken", "a symlink without target", [s("a", "")], err="no target")
case("broken", "gzip cut off", gzip.compress(tar(f("a", os.urandom(9000))))[:5000], err="ends in the middle")
case("broken", "gzip with something behind", gzip.compress(tar(f("a"))) + b"PK", err="something else")
case("broken", "gzip with a bad sum", gzip.compress(tar(f("a")))[:-8] + b"12345678", err="damaged gzip")
case("broken", "xz cut off", lzma.compress(tar(f("a", os.urandom(9000))))[:5000], err="ends in the middle")
case("broken", "bzip2 damaged", bz2.compress(os.urandom(9000))[:4000] + b"\0" * 2000, err="bzip2")
ZEROS = gzip.compress(b"\0" * (1 << 22), 9)
case("bombs", "gzip of 400 MiB zeros", gzip.compress(header("a", size=400 << 20)) + ZEROS * 100,
     err="expands more than 1000 times")
def zstd_window(log, data):
    """One raw block behind a frame header that claims a window of 2^log bytes (RFC 8878, 3.1.1)."""
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(log - 10) << 3]) + (1 | len(data) << 3).to_bytes(3, "little") + data


case("bombs", "zstd with a window of 2 GiB", zstd_window(31, tar(f("a"))), err="window")
case("bombs", "zstd with a window of 256 MiB", zstd_window(28, tar(f("a"))), err="window")
case("bombs-legal", "zstd with a window of 128 MiB", zstd_window(27, tar(f("a"))), tree={"a": "f x"})
case("bombs", "gzip inside gzip", gzip.compress(gzip.compress(tar(f("a")))), err="ends at byte")
case("bombs-legal", "8 GiB of holes", [
    paxd({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "hole",
          "GNU.sparse.realsize": str(1 << 20)}) + header("GNUSparseFile.0/hole", "0", 512 + 3) +
    pad(b"1\n5\n3\n") + pad(b"abc")], tree={"hole": "f \\x00\\x00\\x00\\x00\\x00abc*"})
case("bombs-legal", "gzip in members, zeros behind", gzip.compress(tar(f("a"))[:300]) +
     gzip.compress(tar(f("a"))[300:]) + b"\0" * 5000, tree={"a": "f x"})
case("bombs-legal", "no end mark", f("a"), tree={"a": "f x"})
case("bombs-legal", "an empty archive", b"\0" * 1024, tree={})
case("bombs-legal", "rubbish behind the end", tar(f("a")) + b"rubbish" * 500, tree={"a": "f x"})
case("bombs-legal", "old headers without a magic", header("a/", "\0", magic=b"\0" * 8) + header("a/b", "\0", magic=b"\0" * 8),
     tree={"a": "d", "a/b": "f"})
case("bombs-legal", "long names", [longname("n" * 150) + f("short", "1"), pax(path="p" * 200) + f("q", "2")],
     tree={"n" * 150: "f 1", "p" * 200: "f 2"})
case("bombs-legal", "a global pax header", pax("g", uid="12", comment="abc") + f("a") + f("b"),
     tree={"a": "f x", "b": "f x"})


# --- a model of layers ----------------------------------------------------------------------------
def parents(p):
    parts = p.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def below(p, q):
    return q.startswith(p + "/")


def drop(tree, p, itself=True):
    for q in [q for q in tree if below(p, q) or (itself and q == p)]:
        del tree[q]


def random_layer(rng):
    """Entries, and what the model says: upper tree, whiteouts, opaque folders."""
    names = ["a", "b", "c"]
    upper, gone, opaque, out = {}, set(), set(), []
    for _ in range(rng.randint(1, 9)):
        p = "/".join(rng.choice(names) for _ in range(rng.randint(1, 3)))
        if any(upper.get(q, "d") != "d" for q in parents(p)):
            continue  # a child of a file is an error, tried elsewhere
        for q in parents(p):
            upper.setdefault(q, "d")
        kind = rng.choice("ffddwwo")
        base = "/".join(parents(p)[-1:])
        if kind == "w":
            out.append(f((base + "/" if base else "") + ".wh." + p.split("/")[-1], ""))
            gone.add(p)
        elif kind == "o":
            if upper.get(p, "d") != "d":
                continue
            upper.setdefault(p, "d")
            out.append(f(p + "/.wh..wh..opq", ""))
            opaque.add(p)
        elif kind == "f":
            data = str(rng.randint(0, 99))
            drop(upper, p)
            opaque -= {q for q in opaque if q == p or below(p, q)}
            upper[p] = "f " + data
            out.append(f(p, data))
        else:
            if upper.get(p, "d") != "d":
                opaque.add(p)
            upper[p] = "d"
            out.append(d(p + "/"))
    return out, upper, gone, opaque


def merge(lower, upper, gone, opaque):
    for p in gone:
        drop(lower, p)
    for p in opaque:
        drop(lower, p, itself=False)
    for p in sorted(upper):
        if upper[p] != "d" or lower.get(p, "d") != "d":
            drop(lower, p)
        lower[p] = upper[p]


def model_cases(seed, n):
    for i in range(n):
        rng = random.Random(seed * 100000 + i)
        tree, layers = {}, []
        for _ in range(rng.randint(2, 4)):
            entries, upper, gone, opaque = random_layer(rng)
            # A whiteout inside a folder that this very layer made from a file or a whiteout is fine,
            # but one whose folder became a file later says nothing.
            gone = {p for p in gone if all(upper.get(q) == "d" for q in parents(p))}
            layers.append(entries)
            merge(tree, upper, gone, opaque)
        yield Case("seed %d case %d" % (seed, i), [tar(*x) for x in layers], tree=tree)


# --- running --------------------------------------------------------------------------------------
def fill(raw, canary):
    """Puts the canary's path into names and links, with fresh check sums."""
    mark = b(CANARY)
    if mark not in raw:
        return raw
    out = bytearray(raw)
    for at in range(0, len(out) - 511, 512):
        block = bytes(out[at:at + 512])
        if mark not in block:
            continue
        for start, size in ((0, 100), (157, 100)):
            field = block[start:start + size].rstrip(b"\0").replace(mark, b(canary))
            assert len(field) <= size
            block = block[:start] + field.ljust(size, b"\0") + block[start + size:]
        block = block[:148] + b" " * 8 + block[156:]
        out[at:at + 512] = block[:148] + b"%06o\0 " % sum(block) + block[156:]
    return bytes(out)


def snapshot(path):
    out = []
    for top, dirs, files in sorted(os.walk(path)):
        for n in sorted(dirs + files):
            p = os.path.join(top, n)
            st = os.lstat(p)
            data = open(p, "rb").read() if n in files and not os.path.islink(p) else b""
            out.append((p, st.st_mode, st.st_uid, st.st_nlink, st.st_mtime_ns, hashlib.sha256(data).hexdigest()))
    return out


def parse(text):
    tree = {}
    for line in text.splitlines():
        if line.startswith("layer "):
            continue
        words = line.split(" ", 4)
        rest, attrs = words[4], ""
        while " +" in rest:
            rest, _, a = rest.rpartition(" +")
            attrs = " +" + a + attrs
        name, _, content = rest.partition(" = ")
        name, _, link = name.partition(" -> ")
        tree[name.rstrip("/") if words[0] == "d" else name] = (words[0], words[1], words[3], content or link, attrs)
    return tree


def fits(want, have):
    """`want` is the kind, then words that must be its mode, time, content, link or attributes."""
    if not want.startswith(have[0]):
        return False
    for w in want.split(" ")[1:]:
        ok = w in (have[1], have[2], have[3]) or (w.startswith("+") and w in have[4].split())
        if not ok and not (w.endswith("*") and have[3].startswith(w[:-1])):
            return False
    return True


def wrong(cs, apply, work, keep):
    shutil.rmtree(work + "/in", ignore_errors=True)
    os.makedirs(work + "/in")
    canary, files = work + "/canary", []
    before = snapshot(canary)
    for i, raw in enumerate(cs.layers):
        files.append("%s/in/%d.tar" % (work, i))
        with open(files[-1], "wb") as out:
            out.write(fill(raw, canary))
    args = [apply] + (["--kept"] if keep else []) + [work + "/store"] + files
    try:
        p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    except subprocess.TimeoutExpired:
        return "did not end in 60 seconds"
    out, err = p.stdout.decode(), p.stderr.decode(errors="replace")
    if snapshot(canary) != before:
        return "the canary changed"
    for folder in ("tmp", "trash"):
        if os.path.isdir(work + "/store/" + folder) and os.listdir(work + "/store/" + folder):
            return "something is left in " + folder
    if p.returncode not in (0, 1):
        return "ended with %d: %s" % (p.returncode, err)
    if cs.err:
        return "" if p.returncode == 1 and cs.err in err else "wanted '%s', got: %s%s" % (cs.err, err, out)
    if p.returncode != 0:
        return "failed: " + err
    if cs.tree is None:
        return ""
    have = parse(out)
    if sorted(have) != sorted(cs.tree):
        return "wanted %s, got %s" % (sorted(cs.tree), sorted(have))
    for name, want in cs.tree.items():
        if not fits(want, have[name]):
            return "'%s': wanted '%s', got %s" % (name, want, have[name])
    return ""


def main():
    if sys.argv[1:] == ["list"]:
        print("\n".join(GROUPS))
        return 0
    if len(sys.argv) == 4 and sys.argv[1] == "write":
        for cs in GROUPS[sys.argv[2]]:
            for i, raw in enumerate(cs.layers):
                if len(raw) < 100000:
                    open("%s/%s-%d" % (sys.argv[3], "".join(x if x.isalnum() else "-" for x in cs.name), i), "wb").write(raw)
        return 0
    if len(sys.argv) != 5 or sys.argv[1] != "run":
        print(__doc__, file=sys.stderr)
        return 2
    group, apply, work = sys.argv[2:]
    os.makedirs(work + "/canary/deep", exist_ok=True)
    for name in ("file", "deep/other"):
        open(work + "/canary/" + name, "w").write("canary")
    os.umask(int(os.environ.get("FORGE_UMASK", "022"), 8))
    cases = model_cases(int(os.environ.get("SEED", "1")) % 10000, 80) if group == "model" else GROUPS[group]
    bad = n = 0
    for cs in cases:
        for keep in (False, True):
            n += 1
            why = wrong(cs, apply, work, keep)
            if why:
                bad += 1
                print("%s%s: %s" % (cs.name, " (kept)" if keep else "", why.rstrip()))
    print("%d of %d cases went wrong" % (bad, n))
    return 1 if bad or n == 0 else 0


sys.exit(main())
