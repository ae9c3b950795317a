# SPDX-License-Identifier: Apache-2.0
"""Cases for OCI runtimes: a bundle each, and a container of it on ours, runc and crun. Prints TAP, one
line a case for ours, and behind it a table of the differences. A case that ours fails and another
passes is an error; so is one that all fail, unless it is named in KNOWN with its reason. As root it runs
in a mount namespace of its own without /sys/fs/cgroup/unified, where crun would not start. An ordinary
user's bundles have a user namespace with that one id; what cannot be in one is left to root.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IS_ROOT = os.geteuid() == 0
if IS_ROOT and os.environ.get("DEWAR_CONFORMANCE") != "inside":
    os.environ["DEWAR_CONFORMANCE"] = "inside"
    hide = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$0\" \"$@\""
    os.execvp("unshare", ["unshare", "-m", "sh", "-c", hide, os.path.abspath(sys.argv[0]), *sys.argv[1:]])

HERE = Path(__file__).resolve().parents[2]
OURS = sys.argv[1] if len(sys.argv) > 1 else str(HERE / "build/src/cli/dewar-oci")
RUNTIMES = {"dewar": OURS, **{n: shutil.which(n) for n in ("runc", "crun") if shutil.which(n)}}
WORK = Path(tempfile.mkdtemp(prefix="dewar-oci."))
ROOT = WORK / "rootfs"
CASES = []
# Cases that no runtime here passes, or that ours fails on purpose: docs/oci-runtime.md has the reasons.
KNOWN = {}
# They need other ids, nodes, limits, or the host's own namespaces.
ROOT_ONLY = set()


def case(fn):
    CASES.append(fn)
    return fn


class Failed(Exception):
    pass


def want(ok, what="not as wanted"):
    if not ok:
        raise Failed(what)


class Box:
    """One container of one runtime, with a bundle of its own."""

    def __init__(self, runtime, number):
        self.tool, self.id = RUNTIMES[runtime], f"c{os.getpid()}-{number}"
        self.dir = Path(tempfile.mkdtemp(dir=WORK))
        self.state_dir = WORK / f"state-{runtime}"
        self.config = json.loads(BASE)
        if runtime == "crun":
            self.config["ociVersion"] = "1.0.2"  # it refuses all others
        self.config["root"]["path"] = str(ROOT)

    def sh(self, script):
        self.config["process"]["args"] = ["/bin/sh", "-c", script]

    def own_root(self):
        subprocess.run(["cp", "-a", ROOT, self.dir / "r"], check=True)
        self.config["root"].update(path="r", readonly=False)
        return self.dir / "r"

    def save(self):
        (self.dir / "config.json").write_text(json.dumps(self.config))

    def call(self, *words):
        out = open(self.dir / "out", "a+b")
        p = subprocess.run([self.tool, "--root", str(self.state_dir), *words], stdin=subprocess.DEVNULL,
                           stdout=out, stderr=subprocess.STDOUT, timeout=20, cwd=self.dir)
        return p.returncode

    def said(self):
        return (self.dir / "out").read_text(errors="replace")

    def create(self, *more):
        self.save()
        return self.call("create", "--bundle", str(self.dir), *more, self.id)

    def run(self):
        self.save()
        return self.call("run", "--bundle", str(self.dir), self.id)

    def state(self):
        p = subprocess.run([self.tool, "--root", str(self.state_dir), "state", self.id],
                           capture_output=True, timeout=20)
        return json.loads(p.stdout) if p.returncode == 0 else {}

    def wait(self, status):
        for _ in range(100):
            if self.state().get("status") == status:
                return
            time.sleep(0.05)
        raise Failed(f"never {status}")

    def end(self):
        for words in (("kill", self.id, "KILL"), ("delete", "--force", self.id)):
            try:
                with open(self.dir / "end", "a+b") as out:
                    subprocess.run([self.tool, "--root", str(self.state_dir), *words], timeout=20,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            except subprocess.TimeoutExpired:
                pass


# --- cases in a line -----------------------------------------------------------------------------

def sees(name, change, script, expected):
    def fn(b):
        change(b.config)
        b.sh(script)
        b.run()
        want(re.fullmatch(expected, b.said(), re.S), b.said()[-300:])
    fn.__name__ = name
    CASES.append(fn)


def refused(name, change):
    def fn(b):
        change(b.config)
        b.sh("echo ran")
        want(b.run() != 0 and "ran" not in b.said().split("\n"), "it ran")
    fn.__name__ = name
    CASES.append(fn)


def put(path, value):
    def change(c):
        *way, last = path.split(".")
        for key in way:
            c = c.setdefault(key, {})
        c[last] = value
    return change


def add(path, *values):
    def change(c):
        for key in path.split("."):
            c = c.setdefault(key, [] if key == path.split(".")[-1] else {})
        c.extend(values)
    return change


def each(*changes):
    def change(c):
        for one in changes:
            one(c)
    return change


def without(kind):
    def change(c):
        c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != kind]
    return change


def within(kind):
    def change(c):
        without(kind)(c)
        c["linux"]["namespaces"].append({"type": kind})
    return change


def hook(b, kind, script, path="/bin/sh"):
    b.config.setdefault("hooks", {}).setdefault(kind, []).append(
        {"path": path, "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]})


# --- running them --------------------------------------------------------------------------------

def runs_at_all(b):
    b.sh("echo ran")
    want(b.run() == 0 and b.said() == "ran\n", b.said())


def attempt(fn, runtime, number):
    b = Box(runtime, f"{number}-{runtime}")
    b.runtime = runtime
    try:
        fn(b)
        return None
    except (Failed, subprocess.TimeoutExpired, OSError, KeyError, ValueError) as e:
        return str(e).strip().split("\n")[-1][:200] or type(e).__name__
    finally:
        b.end()


def main(version):
    WORK.chmod(0o755)  # a user namespace's root must get through
    for d in ("bin", "etc", "tmp", "proc", "sys", "dev", "root", "home/user", "run"):
        (ROOT / d).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), ROOT / "bin/busybox")
    for name in subprocess.run([ROOT / "bin/busybox", "--list"], capture_output=True, text=True).stdout.split():
        if name != "busybox":
            (ROOT / "bin" / name).symlink_to("busybox")
    (ROOT / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (ROOT / "etc/group").write_text("root:x:0:\n")
    global BASE
    subprocess.run([OURS, "spec", *([] if IS_ROOT else ["--rootless"]), "--bundle", WORK], check=True)
    base = json.loads((WORK / "config.json").read_text())
    base["ociVersion"] = version
    base["hostname"] = "box"
    base["process"].update(terminal=False, args=["/bin/true"])
    base["root"]["readonly"] = False
    for kind in ("bounding", "permitted", "effective"):
        base["process"]["capabilities"][kind] += ["CAP_CHOWN", "CAP_MKNOD", "CAP_DAC_OVERRIDE"]
    BASE = json.dumps(base)
    failed, differences = 0, []
    for r in list(RUNTIMES):
        if r != "dewar" and (why := attempt(runs_at_all, r, 0)):
            print(f"# {r} does not work here: {why}")
            del RUNTIMES[r]
    for number, fn in enumerate(CASES, 1):
        if not IS_ROOT and fn.__name__ in ROOT_ONLY:
            print(f"ok {number} - {fn.__name__} # SKIP only as root")
            continue
        got = {r: attempt(fn, r, number) for r in RUNTIMES}
        ours = got["dewar"]
        if ours is None:
            print(f"ok {number} - {fn.__name__}")
        elif fn.__name__ in KNOWN:
            print(f"ok {number} - {fn.__name__} # TODO {KNOWN[fn.__name__]}")
        else:
            failed += 1
            print(f"not ok {number} - {fn.__name__}\n# {ours}")
        if len({v is None for v in got.values()}) > 1:
            differences.append((fn.__name__, got))
        sys.stdout.flush()
    print(f"1..{len(CASES)}")
    for name, got in differences:
        print(f"# {name}: " + ", ".join(f"{r} {'passes' if v is None else 'fails'}" for r, v in got.items()))
        if os.environ.get("VERBOSE"):
            for r, v in got.items():
                if v is not None:
                    print(f"#     {r}: {v}")
    return failed


def run_cases(version):
    """All cases of the file that calls this, on bundles of this version; the exit status."""
    try:
        return 1 if main(version) else 0
    finally:
        # A peer that was given no mount namespace leaves its mounts; nothing is removed through one.
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{WORK}/"):
                subprocess.run(["umount", "-l", line.split()[1]], stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", "--one-file-system", WORK])
