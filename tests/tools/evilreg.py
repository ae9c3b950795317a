#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry that follows a script of faults, on loopback, for tests.

    evilreg.py start DIR SCRIPT [--name NAME] [--owner PID]     SCRIPT: a file, or JSON as it stands
    evilreg.py stop PID

It has three doors: `main` is the registry; `other` serves the same content on another port (and
gives out tokens), as a storage host would; `canary` is what nobody may ever be sent to. Each request
at each door is one line of JSON in the log: door, method, path, headers, bytes got and sent, status,
and the rule that was followed. Printed to eval: NAME=localhost:PORT, NAME_OTHER, NAME_CANARY (ports
alone), NAME_LOG, NAME_PID, NAME_CA, NAME_DIR.

The script is an object:

    images  an OCI folder whose names are served as tags of every repository; all its blobs too
    host    the name of the doors in addresses that are given out (default localhost)
    bind    the address of `main` and `other` (default 127.0.0.1)
    tls_dir where certificates are kept (default: a folder of its own)
    tls     "good", "name", "expired", "self", "drop" (no handshake ever ends); other_tls likewise
    auth    "basic" or "token", with user "tester" and password "Sesame-47-open", or
            the identity token "Refresh-48-me"
    realm   where tokens are given out (default {main}/token)
    rules   a list of objects; the first that fits an answer changes it

A rule fits when all it names do: on (one of KINDS or a list; "upload" means POST, PATCH and PUT of
blobs), match (a pattern for the path), door (default main), over (more bytes than that in the
request's body), after (that many fitting requests pass first), times (so many are changed). What it
does, alone or together:

    status, reason, headers (a name with null goes), body, repeat [text, times]   another answer
    edit {"layers.0.size": -1}, duplicate TEXT, bom, spaces N, depth N, fresh_digest
                                       another document (and what the header says of it)
    flip N, append TEXT, keep N        bytes N changed, more bytes, only the first N (an honest length)
    truncate N, reset N, stall N, slow N    after N bytes: closes, resets, says nothing more, or goes on
                                       with one byte a second
    impatient [N, SECONDS]             N bytes in two goes, and when nobody has asked for more by then, a reset
    endless, gzip, chunked, http10     no end; Content-Encoding; no length; no length and no keep-alive
    length TEXT                        what Content-Length says
    no_range, range TEXT               ignores Range; what Content-Range says
    header_bytes N, header_count N     headers of N bytes; N headers
    redirect URL or [URL, status]      307 when it does not say
    location URL                       of an upload
    hangup, mute, garbage              closes instead of an answer; says nothing; another tongue
    delay SECONDS                      before the answer
    trickle                            the whole answer with one byte a second
    early                      the status before the request's body came, of which nothing is read
    refuse N, deaf N                   resets after N bytes of the request's body; reads no more

In texts {main} {other} {canary} {decimal} {mapped} become addresses of the doors, {hostport}
{otherport} {port} parts of them (the last is the canary's), {path} what was asked for, {soon} a date.
"""
import argparse
import base64
import gzip
import hashlib
import json
import os
import re
import select
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import behind
import certs

USER, PASSWORD, IDENTITY = "tester", "Sesame-47-open", "Refresh-48-me"
KINDS = ("ping", "token", "tags", "manifest_get", "manifest_head", "manifest_put", "manifest_delete",
         "blob_get", "blob_head", "upload_post", "upload_patch", "upload_put", "upload_get", "else")
GROUPS = {"upload": ("upload_post", "upload_patch", "upload_put"), "any": KINDS}
MAKING = threading.Lock()  # one maker of certificates at a time
WAIT = 120  # the longest that a stalled answer holds on


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def edit(text, changes):
    """The document with values changed at paths like 'layers.0.size'; null takes a key away."""
    doc = json.loads(text)
    for path, value in changes.items():
        at, *rest = path.split(".")
        here = doc
        while rest:
            here = here[int(at) if isinstance(here, list) else at]
            at, *rest = rest
        if isinstance(here, list):
            here[int(at)] = value
        elif value is None:
            here.pop(at, None)
        else:
            here[at] = value
    return json.dumps(doc).encode()


class Gone(Exception):
    """The client has closed, or is told no more."""


class Request:
    def __init__(self, method, target, headers, rfile):
        self.method, self.target, self.headers, self.rfile = method, target, headers, rfile
        split = urllib.parse.urlsplit(target)
        self.path, self.query = split.path, urllib.parse.parse_qs(split.query)
        self.got, self.form = 0, {}
        self.kind, self.repo, self.what = self.classify()

    def classify(self):
        if self.path in ("/v2", "/v2/"):
            return "ping", "", ""
        if self.path == "/token":
            return "token", "", ""
        m = re.fullmatch(r"/v2/(.+)/(manifests|blobs|tags)/(uploads/[^/]*|[^/]+)", self.path)
        if not m:
            return "else", "", ""
        repo, room, what = m.groups()
        verb = self.method.lower()
        if room == "tags":
            return "tags", repo, what
        if room == "manifests":
            return f"manifest_{verb}", repo, what
        if what.startswith("uploads/"):
            return f"upload_{verb}", repo, what[8:]
        return f"blob_{verb}", repo, what

    def chunks(self):
        """The body's bytes as they come."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                size = int(self.rfile.readline(64).split(b";")[0] or b"0", 16)
                left = size
                while left:
                    data = self.rfile.read1(min(left, 1 << 16))
                    if not data:
                        raise Gone
                    left -= len(data)
                    self.got += len(data)
                    yield data
                self.rfile.readline(64)
                if not size:
                    return
        left = int(self.headers.get("content-length", "0"))
        while left:
            data = self.rfile.read1(min(left, 1 << 16))
            if not data:
                raise Gone
            left -= len(data)
            self.got += len(data)
            yield data

    def body(self):
        return b"".join(self.chunks())


class Answer:
    def __init__(self, status=200, headers=None, body=b"", reason="Said"):
        self.status, self.reason, self.body = status, reason, body
        self.headers = dict(headers or {})
        self.how = {}


class Evil:
    """The registry; start() opens the doors, stop() closes them."""

    def __init__(self, folder, script):
        self.dir, self.script = Path(folder), dict(script)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log_path = self.dir / "requests.log"
        self.rules = [dict(r, seen=0, used=0) for r in script.get("rules", [])]
        self.lock = threading.Lock()
        self.blobs, self.tags, self.uploads, self.pushed = {}, {}, {}, {}
        self.host = script.get("host", "localhost")
        self.ca, self.ports, self.listeners, self.contexts = "", {}, [], {}
        self.open = set()
        if script.get("images"):
            self.load(Path(script["images"]))

    # --- content ------------------------------------------------------------------------------------
    def load(self, layout):
        for path in (layout / "blobs" / "sha256").iterdir():
            self.blobs[f"sha256:{path.name}"] = path
        for one in json.loads((layout / "index.json").read_text())["manifests"]:
            name = one.get("annotations", {}).get("org.opencontainers.image.ref.name", "latest")
            self.tags[name] = (one["digest"], one["mediaType"])

    def blob(self, name):
        here = self.blobs.get(name)
        return here.read_bytes() if isinstance(here, Path) else here

    # --- doors --------------------------------------------------------------------------------------
    def context(self, kind):
        folder = Path(self.script.get("tls_dir", self.dir / "tls"))
        with MAKING:
            if not (folder / "ca.crt").exists():
                certs.authority(folder)
            self.ca = folder / "ca.crt"
            crt, key = self.certificate(folder, kind)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        return context

    def certificate(self, folder, kind):
        if (folder / f"{kind}.crt").exists():
            return folder / f"{kind}.crt", folder / f"{kind}.key"
        names = certs.LOOPBACK + (f", IP:{self.host}" if re.fullmatch(r"[\d.]+", self.host) else "")
        return certs.server(folder, kind, names if kind != "name" else "DNS:elsewhere.example",
                            expired=kind == "expired", by_itself=kind == "self")

    def start(self):
        bind = self.script.get("bind", "127.0.0.1")
        for door in ("main", "other", "canary"):
            kind = self.script.get("tls" if door == "main" else "other_tls") if door != "canary" else None
            self.contexts[door] = kind if kind in (None, "drop") else self.context(kind)
            s = socket.create_server((bind if door != "canary" else "127.0.0.1", 0), backlog=64)
            self.ports[door] = s.getsockname()[1]
            thread = threading.Thread(target=self.accept, args=(door, s), daemon=True)
            self.listeners.append((s, thread))
            thread.start()
        self.log_path.touch()
        return self

    def stop(self):
        # In this order: a thread that accepts on a closed number might meet the next registry's door.
        for s, thread in self.listeners:
            s.shutdown(socket.SHUT_RDWR)
            thread.join()
            s.close()
        with self.lock:
            for conn in list(self.open):
                try:
                    conn.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def url(self, door):
        return f"http{'s' if self.contexts[door] else ''}://{self.host}:{self.ports[door]}"

    def fill(self, text, path=""):
        port = self.ports["canary"]
        for name, value in {"main": self.url("main"), "other": self.url("other"), "path": path,
                            "canary": f"http://127.0.0.1:{port}", "port": str(port),
                            # A date with whole seconds: more than one from now.
                            "soon": time.strftime("%a, %d %b %Y %H:%M:%S GMT",
                                                  time.gmtime(time.time() + 2)),
                            "hostport": f"{self.host}:{self.ports['main']}",
                            "otherport": f"{self.host}:{self.ports['other']}",
                            "decimal": f"http://2130706433:{port}",
                            "mapped": f"http://[::ffff:127.0.0.1]:{port}"}.items():
            text = text.replace("{%s}" % name, value)
        return text

    def note(self, **what):
        with self.lock, open(self.log_path, "a") as f:
            f.write(json.dumps({"time": round(time.time(), 3), **what}) + "\n")

    def requests(self):
        """What the log has so far."""
        with self.lock:
            return [json.loads(line) for line in self.log_path.open()]

    def accept(self, door, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(door, conn), daemon=True).start()

    def talk(self, door, conn):
        conn.settimeout(WAIT)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.open.add(conn)
        raw = conn
        try:
            context, first = self.contexts[door], conn.recv(4096, socket.MSG_PEEK)
            tls = first[:1] == b"\x16"
            if not first:
                return
            if door == "canary" and tls or bool(context) != tls:
                # The wrong language: TLS where we speak plain, or plain words where we speak TLS.
                self.note(door=door, event="tls" if tls else "plain", text=first.decode("latin-1")
                          if not tls else "")
                return
            if context == "drop":
                self.note(door=door, event="dropped")
                return
            if context:
                try:
                    conn = context.wrap_socket(conn, server_side=True)
                except OSError as e:
                    self.note(door=door, event="handshake", text=str(e))
                    return
                with self.lock:
                    self.open.discard(raw)
                    self.open.add(conn)
            rfile = conn.makefile("rb")
            while self.one(door, conn, rfile):
                pass
        except (OSError, Gone):
            pass
        except Exception as e:
            self.note(door=door, event="bug", text=repr(e))
        finally:
            with self.lock:
                self.open.discard(conn)
                self.open.discard(raw)
            conn.close()

    def one(self, door, conn, rfile):
        """One request and its answer; whether the connection goes on."""
        line = rfile.readline(70000)
        if not line:
            return False
        method, target, _ = line.decode("latin-1").split(None, 2)
        headers = {}
        while True:
            line = rfile.readline(70000).decode("latin-1")
            if line in ("\r\n", "\n", ""):
                break
            key, _, value = line.partition(":")
            headers[key.strip().lower()] = value.strip()
        request = Request(method, target, headers, rfile)
        log = {"door": door, "kind": request.kind, "method": method, "path": target,
               "headers": headers, "status": None, "sent": 0, "rule": None}
        try:
            rule = self.pick(door, request)
            log["rule"] = rule and self.rules.index(rule)
            rule = rule or {}
            if headers.get("expect", "").lower() == "100-continue" and "status" not in rule:
                conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(rule.get("delay", 0))
            if "deaf" in rule:
                for _ in request.chunks():
                    if request.got >= rule["deaf"]:
                        break
                time.sleep(WAIT)
                return False
            if "refuse" in rule:
                return self.refuse(conn, request, rule["refuse"])
            answer = self.answer(door, request, rule)
            log["status"] = answer.status
            if rule.get("mute"):
                self.until_closed(conn, WAIT)
                return False
            if rule.get("hangup"):
                return False
            if rule.get("garbage"):
                conn.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" + b"\0" * 500)
                return False
            goes_on = self.send(conn, request, answer, rule, log)
            if rule.get("early"):
                self.count_late(conn, request)
            return goes_on and not rule.get("early")
        finally:
            log["got"] = request.got
            if request.form:
                log["form"] = sorted(request.form)
            self.note(**log)

    def pick(self, door, request):
        with self.lock:
            for rule in self.rules:
                on = rule.get("on", "any")
                kinds = sum((GROUPS.get(k, (k,)) for k in ([on] if isinstance(on, str) else on)), ())
                if (rule.get("door", "main") != door or request.kind not in kinds
                        or not re.search(rule.get("match", ""), request.target)):
                    continue
                if int(request.headers.get("content-length", "0")) <= rule.get("over", -1):
                    continue
                rule["seen"] += 1
                if rule["seen"] <= rule.get("after", 0) or rule["used"] >= rule.get("times", 1 << 30):
                    continue
                rule["used"] += 1
                return rule
        return None

    # --- honest answers -----------------------------------------------------------------------------
    def answer(self, door, request, rule):
        if door == "canary":
            request.body()
            return Answer(404, body=b"canary")
        answer = None
        if "status" in rule and request.method in ("POST", "PATCH", "PUT"):
            if not rule.get("early"):
                request.body()  # so that the connection can go on
            answer = Answer()
        elif door == "main" and request.kind not in ("token", "else"):
            answer = self.challenge(request)
        answer = answer or getattr(self, "give_" + request.kind.replace("_head", "_get"),
                                   self.give_nothing)(request)
        return self.change(request, answer, rule)

    def challenge(self, request):
        auth, said = self.script.get("auth"), request.headers.get("authorization", "")
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if auth == "basic" and said != basic:
            request.body()
            return self.failed(401, "UNAUTHORIZED", {"WWW-Authenticate": 'Basic realm="evil"'})
        needs = "Bearer good-pu" if request.method in ("GET", "HEAD") else "Bearer good-push"
        if auth == "token" and not said.startswith(needs):
            request.body()
            what = f'Bearer realm="{self.fill(self.script.get("realm", "{main}/token"))}",service="evil"'
            if request.repo:
                do = "pull" if request.method in ("GET", "HEAD") else "pull,push"
                what += f',scope="repository:{request.repo}:{do}"'
            return self.failed(401, "UNAUTHORIZED", {"WWW-Authenticate": what})
        return None

    def failed(self, status, code, headers=None, message="no"):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        return Answer(status, {"Content-Type": "application/json", **(headers or {})}, body)

    def give_nothing(self, request):
        request.body()
        return self.failed(404, "NOT_FOUND")

    def give_ping(self, _request):
        return Answer(200, {"Docker-Distribution-Api-Version": "registry/2.0"}, b"{}")

    def give_token(self, request):
        form = urllib.parse.parse_qs(request.body().decode()) if request.method == "POST" else {}
        request.form = form
        said = request.headers.get("authorization")
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if said and said != basic or form.get("password", [PASSWORD]) != [PASSWORD] or form.get(
                "refresh_token", [IDENTITY]) != [IDENTITY]:
            return self.failed(401, "UNAUTHORIZED")
        # A token is good for what it was asked for, as its name says.
        scope = " ".join(form.get("scope", []) + request.query.get("scope", []))
        good = next((a for a in ("push", "pull") if re.search(rf"repository:[^ ]+:[^ ]*{a}", scope)), "none")
        out = {"token": f"good-{good}-{os.urandom(4).hex()}", "expires_in": 300}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(out).encode())

    def give_tags(self, request):
        return Answer(200, {}, json.dumps({"name": request.repo, "tags": sorted(self.tags)}).encode())

    def give_manifest_get(self, request):
        name, kind = self.tags.get(request.what, (request.what, None))
        data = self.blob(name)
        if data is None:
            return self.failed(404, "MANIFEST_UNKNOWN")
        if kind is None:
            kind = json.loads(data).get("mediaType", "application/vnd.oci.image.manifest.v1+json")
        return Answer(200, {"Content-Type": kind, "Docker-Content-Digest": digest(data)}, data)

    def give_manifest_put(self, request):
        data = request.body()
        name = digest(data)
        self.blobs[name] = data
        self.pushed[request.what] = name
        if not request.what.startswith("sha256:"):
            self.tags[request.what] = (name, request.headers.get("content-type", ""))
        return Answer(201, {"Location": f"/v2/{request.repo}/manifests/{name}",
                            "Docker-Content-Digest": name})

    def give_blob_get(self, request):
        data = self.blob(request.what)
        if data is None:
            return self.failed(404, "BLOB_UNKNOWN")
        return Answer(200, {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes",
                            "Docker-Content-Digest": request.what}, data)

    def _upload(self, request, name, status=202):
        held = len(self.uploads[name])
        # The state in the query makes clear that the address is to be used as it was given.
        return Answer(status, {"Location": f"/v2/{request.repo}/blobs/uploads/{name}?_state={held}",
                               "Range": f"0-{max(held - 1, 0)}", "Docker-Upload-UUID": name})

    def _finish(self, request, data):
        want = request.query.get("digest", [""])[0]
        if digest(data) != want:
            return self.failed(400, "DIGEST_INVALID")
        self.blobs[want] = bytes(data)
        self.pushed[want] = want
        return Answer(201, {"Location": f"/v2/{request.repo}/blobs/{want}",
                            "Docker-Content-Digest": want})

    def give_upload_post(self, request):
        data = request.body()
        mount = request.query.get("mount", [""])[0]
        if mount in self.blobs and "from" in request.query:
            return Answer(201, {"Location": f"/v2/{request.repo}/blobs/{mount}",
                                "Docker-Content-Digest": mount})
        if "digest" in request.query:
            return self._finish(request, data)
        name = os.urandom(8).hex()
        self.uploads[name] = bytearray()
        return self._upload(request, name)

    def give_upload_patch(self, request):
        held = self.uploads.get(request.what)
        if held is None:
            return self.give_nothing(request)
        m = re.match(r"(?:bytes )?(\d+)-", request.headers.get("content-range", ""))
        if m and int(m.group(1)) != len(held):
            request.body()
            return self._upload(request, request.what, 416)
        for data in request.chunks():
            held += data
        return self._upload(request, request.what)

    def give_upload_put(self, request):
        held = self.uploads.get(request.what)
        if held is None:
            return self.give_nothing(request)
        for data in request.chunks():
            held += data
        return self._finish(request, held)

    def give_upload_get(self, request):
        if request.what not in self.uploads:
            return self.give_nothing(request)
        return self._upload(request, request.what, 204)

    # --- what a rule makes of them ------------------------------------------------------------------
    def change(self, request, answer, rule):
        if "status" in rule:
            answer = Answer(rule["status"], {}, b"")
        answer.reason = rule.get("reason", answer.reason)
        if "body" in rule:
            answer.body = self.fill(rule["body"]).encode("utf-8", "surrogateescape")
        if "repeat" in rule:
            answer.body = rule["repeat"][0].encode() * rule["repeat"][1]
        if answer.status < 300 and answer.body:
            answer.body = self.rewrite(answer.body, rule)
        if rule.get("fresh_digest"):
            answer.headers["Docker-Content-Digest"] = digest(answer.body)
        if "redirect" in rule:
            to = rule["redirect"] if isinstance(rule["redirect"], list) else [rule["redirect"], 307]
            answer = Answer(to[1], {"Location": self.fill(to[0], request.target)})
        if "location" in rule:
            answer.headers["Location"] = self.fill(rule["location"],
                                                   answer.headers.get("Location", request.target))
        for key, value in rule.get("headers", {}).items():
            answer.headers.pop(next((k for k in answer.headers if k.lower() == key.lower()), ""), None)
            if value is not None:
                answer.headers[key] = self.fill(value)
        return answer

    def rewrite(self, body, rule):
        if "edit" in rule:
            body = edit(body, json.loads(self.fill(json.dumps(rule["edit"]))))
        if "duplicate" in rule:
            body = body.replace(b"{", b"{" + rule["duplicate"].encode() + b",", 1)
        if "spaces" in rule:
            body = body[:-1] + b" " * rule["spaces"] + body[-1:]
        if "depth" in rule:
            body = body.replace(b"{", b'{"x":' + b"[" * rule["depth"] + b"]" * rule["depth"] + b",", 1)
        if rule.get("bom"):
            body = b"\xef\xbb\xbf" + body
        if "flip" in rule:
            at = rule["flip"] % len(body)
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
        if "append" in rule:
            body += rule["append"].encode()
        if "keep" in rule:
            body = body[:rule["keep"]]
        return body

    def refuse(self, conn, request, count):
        for _ in request.chunks():
            if request.got >= count:
                break
        self.reset(conn)
        return False

    @staticmethod
    def reset(conn):
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if isinstance(conn, ssl.SSLSocket):
            socket.socket(fileno=conn.detach()).close()
        else:
            conn.close()

    # --- sending ------------------------------------------------------------------------------------
    def range(self, request, answer, rule):
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not m or answer.status != 200 or request.kind != "blob_get" or rule.get("no_range"):
            return
        first, total = int(m.group(1)), len(answer.body)
        last = min(int(m.group(2) or total), total - 1)
        if first >= total:
            answer.status, answer.body = 416, b""
            answer.headers["Content-Range"] = f"bytes */{total}"
            return
        answer.status, answer.body = 206, answer.body[first:last + 1]
        answer.headers["Content-Range"] = rule.get("range", f"bytes {first}-{last}/{total}")

    def send(self, conn, request, answer, rule, log):
        self.range(request, answer, rule)
        log["status"] = answer.status
        headers = {"Server": "evilreg", **answer.headers}
        body = answer.body if request.method != "HEAD" else b""
        keep = True
        if rule.get("gzip"):
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        if rule.get("http10") or rule.get("endless") == "close":
            keep = False
        elif rule.get("chunked") or rule.get("endless") == "chunked":
            headers["Transfer-Encoding"] = "chunked"
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in
                            (body[i:i + 8000] for i in range(0, len(body), 8000)))
            body += b"" if rule.get("endless") or "truncate" in rule else b"0\r\n\r\n"
        elif "length" in rule:
            headers["Content-Length"] = rule["length"]
            keep = False
        elif answer.status not in (204, 304):
            headers["Content-Length"] = str(len(answer.body) if request.method == "HEAD" else len(body))
        if not keep:
            headers["Connection"] = "close"
        if "header_bytes" in rule:
            headers["X-Bomb"] = "x" * rule["header_bytes"]
        for i in range(rule.get("header_count", 0)):
            headers[f"X-Bomb-{i}"] = "x"
        version = "1.0" if rule.get("http10") else "1.1"
        head = f"HTTP/{version} {answer.status} {answer.reason}\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        head = head.encode("latin-1", "replace")
        if rule.get("trickle"):
            return self.send_body(conn, head + body, {"slow": 0}, log)
        conn.sendall(head)
        return self.send_body(conn, body, rule, log) and keep

    def send_body(self, conn, body, rule, log):
        if "impatient" in rule:
            return self.lose_patience(conn, body[:rule["impatient"][0]], rule["impatient"][1], log)
        cut = next((k for k in ("truncate", "reset", "stall", "slow") if k in rule), None)
        end = min(rule[cut], len(body)) if cut else len(body)
        for at in range(0, end, 1 << 16):
            conn.sendall(body[at:min(at + (1 << 16), end)])
            log["sent"] = min(at + (1 << 16), end)
        if rule.get("endless"):
            self.endless(conn, rule, log)
        if cut == "reset":
            time.sleep(0.05)  # what was sent shall arrive
            self.reset(conn)
        if cut == "stall":
            self.until_closed(conn, WAIT)
        for i in range(end, len(body)) if cut == "slow" else ():
            conn.sendall(body[i:i + 1])
            log["sent"] = i + 1
            if self.until_closed(conn, 1):
                break
        return cut is None and not rule.get("endless")

    def lose_patience(self, conn, body, seconds, log):
        """What a server does whose client reads on so late that a timer ends: bytes are on the way then."""
        half = len(body) // 2
        conn.sendall(body[:half])
        time.sleep(0.1)
        conn.sendall(body[half:])
        log["sent"] = len(body)
        time.sleep(seconds)
        self.reset(conn)
        return False

    @staticmethod
    def count_late(conn, request):
        """What comes of a body although the answer was given."""
        conn.shutdown(socket.SHUT_WR)
        while select.select([conn], [], [], 3)[0]:
            data = request.rfile.read1(1 << 16)
            if not data:
                return
            request.got += len(data)

    @staticmethod
    def until_closed(conn, seconds):
        """True when the other side closed, or said what nobody waits for."""
        return bool(select.select([conn], [], [], seconds)[0])

    def endless(self, conn, rule, log):
        part, end = b"\0" * 65536, time.monotonic() + WAIT
        if rule["endless"] == "chunked":
            part = b"10000\r\n" + part + b"\r\n"
        while time.monotonic() < end:
            conn.sendall(part)
            log["sent"] += 65536


def serve(args):
    text = Path(args.script).read_text() if not args.script.lstrip().startswith("{") else args.script
    evil = Evil(Path(args.dir).resolve(), json.loads(text)).start()
    try:
        yield {"": f"{evil.host}:{evil.ports['main']}", "PID": os.getpid(), "DIR": evil.dir,
               "OTHER": evil.ports["other"], "CANARY": evil.ports["canary"], "LOG": evil.log_path,
               "CA": evil.ca}
        yield None
    finally:
        evil.stop()


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    sub = ap.add_subparsers(dest="verb", required=True)
    one = sub.add_parser("start")
    one.add_argument("dir")
    one.add_argument("script")
    one.add_argument("--name", default="EVIL")
    one.add_argument("--owner", type=int, default=os.getppid())
    two = sub.add_parser("stop")
    two.add_argument("pid", type=int)
    args = ap.parse_args()
    if args.verb == "start":
        behind.start(args.dir, args.name, args.owner, serve(args))
    else:
        behind.stop(args.pid)


if __name__ == "__main__":
    sys.exit(main())
