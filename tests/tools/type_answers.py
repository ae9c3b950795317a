#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A person at a terminal, for tests: runs a command on a pty and types.

    type_answers.py STEP... -- COMMAND...

STEP is one of  TEXT=ANSWER   wait for TEXT on the screen, note whether the terminal echoes, type ANSWER
                TEXT=!NAME    the same, then send signal NAME to the command; "!^C" types the key

Prints the screen, then "echo: on|off ..." for the steps in turn and "end: on|off STATUS" for after it.
"""
import os
import pty
import select
import signal
import sys
import termios
import time


def echo(fd):
    return "on" if termios.tcgetattr(fd)[3] & termios.ECHO else "off"


def main():
    cut = sys.argv.index("--")
    steps, command = [s.split("=", 1) for s in sys.argv[1:cut]], sys.argv[cut + 1:]
    keeper, line = pty.openpty()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(keeper)
        import fcntl
        fcntl.ioctl(line, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(line, fd)
        os.execvp(command[0], command)
    screen, seen, echoes, end, code = b"", 0, [], time.monotonic() + 30, None
    while time.monotonic() < end:
        if select.select([keeper], [], [], 0.02)[0]:
            screen += os.read(keeper, 4096)
        elif code is not None:
            break
        if steps and steps[0][0].encode() in screen[seen:]:
            wanted, answer = steps.pop(0)
            seen = screen.index(wanted.encode(), seen) + len(wanted)
            time.sleep(0.1)  # the echo goes off around the question
            echoes.append(echo(line))
            if answer == "!^C":
                os.write(keeper, b"\x03")
            elif answer.startswith("!"):
                os.kill(pid, getattr(signal, answer[1:]))
            else:
                os.write(keeper, answer.encode() + b"\n")
        if code is None:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
    if code is None:
        os.kill(pid, signal.SIGKILL)
    print(screen.decode(errors="replace").replace("\r", ""))
    print("echo:", *echoes)
    print("end:", echo(line), code)


main()
