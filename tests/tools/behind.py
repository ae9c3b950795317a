# SPDX-License-Identifier: Apache-2.0
"""Test servers that run behind a script: start one, print what it says about itself as shell
variables, and end it when it is told to or when the process that owns it has ended."""
import ctypes
import os
import select
import shlex
import signal
import sys
from pathlib import Path

SECONDS = 20  # to end in


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _close_all_but(*keep):
    """Nothing of the caller's stays open here: a test runner waits for the end of its pipes."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the listing's own


def _supervise(owner, name, steps, tell_fd):
    os.setsid()
    held = os.pidfd_open(owner)
    stop, stopper = os.pipe()
    os.set_blocking(stopper, False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(stopper)
    try:
        tell = next(steps)
        text = "".join(f"{name}{'_' * bool(k)}{k}={shlex.quote(str(v))}\n" for k, v in tell.items())
        os.write(tell_fd, text.encode())
        os.close(tell_fd)
        ended = next(steps)
        select.select([fd for fd in (held, stop, ended) if fd is not None], [], [])
    finally:
        steps.close()


def start(folder, name, owner, steps):
    """`steps` is a generator that runs in a new process: it yields the variables when it is ready,
    then a descriptor that says when it has ended by itself (or None), and cleans up when closed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    told, tell = os.pipe()
    if os.fork() == 0:
        code = 1
        try:
            null = os.open("/dev/null", os.O_RDWR)
            log = os.open(folder / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for fd, to in ((null, 0), (null, 1), (log, 2)):
                os.dup2(fd, to)
            _close_all_but(0, 1, 2, tell)
            _supervise(owner, name, steps, tell)
            code = 0
        except BaseException as e:
            print(repr(e), file=sys.stderr, flush=True)
        os._exit(code)
    os.close(tell)
    with os.fdopen(told) as f:
        text = f.read()
    if not text:
        raise SystemExit(f"{Path(sys.argv[0]).name}: " + (folder / "supervisor.log").read_text())
    print(text, end="")


def stop(pid):
    try:
        fd = os.pidfd_open(pid)
        signal.pidfd_send_signal(fd, signal.SIGTERM)
    except ProcessLookupError:
        return
    if not select.select([fd], [], [], SECONDS)[0]:
        raise SystemExit(f"{pid} does not end")
