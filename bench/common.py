# SPDX-License-Identifier: Apache-2.0
"""What the bench rows share: where things are, how dewar and each peer are called, how time is taken.

Commands run in turn (ours, theirs, ours, ...), so that a machine that drifts drifts for both, and
medians are compared. A peer that is not installed, or does not work on this machine, is named with
the reason and never dropped in silence. A row prints lines of tab-separated words:
what, who, our value, their value, ratio (ours by theirs), the goal, whether it is met.
"""

import atexit
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = Path(os.environ.get("BENCH_WORK", "/tmp/dewar-bench"))
INPUTS = WORK / "inputs"
DEWAR = os.environ.get("DEWAR") or str(ROOT / "build/src/cli/dewar")
IS_ROOT = os.geteuid() == 0
IMAGE = "busybox:bench"


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def run(words, check=True, **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    kw.setdefault("stdout", subprocess.DEVNULL)
    kw.setdefault("stderr", subprocess.PIPE)
    done = subprocess.run([str(w) for w in words], **kw)
    if check and done.returncode:
        text = (done.stderr or b"").decode(errors="replace").strip()[-500:]
        raise RuntimeError(f"{' '.join(map(str, words[:4]))}...: status {done.returncode}: {text}")
    return done


def seconds(words, **kw):
    start = time.perf_counter()
    run(words, **kw)
    return time.perf_counter() - start


def in_turn(runs, commands, before=None, warm=1):
    """{name: [seconds...]} of the commands, run in turn. A command that fails is left out, by name."""
    took = {name: [] for name in commands}
    for i in range(runs + warm):
        for name, words in list(commands.items()):
            if name not in took:
                continue
            if before:
                before(name)
            try:
                t = seconds(words)
            except (RuntimeError, OSError) as e:
                if name == "dewar":
                    raise
                say(f"{name} does not work here: {e}")
                del took[name]
                continue
            if i >= warm:
                took[name].append(t)
    return took


def row(what, who, ours, theirs, goal=None, unit="ms", bound=None, at_most=None):
    """bound: the most that ours/theirs may be; at_most: the most that ours alone may be."""
    scale, digits = {"ms": (1e3, 1), "s": (1, 2), "MiB": (1 / (1 << 20), 0)}[unit]
    show = lambda v: "-" if v is None else f"{v * scale:.{digits}f} {unit}"
    ratio = ours / theirs if theirs else None
    met = "-"
    if bound is not None and ratio is not None:
        met = "yes" if ratio <= bound else "NO"
    if at_most is not None:
        met = "yes" if ours <= at_most else "NO"
    print("\t".join([what, who, show(ours), show(theirs), "-" if ratio is None else f"{ratio:.3f}",
                     goal or "-", met]), flush=True)


def compare(what, took, goals, unit="ms"):
    """One line a peer. goals: {peer: (text, most ratio)}."""
    ours = statistics.median(took["dewar"])
    for name, times in took.items():
        if name != "dewar":
            goal, bound = goals.get(name, (None, None))
            row(what, name, ours, statistics.median(times), goal, unit, bound)
    return ours


# --- dewar and its peers --------------------------------------------------------------------------

def own_env():
    os.environ["DEWAR_STORE"] = str(WORK / "dewar" / "store")
    os.environ["DEWAR_RUN"] = str(WORK / "dewar" / "run")
    os.environ["LC_ALL"] = "C.UTF-8"
    for key in ("SOURCE_DATE_EPOCH", "DOCKER_HOST"):
        os.environ.pop(key, None)
    (WORK / "dewar").mkdir(parents=True, exist_ok=True)
    INPUTS.mkdir(parents=True, exist_ok=True)


own_env()


def need(program, package=None):
    if shutil.which(program):
        return True
    say(f"{program} is not installed (package {package or program}): left out")
    return False


def podman():
    if not need("podman"):
        return None
    top = WORK / "podman"
    return ["podman", "--root", top / "root", "--runroot", top / "run", "--storage-driver", "overlay",
            "--cgroup-manager", "cgroupfs", "--runtime", shutil.which("runc") or "/usr/sbin/runc"]


# Raising a limit above the caller's own is not allowed everywhere, and podman's defaults do.
PODMAN_RUN = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]


def buildah():
    if not need("buildah"):
        return None
    top = WORK / "buildah"
    return ["buildah", "--root", top / "root", "--runroot", top / "run", "--storage-driver", "overlay"]


BUILDAH_BUILD = ["bud", "--layers", "--isolation", "chroot", "--network", "host", "--ulimit",
                 "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
_dockerd = None


def docker():
    """Starts a dockerd of our own, with its data below our folder; None where that does not work."""
    global _dockerd
    if not IS_ROOT or not need("dockerd", "docker.io"):
        return None
    top = WORK / "docker"
    top.mkdir(parents=True, exist_ok=True)
    words = ["docker", "-H", f"unix://{top}/sock"]
    if _dockerd is None:
        _dockerd = subprocess.Popen(
            ["dockerd", "--storage-driver", "overlay2", "--data-root", top / "data", "--exec-root",
             top / "exec", "--pidfile", top / "pid", "-H", f"unix://{top}/sock", "--bridge", "none",
             "--iptables=false", "--ip-forward=false", "--ip-masq=false"],
            stdin=subprocess.DEVNULL, stdout=open(top / "log", "w"), stderr=subprocess.STDOUT)
        atexit.register(stop_docker)
        for _ in range(100):
            if run([*words, "version"], check=False).returncode == 0:
                break
            time.sleep(0.2)
        else:
            say(f"dockerd does not start here; see {top}/log")
            stop_docker()
            return None
    return words


def stop_docker():
    global _dockerd
    if _dockerd and _dockerd.poll() is None:
        _dockerd.terminate()
        try:
            _dockerd.wait(20)
        except subprocess.TimeoutExpired:
            _dockerd.kill()
            _dockerd.wait()
    _dockerd = None


# --- inputs ---------------------------------------------------------------------------------------

def rootfs():
    """A root folder of busybox alone, and as a tar."""
    folder, tar = INPUTS / "rootfs", INPUTS / "rootfs.tar"
    if not tar.exists():
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "usr", "root", "var/tmp", "run"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(shutil.which("busybox"), folder / "bin/busybox")
        for name in ("sh", "true", "cp", "cat", "mkdir", "ls", "echo", "rm", "find", "seq", "touch",
                     "sync"):
            (folder / "bin" / name).symlink_to("busybox")
        (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (folder / "etc/group").write_text("root:x:0:\n")
        run(["tar", "-C", folder, "--owner=0", "--group=0", "--mtime=@1000000000", "--sort=name",
             "-cf", f"{tar}.part", "."])
        os.rename(f"{tar}.part", tar)
    return folder, tar


def words_of(seed, size):
    """Text that compresses about as source code does, the same for the same seed."""
    import random
    rng = random.Random(seed)
    pool = ["".join(rng.choices("etaoinshrdlucmfw_", k=rng.randint(2, 11))) for _ in range(3000)]
    out, length = [], 0
    while length < size:
        line = " ".join(rng.choices(pool, k=9)) + f" {rng.getrandbits(40):x}\n"
        out.append(line)
        length += len(line)
    return "".join(out).encode()[:size]


def import_everywhere(tools):
    """The base image into each engine; returns the tools that took it."""
    _, tar = rootfs()
    good = {}
    for name, words in tools.items():
        if words is None:
            continue
        try:
            if name == "dewar":
                run([DEWAR, "image", "import", tar, IMAGE])
            elif name == "buildah":
                make = [*words, "from", "--name", "bench-base", "scratch"]
                if run([*words, "inspect", f"localhost/{IMAGE}"], check=False).returncode:
                    run([*words, "rm", "bench-base"], check=False)
                    run(make)
                    run([*words, "add", "bench-base", tar, "/"])
                    run([*words, "commit", "--rm", "bench-base", f"localhost/{IMAGE}"])
            else:
                run([*words, "import", tar, IMAGE])
            good[name] = words
        except (RuntimeError, OSError) as e:
            if name == "dewar":
                raise
            say(f"{name} does not take the base image here: {e}")
    return good


class Peak(threading.Thread):
    """The most memory that processes whose command line holds one of the marks had together."""

    def __init__(self, marks):
        super().__init__(daemon=True)
        self.marks, self.most, self.going = [m.encode() for m in marks], 0, True

    def run(self):
        while self.going:
            total = 0
            for proc in Path("/proc").iterdir():
                if not proc.name.isdigit():
                    continue
                try:
                    line = (proc / "cmdline").read_bytes()
                    if any(m in line for m in self.marks):
                        for entry in (proc / "smaps_rollup").read_text().splitlines():
                            if entry.startswith(("Pss_Anon:", "Pss_Shmem:")):
                                total += int(entry.split()[1]) << 10
                except OSError:
                    pass
            self.most = max(self.most, total)
            time.sleep(0.1)

    def stop(self):
        self.going = False
        self.join()
        return self.most


# --- a registry -----------------------------------------------------------------------------------

def registry(name):
    """Starts Debian's docker-registry on loopback for this script; returns its host:port."""
    folder = WORK / "registries" / f"{name}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = run([ROOT / "tests/tools/registry", "start", folder, "plain", "--owner", str(os.getpid())],
               stdout=subprocess.PIPE)
    told = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(run, [ROOT / "tests/tools/registry", "stop", told["REGISTRY_PID"]], check=False)
    return told["REGISTRY"]


def fresh(name, words):
    """A tool with a store of its own that is empty: unpacking after a large removal is slow for all."""
    top = WORK / f"fresh-{name}-{os.getpid()}"
    top.mkdir(parents=True)
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    if words[0] == DEWAR:
        os.environ["DEWAR_STORE"], os.environ["DEWAR_RUN"] = str(top / "store"), str(top / "run")
        return words
    return [top / str(w).rsplit("/", 1)[1] if str(w).startswith(str(WORK / "podman")) else w
            for w in words]
