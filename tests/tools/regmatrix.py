#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs pull and push against what registries do wrong: the tables of regrows.py against evilreg.

    regmatrix.py list [TABLE]                     the names of the rows
    regmatrix.py run WORK LAYOUT TABLE|ROW[.KIND]|chance:SEED:N...
                                                  runs cells, several at a time; WORK/ROW tells

In each cell the command must come to its end within BOUND seconds and do what the row expects; an
error must name the registry, the repository, for a blob its digest, and the cause. In each cell, too:
nothing is published that is not whole, the store has nothing that prune does not free, no process is
left, memory stays below MEMORY, no header or message carries a secret to where it does not belong;
and when the registry is well again, the same command succeeds. $DEWAR is the program; WORK keeps the
files of cells that went wrong.
"""
import base64
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import evilreg
import regrows
from regrows import FAIL, HOST, OK, PUSH, TABLES

BOUND = 20
MEMORY = 128 << 10  # KiB, of the largest process
JOBS = int(os.environ.get("JOBS", "6"))
# Two retries, and two seconds without a byte are a stall: the matrix shall not take an hour.
QUICK = {"DEWAR_REGISTRY_RETRIES": "2", "DEWAR_REGISTRY_STALL": "2"}
ROWS = {row.name: row for rows in TABLES.values() for row in rows}
INWARD = {row.name for row in TABLES["inward"]}
# Started small, so that what the command took can be told from what we take: a new process begins
# with the peak of the one that it was.
RUNNER = """
import os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
open(sys.argv[1], 'w').write('%d %d' % (os.waitstatus_to_exitcode(status), usage.ru_maxrss))
"""


class Done:
    def __init__(self, code, out, err, rss, seconds):
        self.code, self.out, self.err, self.rss, self.seconds = code, out, err, rss, seconds


class Cell:
    def __init__(self, bench, row, kind):
        self.bench, self.row, self.kind = bench, row, kind
        self.expect, rules = row.cell(kind)
        self.rules = json.loads(json.dumps(rules).replace("{layer}", bench.layer))
        if kind == "blob_get" and row.rules is None:
            self.rules[0]["match"] = bench.layer
        self.work = bench.work / "cells" / f"{row.name}.{kind}"
        self.push = kind in PUSH
        self.why, self.code = [], None

    def wrong(self, text):
        self.why.append(text)

    def start(self):
        script = {"tls": "good", "other_tls": "good", "auth": "token", "rules": self.rules,
                  "tls_dir": str(self.bench.work / "tls"), "layer": self.bench.layer,
                  "layer_size": self.bench.size, **self.row.script}
        if self.row.name in INWARD:
            script.update(host=HOST, bind=HOST, tls_dir=str(self.bench.work / "tls-public"))
        if not self.push:
            script["images"] = str(self.bench.layout)
        self.evil = evilreg.Evil(self.work / "evil", script).start()
        if self.row.arrange:
            self.row.arrange(self.evil, self.bench)
        what = f"@{self.bench.manifest}" if self.row.by_digest else ":latest"
        self.host = f"{self.evil.host}:{self.evil.ports['main']}"
        self.name = f"{self.host}/a/b{what}"
        self.store = self.bench.store if self.push else self.work / "store"
        self.env = self.bench.env(self.work, self.store, self.host, script["tls_dir"],
                                  self.row.identity) | self.row.env

    def dewar(self, *words):
        return subprocess.run([self.bench.dewar, *words], env=self.env, capture_output=True, text=True,
                              timeout=BOUND)

    def run(self):
        self.work.mkdir(parents=True)
        self.start()
        words = ["push" if self.push else "pull", "-q", *self.row.flags, self.name]
        try:
            if self.push:
                self.bench.must(self.env, "tag", "seed:latest", self.name)
            done = self.bench.command(self.env, self.work, *words)
            self.code = done.code
            self.judge(done)
            if done.code == 0:
                self.result()
            elif not self.row.arrange and not {"tls", "realm"} & set(self.row.script):
                self.evil.rules = []
                again = self.bench.command(self.env, self.work, *words)
                if again.code:
                    self.wrong(f"well again, and it fails: {again.err}")
                else:
                    self.result()
            self.secrets(done)
            self.residue()
        finally:
            self.evil.stop()
            if self.push:
                self.dewar("rmi", self.name)
        return self.why

    def judge(self, done):
        if done.code is None:
            return self.wrong(f"did not end within {BOUND} s: {done.err}")
        if done.rss > MEMORY:
            self.wrong(f"took {done.rss} KiB of memory")
        if done.code < 0 or done.code > 125:
            self.wrong(f"ended with status {done.code}: {done.err}")
        if self.expect == OK and done.code:
            self.wrong(f"should have worked: {done.err}")
        if self.expect == FAIL and not done.code:
            self.wrong("said that all is well")
        if done.code == 0 and done.seconds < self.row.waits:
            self.wrong(f"was told to wait {self.row.waits} s and waited {done.seconds:.2f}")
        if done.code and self.expect != OK:
            self.message(done.err)
        if done.code and not self.push:
            self.unpublished()
        if self.rules and not self.row.may_miss and any(set(r) - {"on"} for r in self.rules) and not self.evil.rules[0]["used"]:
            self.wrong("the fault never happened")
        if self.row.check:
            why = self.row.check(self.evil, done)
            if why:
                self.wrong(why)
        return None

    def message(self, err):
        if err.count("error:") != 1:
            self.wrong(f"not one error: {err!r}")
        names = [self.host, "a/b"]
        if self.kind == "blob_get":
            names.append(self.bench.layer[7:19])
        for what in names:
            if what not in err:
                self.wrong(f"the error does not name '{what}': {err!r}")
        if not re.search(self.row.cause, err.replace(self.host, "").replace(self.bench.layer, "")):
            self.wrong(f"the error does not name the cause /{self.row.cause}/: {err!r}")
        if re.search("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\udc80-\\udcff]", err):
            self.wrong(f"control characters reach the terminal: {err!r}")
        if len(err) > 3000:
            self.wrong(f"an error of {len(err)} bytes")

    def unpublished(self):
        out = self.dewar("images", "-q")
        if out.returncode or out.stdout.strip():
            self.wrong(f"published after a failure: {out.stdout}{out.stderr}")
        refs = [str(p) for p in (self.store / "refs").rglob("*") if p.is_file()]
        if refs:
            self.wrong(f"refs after a failure: {refs}")

    def result(self):
        """What the command is for is there, byte for byte."""
        if self.push:
            lost = [d for d in self.bench.digests if d not in self.evil.blobs]
            if lost or self.evil.tags.get("latest", [None])[0] != self.bench.manifest:
                self.wrong(f"pushed, but the registry lacks {lost or 'the tag'}")
            return
        out = self.dewar("inspect", "--format", "{{.Id}}", self.name)
        if out.stdout.strip() != self.bench.config:
            self.wrong(f"pulled '{out.stdout.strip()}', not {self.bench.config}: {out.stderr}")

    def secrets(self, done):
        basic = base64.b64encode(f"{evilreg.USER}:{evilreg.PASSWORD}".encode()).decode()
        for word in (evilreg.PASSWORD, evilreg.IDENTITY, basic, "good-", "bad-one"):
            if word in done.err or word in done.out:
                self.wrong(f"the output holds the secret '{word}'")
        for one in self.evil.requests():
            heads = set(one.get("headers", {}))
            if one.get("event") == "bug":
                self.wrong(f"evilreg stumbled: {one}")
            if one["door"] == "canary":
                self.wrong(f"the canary was reached: {one}")
            if one["door"] == "other" and {"authorization", "cookie", "proxy-authorization"} & heads and not (
                    self.row.token_door and one["kind"] == "token"):
                self.wrong(f"credentials went to another origin: {one}")

    def residue(self):
        if not self.push:
            for words in (["system", "check"], ["rmi", "-f", self.name],
                          ["system", "prune", "--all", "--force"]):
                out = self.dewar(*words)
                if out.returncode and words[0] != "rmi":
                    self.wrong(f"{' '.join(words)}: {out.stdout}{out.stderr}")
            left = [str(p.relative_to(self.store)) for room in ("blobs", "layers", "tmp", "trash")
                    for p in (self.store / room).rglob("*") if not p.is_dir() or room in ("tmp", "trash")]
            if left:
                self.wrong(f"left behind: {left[:6]}")
        tag, end = f"DEWAR_MATRIX={self.work}".encode(), time.monotonic() + 3
        while True:
            here = []
            for proc in Path("/proc").iterdir():
                try:
                    if proc.name.isdigit() and tag in (proc / "environ").read_bytes().split(b"\0"):
                        here.append((proc / "comm").read_text().strip())
                except OSError:
                    pass
            if not here:
                return None
            if time.monotonic() > end:
                return self.wrong(f"processes left: {here}")
            time.sleep(0.05)


class Bench:
    def __init__(self, work, layout):
        self.work, self.layout = Path(work).resolve(), Path(layout).resolve()
        self.dewar = os.environ["DEWAR"]
        index = json.loads((self.layout / "index.json").read_text())
        self.manifest = index["manifests"][0]["digest"]
        doc = self.document(self.manifest)
        self.config = doc["config"]["digest"]
        self.layer, self.size = doc["layers"][-1]["digest"], doc["layers"][-1]["size"]
        self.digests = [self.config] + [one["digest"] for one in doc["layers"]]
        self.store = self.work / "seed-store"
        self.peak = 0

    def document(self, digest):
        return json.loads((self.layout / "blobs/sha256" / digest[7:]).read_text())

    def descriptor(self):
        path = self.layout / "blobs/sha256" / self.manifest[7:]
        return {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": self.manifest,
                "size": path.stat().st_size, "platform": {"os": "linux", "architecture": "amd64"}}

    def env(self, work, store, host, tls, identity=False):
        docker = work / "docker"
        docker.mkdir(exist_ok=True)
        auth = base64.b64encode(f"{evilreg.USER}:{evilreg.PASSWORD}".encode()).decode()
        login = {"identitytoken": evilreg.IDENTITY} if identity else {"auth": auth}
        (docker / "config.json").write_text(json.dumps({"auths": {host: login}}))
        return {"PATH": os.environ["PATH"], "HOME": str(work), "LC_ALL": "C.UTF-8", **QUICK,
                "DEWAR_STORE": str(store), "DEWAR_RUN": str(store) + "-run", "DOCKER_CONFIG": str(docker),
                "SSL_CERT_FILE": f"{tls}/ca.crt", "DEWAR_MATRIX": str(work)}

    def must(self, env, *words):
        out = subprocess.run([self.dewar, *words], env=env, capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(f"{' '.join(words)}: {out.stderr}")
        return out.stdout

    def command(self, env, work, *words):
        """Runs dewar; memory is the largest of its processes."""
        start = time.monotonic()
        (work / "usage").unlink(missing_ok=True)
        with open(work / "out", "wb") as out, open(work / "err", "wb") as err:
            child = subprocess.Popen([sys.executable, "-I", "-S", "-c", RUNNER, work / "usage", self.dewar,
                                      *words], env=env, cwd=work, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=err, start_new_session=True)
            fd = os.pidfd_open(child.pid)
            late = not select.select([fd], [], [], BOUND)[0]
            if late:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            os.close(fd)
        code, rss = (None, 0) if late else map(int, (work / "usage").read_text().split())
        self.peak = max(self.peak, rss)
        text = [(work / name).read_bytes().decode("utf-8", "surrogateescape") for name in ("out", "err")]
        return Done(code, *text, rss, time.monotonic() - start)

    def prepare(self):
        """The store that pushes: what it pushes was pulled, so the bytes must be the same."""
        shutil.rmtree(self.work / "cells", ignore_errors=True)
        work = self.work / "cells" / "seed"
        work.mkdir(parents=True)
        evil = evilreg.Evil(work / "evil", {"tls": "good", "auth": "token", "images": str(self.layout),
                                            "tls_dir": str(self.work / "tls")}).start()
        try:
            name = f"localhost:{evil.ports['main']}/a/b:latest"
            env = self.env(work, self.store, name.split("/")[0], self.work / "tls")
            if not (self.store / "refs").exists():
                self.must(env, "pull", "-q", name)
                self.must(env, "tag", name, "seed:latest")
                self.must(env, "rmi", name)
        finally:
            evil.stop()
        return env

    def one(self, row, kind):
        start = time.monotonic()
        cell = Cell(self, row, kind)
        try:
            why = cell.run()
        except Exception as e:
            why = [repr(e)]
        if not why:
            shutil.rmtree(cell.work, ignore_errors=True)
        return row, kind, why, f"status {cell.code}, {time.monotonic() - start:.1f} s"

    def run(self, names):
        self.work.mkdir(parents=True, exist_ok=True)
        env = self.prepare()
        cells = []
        for name in names:
            name, _, only = name.partition(".")
            if name.startswith("chance:"):
                _, seed, count = name.split(":")
                rows = regrows.by_chance(seed, int(count))
            else:
                rows = TABLES.get(name) or [ROWS[name]]
            cells += [(r, k) for r in rows for k in r.kinds if only in ("", k)]
        # The slow ones first, so that they run beside all others.
        cells.sort(key=lambda c: not c[0].name.startswith(("stall", "one-byte", "upload-stalls", "429")))
        with ThreadPoolExecutor(JOBS) as pool:
            results = list(pool.map(lambda c: self.one(*c), cells))
        for row in {id(r[0]): r[0] for r in results}.values():
            (self.work / row.name).write_text("".join(
                f"{'not ok' if why else 'ok'} {kind}: {row.cell(kind)[0]} ({took})"
                + (f" {row.rules}\n" if why and row.may_miss else "\n")
                + "".join(f"    {w}\n" for w in why)
                for r, kind, why, took in results if r is row))
        check = subprocess.run([self.dewar, "system", "check"], env=env, capture_output=True, text=True)
        bad = sum(bool(r[2]) for r in results)
        if check.returncode:
            print("the store that pushed is damaged: " + check.stdout + check.stderr)
        print(f"{len(results)} cells: {len(results) - bad} right, {bad} wrong; "
              f"peak memory of one process {self.peak} KiB")
        return int(bad != 0 or check.returncode != 0)


def main():
    verb, *words = sys.argv[1:] or [""]
    if verb == "list":
        print("\n".join(r.name for name, rows in TABLES.items() if not words or name in words for r in rows))
    elif verb == "run" and len(words) > 2:
        return Bench(words[0], words[1]).run(words[2:])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


assert len(ROWS) == sum(map(len, TABLES.values())), "two rows have one name"
sys.exit(main())
