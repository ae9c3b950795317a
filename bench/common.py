# SPDX-License-Identifier: Apache-2.0
"""What the bench rows share: where things are, how dewar and each peer are called, how time is taken.

Commands run in turn (ours, theirs, ours, ...), so that a machine that drifts drifts for both, and
medians are compared. A peer that is not installed, or does not work on this machine, is named with
the reason and never dropped in silence. A row prints lines of tab-separated words:
what, who, our value, their value, ratio (ours by theirs), the goal, whether it is met.

Only inputs outlive a script. Every engine starts with an empty store below PLACE, which is removed at
the end and never between timed runs: see settle().
"""

import atexit
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = Path(os.environ.get("BENCH_WORK", "/tmp/dewar-bench"))
INPUTS = WORK / "inputs"
PLACE = WORK / f"run-{os.getpid()}"
EMPTIED = WORK / "emptied"
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
    """{name: [seconds...]} of the commands, run in turn. A command that fails is left out, by name. The order
    of each round is drawn (the same ones every time): who always follows another one pays for what that
    one left the kernel to do."""
    took = {name: [] for name in commands}
    dice = random.Random(1)
    settle()
    for i in range(runs + warm):
        for name, words in dice.sample(sorted(commands.items()), len(commands)):
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


def in_rounds(count, tools, prepare, work):
    """{name: [seconds...]} of work(name, prepare(name, turn)), for what takes long and fills disks and
    memory: another tool begins each round, and nobody pays for what another one left unwritten."""
    took = {name: [] for name, words in tools.items() if words}
    settle()
    for turn in range(count):
        names = list(took)
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            try:
                ready = prepare(name, turn)
                os.sync()
                start = time.perf_counter()
                work(name, ready)
                took[name].append(time.perf_counter() - start)
            except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                if name == "dewar":
                    raise
                say(f"{name} does not work here: {e}")
                del took[name]
    return took


def row(what, who, ours, theirs, goal=None, unit="ms", bound=None, at_most=None):
    """bound: the most that ours/theirs may be; at_most: the most that ours alone may be."""
    scale, digits = {"ms": (1e3, 1), "s": (1, 2), "MiB": (1 / (1 << 20), 0), "KiB": (1 / 1024, 0)}[unit]
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


# --- places ---------------------------------------------------------------------------------------

def remove(folder):
    """Also what a dead peer still has mounted in it; never a file of another file system."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{folder}/"):
            run(["umount", "-l", line.split()[1]], check=False)
    before = os.statvfs(WORK).f_ffree
    # An ordinary user's stores hold files of the ids that the user's containers have.
    inside = [] if IS_ROOT else ["unshare", "--user", "--map-root-user", "--map-auto"]
    if run([*inside, "rm", "-rf", "--one-file-system", folder], check=False).returncode:
        say(f"{folder} could not be removed")
    os.sync()
    if os.statvfs(WORK).f_ffree - before > 5000:
        EMPTIED.touch()


def settle():
    """ext4 looks for other inodes than those deleted in the last minute, so unpacking just after a
    large removal is several times slower, for everybody."""
    if EMPTIED.exists() and (left := EMPTIED.stat().st_mtime + 65 - time.time()) > 0:
        say(f"waiting {left:.0f} s: files were removed just now")
        time.sleep(left)


def need_space(gib):
    free = shutil.disk_usage(WORK).free >> 30
    if free < gib:
        sys.exit(f"{sys.argv[0]}: {gib} GiB needed below {WORK}, {free} are free")


def own_place():
    for old in WORK.glob("run-*"):
        if not Path("/proc", old.name[4:]).exists():
            remove(old)
    PLACE.mkdir(parents=True)
    INPUTS.mkdir(parents=True, exist_ok=True)
    atexit.register(remove, PLACE)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ["LC_ALL"] = "C.UTF-8"
    for key in ("SOURCE_DATE_EPOCH", "DOCKER_HOST"):
        os.environ.pop(key, None)
    fresh("dewar", [DEWAR])


# --- dewar and its peers --------------------------------------------------------------------------

def need(program, package=None):
    if shutil.which(program):
        return True
    say(f"{program} is not installed (package {package or program}): left out")
    return False


def podman(name="podman"):
    if not need("podman"):
        return None
    top = PLACE / name
    return ["podman", "--root", top / "root", "--runroot", top / "run", "--storage-driver", "overlay",
            "--cgroup-manager", "cgroupfs", "--runtime", shutil.which("runc") or "/usr/sbin/runc"]


# Raising a limit above the caller's own is not allowed everywhere, and podman's defaults do.
PODMAN_RUN = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]


def buildah():
    if not need("buildah"):
        return None
    top = PLACE / "buildah"
    return ["buildah", "--root", top / "root", "--runroot", top / "run", "--storage-driver", "overlay"]


BUILDAH_BUILD = ["bud", "--layers", "--isolation", "chroot", "--network", "host", "--ulimit",
                 "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
_dockerd = None


def docker(name="docker"):
    """Starts a dockerd of our own with an empty folder for its data (the one before it ends); None
    where that does not work."""
    global _dockerd
    if not IS_ROOT or not need("dockerd", "docker.io"):
        return None
    stop_docker()
    top = PLACE / name
    top.mkdir(parents=True)
    words = ["docker", "-H", f"unix://{top}/sock"]
    _dockerd = subprocess.Popen(
        ["dockerd", "--storage-driver", "overlay2", "--data-root", top / "data", "--exec-root",
         top / "exec", "--pidfile", top / "pid", "-H", f"unix://{top}/sock", "--bridge", "none",
         "--iptables=false", "--ip-forward=false", "--ip-masq=false"],
        stdin=subprocess.DEVNULL, stdout=open(WORK / "dockerd.log", "a"), stderr=subprocess.STDOUT)
    atexit.register(stop_docker)
    for _ in range(150):
        if run([*words, "version"], check=False).returncode == 0:
            return words
        time.sleep(0.2)
    say(f"dockerd does not start here; see {WORK}/dockerd.log")
    stop_docker()
    return None


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
    """The most memory that the processes of dewar's programs had together, while it is entered."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.going = 0, True

    def run(self):
        while self.going:
            total = 0
            for proc in Path("/proc").iterdir():
                try:
                    if proc.name.isdigit() and Path(os.readlink(proc / "exe")).name.startswith("dewar"):
                        for entry in (proc / "smaps_rollup").read_text().splitlines():
                            if entry.startswith(("Pss_Anon:", "Pss_Shmem:")):
                                total += int(entry.split()[1]) << 10
                except OSError:
                    pass
            self.most = max(self.most, total)
            time.sleep(0.1)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.going = False
        self.join()


# --- a registry -----------------------------------------------------------------------------------

def registry(name):
    """Starts Debian's docker-registry on loopback for this script, empty; returns its host:port."""
    folder = PLACE / "registries" / name
    folder.mkdir(parents=True)
    done = run([ROOT / "tests/tools/registry", "start", folder, "plain", "--owner", str(os.getpid())],
               stdout=subprocess.PIPE)
    told = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    atexit.register(run, [ROOT / "tests/tools/registry", "stop", told["REGISTRY_PID"]], check=False)
    return told["REGISTRY"]


def cached(folder):
    """Reads all files, so that nobody waits for the disk."""
    for path in Path(folder).rglob("*"):
        if path.is_file():
            with open(path, "rb") as f:
                while f.read(1 << 22):
                    pass


def fresh(name, words):
    """The same tool with an empty store."""
    if words[0] == DEWAR:
        (PLACE / name).mkdir()
        os.environ["DEWAR_STORE"], os.environ["DEWAR_RUN"] = f"{PLACE}/{name}/store", f"{PLACE}/{name}/run"
        return words
    return podman(name) if words[0] == "podman" else docker(name)


own_place()
