# SPDX-License-Identifier: Apache-2.0
"""What registries do wrong, as tables for regmatrix.py.

MATRIX has faults that any kind of request can meet: a row has five cells. The other tables have
faults of one kind each; by_chance makes rows at random. `expect` is what the command must do: OK (the fault passes, or is none: the
legal twins), FAIL (one error, whose text holds `cause`), EITHER (both are right; what it did must
then be whole).
"""
import json
import random

OK, FAIL, EITHER = "ok", "fail", "either"
KINDS = ("manifest_get", "blob_get", "token", "upload", "manifest_put")
PUSH = ("upload", "manifest_put")
DATA = ["upload_patch", "upload_put"]
AT = {"manifest_get": 300, "blob_get": 150000, "token": 20}  # a byte amid each kind's body


class Row:
    """once: the fault comes one time. waits: seconds that were asked for. rules: instead of one rule,
    in full. script: more of the registry's script. arrange(evil, bench): before the command.
    check(evil, done): what is wrong, or None. token_door: the other host gives out tokens, and may be
    told who asks. identity: the login is an identity token. may_miss: the fault need not
    happen. Further words: a rule, or (expect, rule), of a kind."""

    def __init__(self, name, expect, cause="", rule=None, on=KINDS, once=False, waits=0, rules=None,
                 script=None, arrange=None, check=None, by_digest=False, flags=(), env=None,
                 token_door=False, identity=False, may_miss=False, **special):
        self.name, self.expect, self.cause, self.once, self.waits = name, expect, cause, once, waits
        self.rule, self.rules, self.script, self.special = rule or {}, rules, script or {}, special
        self.arrange, self.check, self.by_digest, self.flags = arrange, check, by_digest, list(flags)
        self.env, self.token_door, self.identity = env or {}, token_door, identity
        self.may_miss = may_miss
        self.kinds = (on,) if isinstance(on, str) else tuple(on)

    def cell(self, kind):
        """What is expected, and the rules."""
        special = self.special.get(kind, self.special.get("push") if kind in PUSH else None)
        expect, rule = self.expect, dict(self.rule)
        if isinstance(special, str):
            expect = special
        elif isinstance(special, tuple):
            expect, rule = special[0], dict(special[1])
        elif special is not None:
            rule = dict(special)
        if self.once:
            rule["times"] = 1
        if self.rules is not None:
            return expect, [dict(r) for r in self.rules]
        rule.setdefault("on", "upload_patch" if kind == "upload" and self.once else kind)
        return expect, [rule]


def bodies(how, empty, always=False):
    """The same fault amid each kind's body; what it is where answers have none. A blob that breaks
    amid each time comes to its end nevertheless, piece by piece: always is at its beginning."""
    return {**{k: {how: 0 if always and k == "blob_get" else AT[k]} for k in AT}, "push": empty}


PATIENT = {"DEWAR_REGISTRY_RETRIES": "1"}  # each try takes its time
SHORT = {"length": "10"}  # an answer that promises ten bytes and closes
BUSY = {"status": 503, "body": '{"errors":[{"code":"UNAVAILABLE","message":"busy"}]}'}
LATER = {"status": 429, "headers": {"Retry-After": "1"},
         "body": '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'}
CUT = "clos|ended|short|missing|cut|reset|broke|recv|receiv|send|bytes"
MATRIX = [
    Row("500-once", OK, once=True, rule={"status": 500}),
    Row("500-always", FAIL, "500", {"status": 500}),
    Row("502-once", OK, once=True, rule={"status": 502}),
    Row("503-once", OK, once=True, rule=BUSY),
    Row("503-always", FAIL, "503", BUSY),
    Row("503-retry-after", OK, once=True, waits=1, rule={**BUSY, "headers": {"Retry-After": "1"}}),
    Row("429-once", OK, once=True, rule={"status": 429}),
    Row("429-retry-after", OK, once=True, waits=1, rule=LATER),
    Row("429-date", OK, once=True, waits=1,
        rule={"status": 429, "headers": {"Retry-After": "{soon}"}}),
    Row("429-always", FAIL, "429|oo many", {"status": 429}),
    Row("429-tomorrow", FAIL, "429|oo many", {"status": 429, "headers": {"Retry-After": "86400"}}),
    Row("401-always", FAIL, "401|authori[sz]|credential|log in|login", {
        "status": 401, "headers": {"WWW-Authenticate": 'Bearer realm="{main}/token",service="x"'}}),
    Row("401-no-challenge", FAIL, "401|authori[sz]|credential|log in|login", {"status": 401}),
    Row("403", FAIL, "403|denied|orbidden", {
        "status": 403, "body": '{"errors":[{"code":"DENIED","message":"not for you"}]}'}),
    Row("404", FAIL, "404|not found|unknown|no such", {"status": 404}),
    Row("hangup-once", OK, once=True, rule={"hangup": True}),
    Row("hangup-always", FAIL, CUT + "|empty|reply", {"hangup": True}),
    Row("reset-once", OK, once=True, **bodies("reset", {"refuse": 1})),
    Row("reset-always", FAIL, CUT, **bodies("reset", {"refuse": 1}, True)),
    Row("truncated-once", OK, once=True, **bodies("truncate", SHORT)),
    # An answer to a push that says by its status that all is well may be believed without its body.
    Row("truncated-always", FAIL, CUT, **bodies("truncate", (EITHER, SHORT), True)),
    Row("stall", FAIL, "stall|no byte|slow|time|second", env=PATIENT, **bodies("stall", {"mute": True}, True)),
    Row("one-byte-a-second", FAIL, "stall|slow|time|second", env=PATIENT, **bodies("slow", {"trickle": True}, True)),
    Row("endless", FAIL, "larg|more|big|size|limit|long|end", {"endless": "chunked"},
        push=(EITHER, {"endless": "chunked"})),
    Row("wrong-bytes", FAIL, "digest|hash|JSON|json|sha256", manifest_get={"flip": 300},
        blob_get={"flip": 150000}, token={"flip": 0},
        push={"headers": {"Docker-Content-Digest": "sha256:" + "0" * 64}}),
    Row("empty", FAIL, "empty|size|digest|short|JSON|json|token|bytes|sha256|200", {"keep": 0},
        push=(FAIL, {"status": 200})),
    Row("header-100k", FAIL, "header|large|long|too", {"header_bytes": 100 << 10}),
    Row("header-8k", OK, rule={"header_bytes": 8 << 10}),
    Row("headers-10k", FAIL, "header|large|long|too", {"header_count": 10000}),
    Row("redirect-loop", FAIL, "redirect", {"redirect": "{main}{path}"}),
    Row("redirect-plain", FAIL, "http|redirect|encrypt", {"redirect": "http://localhost:{port}{path}"}),
    Row("redirect-file", FAIL, "file|redirect|http", {"redirect": "file:///etc/passwd"}),
    Row("redirect-link-local", FAIL, "169.254|link-local|redirect",
        {"redirect": "https://169.254.169.254/latest"}),
    Row("redirect-nowhere", FAIL, "Location|redirect|307", {"status": 307}),
    # A pull may be sent to a storage host; whether a push may is for the client to say.
    Row("redirect-elsewhere", OK, "redirect|307", {"redirect": "{other}{path}"},
        push=(EITHER, {"redirect": "{other}{path}"})),
    Row("chunked", OK, rule={"chunked": True}),
    Row("http10", OK, rule={"http10": True}),
    Row("gzip", FAIL, "gzip|ncod|size|digest|JSON|json|bytes", {"gzip": True}, push=(OK, {"gzip": True})),
    Row("length-negative", FAIL, "ength|size|bytes|malformed|invalid|broken|answer", {"length": "-1"},
        push=(EITHER, {"length": "-1"})),
    Row("length-huge", FAIL, "ength|larg|size|bytes|" + CUT, {"length": "9223372036854775807"},
        push=(EITHER, {"length": "9223372036854775807"})),
    Row("not-http", FAIL, "HTTP|http|protocol|understand", {"garbage": True}),
    Row("418-with-escapes", FAIL, "418", {"status": 418, "reason": "\x1b]0;owned\x07", "body":
        '{"errors":[{"code":"X","message":"\\u001b[2Jcleared\\u009b1m\\u202e"}]}'}),
    Row("error-body-2m", FAIL, "400|larg|long", {"status": 400, "repeat": ["<html>", 400000]}),
]


# --- documents ---------------------------------------------------------------------------------------
def changed(name, expect, cause, changes=None, **rule):
    """A manifest of a tag, changed, with a header that fits."""
    rule.setdefault("fresh_digest", True)
    if changes:
        rule["edit"] = changes
    return Row(name, expect, cause, rule, on="manifest_get")


def add(evil, doc, tag=None, kind="application/vnd.oci.image.index.v1+json"):
    """Puts a document into the registry; its descriptor."""
    import evilreg
    data = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
    name = evilreg.digest(data)
    evil.blobs[name] = data
    if tag:
        evil.tags[tag] = (name, kind)
    return {"mediaType": kind, "digest": name, "size": len(data)}


def nested(depth):
    def arrange(evil, bench):
        one = bench.descriptor()
        for level in range(depth):
            one = add(evil, {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                             "manifests": [one]}, "latest" if level == depth - 1 else None)
    return arrange


def wide(count, last):
    def arrange(evil, bench):
        other = {**bench.descriptor(), "platform": {"os": "plan9", "architecture": "mips"}}
        add(evil, {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                   "manifests": [other] * count + ([bench.descriptor()] if last else [])}, "latest")
    return arrange


def configured(change):
    """An image whose parts fit each other by digest and size, with another configuration."""
    def arrange(evil, bench):
        doc, config = bench.document(bench.manifest), bench.document(bench.config)
        text = change(config)
        here = add(evil, text, kind=doc["config"]["mediaType"])
        doc["config"] = here
        add(evil, doc, "latest", doc["mediaType"])
    return arrange


def with_diff_id(config):
    config["rootfs"]["diff_ids"][1] = "sha256:" + "5" * 64
    return config


def without_diff_id(config):
    config["rootfs"]["diff_ids"].pop()
    return config


def layered(data):
    def arrange(evil, bench):
        doc = bench.document(bench.manifest)
        doc["layers"][2] = add(evil, data, kind=doc["layers"][2]["mediaType"])
        add(evil, doc, "latest", doc["mediaType"])
    return arrange


MI = "application/vnd.oci.image.manifest.v1+json"
GRAMMAR = {"up": "sha256:../../../../../etc/passwd", "upper": "sha256:" + "A" * 64,
           "short": "sha256:" + "a" * 63, "long": "sha256:" + "a" * 65, "empty": "", "bare": "a" * 64,
           "b64u": "sha256+b64u:" + "a" * 64, "md5": "md5:" + "a" * 32, "nul": "sha256:" + "a" * 63 + "\0",
           "slash": "sha256:" + "a" * 31 + "/" + "a" * 32, "number": 5, "null": None}
DOCUMENTS = [
    changed("size-minus-1", FAIL, "size", {"layers.2.size": -1}),
    changed("size-0", FAIL, "size|bytes|digest", {"layers.2.size": 0}),
    changed("size-smaller", FAIL, "size|bytes|more|larg|long", {"layers.2.size": 1000}),
    changed("size-larger", FAIL, "size|bytes|short|ended|larg", {"layers.2.size": 300500}),
    changed("size-2^63-1", FAIL, "size|bytes|larg|space", {"layers.2.size": 2 ** 63 - 1}),
    changed("size-2^63", FAIL, "size|integer|number|larg|range|big", {"config.size": 2 ** 63}),
    changed("size-1e3", FAIL, "size|integer|number", {"layers.2.size": 1000.5}),
    changed("size-text", FAIL, "size|integer|number", {"layers.2.size": "300318"}),
    changed("config-smaller", FAIL, "size|bytes|more|larg|long", {"config.size": 10}),
    changed("config-5m", FAIL, "size|larg|big|MiB|limit", {"config.size": 5 << 20}),
    changed("both-kinds", FAIL, "manifests|layers|both", {"manifests": [
        {"mediaType": MI, "digest": "sha256:" + "a" * 64, "size": 1}]}),
    changed("neither-kind", FAIL, "layers|manifest|config", {"layers": None, "config": None}),
    changed("duplicate-key", FAIL, "twice|duplicate", duplicate='"schemaVersion":2'),
    changed("duplicate-layers", FAIL, "twice|duplicate", duplicate='"layers":[]'),
    changed("bom", FAIL, "JSON|json|byte order|invalid|token", bom=True),
    changed("depth-10k", FAIL, "deep|depth|nest|levels", depth=10000),
    changed("spaces-5m", FAIL, "larg|MiB|size|long|more|big", spaces=5 << 20),
    changed("spaces-3m", OK, "", spaces=3 << 20),
    changed("not-json", FAIL, "JSON|json|invalid|HTML|html", body="<html>Log in to the hotel</html>",
            headers={"Content-Type": "text/html"}),
    changed("array", FAIL, "JSON|json|object|manifest|type", body="[]"),
    changed("null", FAIL, "JSON|json|object|manifest|type", body="null"),
    changed("other-type", FAIL, "mediaType|media type|type|came as",
            headers={"Content-Type": "application/vnd.oci.image.index.v1+json"}),
    changed("text-type", FAIL, "mediaType|media type|type|came as", headers={"Content-Type": "text/html"}),
    changed("type-with-words", OK, "", headers={"Content-Type": MI + "; charset=utf-8"}),
    changed("schema-1", FAIL, "schema|v1|type|version", body='{"schemaVersion":1,"fsLayers":[],"history":[]}',
            headers={"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"}),
    changed("10k-layers", FAIL, "layers", {"layers": [{
        "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:" + "a" * 64,
        "size": 1}] * 10000}),
    changed("lying-digest-header", FAIL, "digest|sha256", fresh_digest=False, headers={
        "Docker-Content-Digest": "sha256:" + "b" * 64}),
    *(changed(f"digest-{name}", FAIL, "digest|layers|sha256|u0000", {"layers.2.digest": value})
      for name, value in GRAMMAR.items()),
    changed("config-digest-up", FAIL, "digest|config|sha256", {"config.digest": GRAMMAR["up"]}),
    # Addresses in descriptors are never asked: the registry has the blob, or nobody has.
    changed("urls", OK, "", {"layers.2.urls": ["{canary}/layer", "file:///etc/passwd"]}),
    Row("urls-alone", FAIL, "404|not found|unknown|urls|foreign", rules=[
        {"on": "manifest_get", "fresh_digest": True, "edit": {"layers.2.urls": ["{canary}/layer"],
         "layers.2.mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}},
        {"on": ["blob_get", "blob_head"], "match": "{layer}", "status": 404}], on="manifest_get"),
    Row("index-in-index", OK, on="manifest_get", arrange=nested(2)),
    Row("index-100-deep", FAIL, "deep|nest|index", on="manifest_get", arrange=nested(100)),
    Row("index-of-others", FAIL, "platform|no image|linux/", on="manifest_get", arrange=wide(400, False)),
    Row("index-of-10k", FAIL, "manifests|limit", on="manifest_get", arrange=wide(10000, True)),
    Row("index-of-many", OK, on="manifest_get", arrange=wide(400, True)),
    Row("by-digest-other-bytes", FAIL, "digest|sha256", {"flip": 300}, on="manifest_get", by_digest=True),
    Row("by-digest", OK, on="manifest_get", by_digest=True),
    Row("config-not-json", FAIL, "JSON|json|config", on="manifest_get",
        arrange=configured(lambda c: b"garbage")),
    Row("config-wrong-diff-id", FAIL, "diff", on="manifest_get", arrange=configured(with_diff_id)),
    Row("config-missing-diff-id", FAIL, "diff|layers", on="manifest_get",
        arrange=configured(without_diff_id)),
    Row("layer-not-gzip", FAIL, "gzip|tar|compress|layer|diff", on="manifest_get",
        arrange=layered(b"this is no layer" * 1000)),
    Row("layer-cut-gzip", FAIL, "gzip|ended|short|layer|diff|compress", on="manifest_get",
        arrange=layered(bytes.fromhex("1f8b08000000000000ff4b4c4a4e494d4bcfc8"))),
]


# --- blobs, tokens, uploads ---------------------------------------------------------------------------
def resumed(evil, _done):
    """The second request began where the first one broke off, and nothing came twice."""
    asked = [r for r in evil.requests() if r["kind"] == "blob_get" and evil.script["layer"] in r["path"]]
    if [r["headers"].get("range", "") for r in asked[:2]] != ["", "bytes=150000-"]:
        return f"ranges asked for: {[r['headers'].get('range') for r in asked]}"
    if sum(r["sent"] for r in asked) != evil.script["layer_size"]:
        return f"sent {[r['sent'] for r in asked]} of {evil.script['layer_size']} bytes"
    return None


def one_token_at_most(count):
    def check(evil, _done):
        asked = sum(r["kind"] == "token" for r in evil.requests())
        return f"{asked} requests for tokens" if asked > count else None
    return check


def no_injection(evil, _done):
    return "a header was injected" if any("x-evil" in r.get("headers", {}) for r in evil.requests()) \
        else None


BROKEN = {"on": "blob_get", "match": "{layer}", "truncate": 150000, "times": 1}
BLOBS = [
    Row("resume", OK, on="blob_get", rules=[BROKEN], check=resumed),
    Row("resume-three-times", OK, on="blob_get", rules=[{**BROKEN, "truncate": 90000, "times": 3}]),
    Row("resume-range-ignored", OK, on="blob_get", rules=[
        BROKEN, {"on": "blob_get", "match": "{layer}", "no_range": True}]),
    Row("resume-wrong-range", EITHER, "ange", on="blob_get", rules=[
        BROKEN, {"on": "blob_get", "match": "{layer}", "range": "bytes 7-299999/300318"}]),
    Row("resume-no-range-said", EITHER, "ange", on="blob_get", rules=[
        BROKEN, {"on": "blob_get", "match": "{layer}", "range": "pages"}]),
    Row("resume-other-total", EITHER, "ange|size|bytes", on="blob_get", rules=[
        BROKEN, {"on": "blob_get", "match": "{layer}", "range": "bytes 150000-300317/9999999"}]),
    Row("resume-416", OK, on="blob_get", rules=[
        BROKEN, {"on": "blob_get", "match": "{layer}", "status": 416, "times": 1}]),
    Row("resume-other-bytes", FAIL, "digest|sha256|ended|cut", on="blob_get", rules=[
        {**BROKEN, "flip": 10, "times": 9}]),
    Row("first-byte", OK, on="blob_get", rules=[{**BROKEN, "truncate": 1}]),
    Row("last-byte", OK, on="blob_get", rules=[{**BROKEN, "truncate": 300000}]),
    Row("bytes-too-many", FAIL, "size|bytes|more|larg|long", {"append": "x"}, on="blob_get"),
    Row("bytes-too-few", FAIL, "size|bytes|short|ended", {"keep": 1000}, on="blob_get"),
    Row("endless-with-length", FAIL, "size|bytes|more|larg|long|ength", {
        "endless": "close", "length": "99999999999"}, on="blob_get"),
    Row("endless-till-closed", FAIL, "size|bytes|more|larg|long", {"endless": "close", "http10": True},
        on="blob_get"),
    *(Row(f"redirect-{status}", OK, rule={"redirect": ["{other}{path}", status]}, on="blob_get")
      for status in (301, 302, 303, 308)),
    Row("redirect-10", OK, rule={"redirect": "{main}{path}", "times": 10}, on="blob_get"),
    Row("redirect-11", FAIL, "redirect", {"redirect": "{main}{path}", "times": 11}, on="blob_get"),
    Row("redirect-with-user", FAIL, "redirect|user|password|URL|address", {
        "redirect": "https://me:{port}@{otherport}{path}"}, on="blob_get"),
    Row("redirect-nonsense", FAIL, "redirect|URL|address|http", {"redirect": "https://[::1"}, on="blob_get"),
    Row("redirect-unix", FAIL, "redirect|unix|http", {"redirect": "unix:///run/docker.sock"}, on="blob_get"),
    Row("redirect-gopher", FAIL, "redirect|gopher|http", {"redirect": "gopher://127.0.0.1:{port}/x"},
        on="blob_get"),
    Row("redirect-nobody", FAIL, "connect|refused|reach", {"redirect": "https://localhost:1/x"},
        on="blob_get"),
]
def refresh_went_to(*doors):
    def check(evil, _done):
        seen = sorted({r["door"] for r in evil.requests() if "refresh_token" in r.get("form", [])})
        return None if seen == list(doors) else f"the identity token went to {seen}"
    return check


BEARER = '{"token":"bad-one","expires_in":300}'
TOKENS = [
    Row("token-2m", FAIL, "token|larg|long", {"repeat": ["x", 2 << 20]}, on="token"),
    Row("token-garbage", FAIL, "token|JSON|json", {"body": "\x00\x01\x02"}, on="token"),
    Row("token-missing", FAIL, "token", {"body": "{}"}, on="token"),
    Row("token-empty", FAIL, "token", {"body": '{"token":""}'}, on="token"),
    Row("token-number", FAIL, "token", {"body": '{"token":5}'}, on="token"),
    Row("token-newline", FAIL, "token", {"body": '{"token":"good\\r\\nX-Evil: 1"}'}, on="token",
        check=no_injection),
    Row("token-64k", FAIL, "token|header|larg|long|401|authori", {
        "body": '{"token":"' + "b" * 70000 + '"}'}, on="token"),
    Row("token-not-taken", FAIL, "401|authori|token|credential", {"body": BEARER}, on="token",
        check=one_token_at_most(6)),
    Row("token-access-token", OK, rule={"body": '{"access_token":"good-push-x"}'}, on="token"),
    *(Row(f"token-expires-{n}", OK, rule={"body": f'{{"token":"good-push-x","expires_in":{n}}}'}, on="token")
      for n in ("0", "-1", "99999999999", "1.5")),
    # A token that was good for a while, and is refused amid the pull, is not the end.
    Row("token-expired-amid", OK, on="token", rules=[
        {"on": "blob_get", "times": 1, "delay": 2.5},
        {"on": "blob_get", "times": 1, "status": 401, "headers": {
            "WWW-Authenticate": 'Bearer realm="{main}/token",service="evil",error="invalid_token",'
                                'scope="repository:a/b:pull"'}}]),
    Row("realm-other-host", OK, script={"realm": "{other}/token"}, on="token", token_door=True),
    Row("identity-token", OK, on="token", identity=True, check=refresh_went_to("main")),
    # A registry that names a second token server amid a pull does not get the identity token there.
    Row("identity-token-led-away", EITHER, "401|authori|realm|token|login", on="token", identity=True,
        check=refresh_went_to("main"), rules=[
            {"on": "blob_get", "times": 1, "delay": 2.5},
            {"on": "blob_get", "status": 401, "headers": {
                "WWW-Authenticate": 'Bearer realm="{other}/token",service="evil",scope="repository:a/b:pull"'}}]),
    Row("cookies", OK, on="blob_get", rules=[
        {"on": "manifest_get", "headers": {"Set-Cookie": "session=1; Domain=localhost; Path=/"}},
        {"on": "blob_get", "redirect": "{other}{path}"}]),
    Row("realm-plain", FAIL, "realm|http|encrypt|token", script={"realm": "http://localhost:{port}/token"},
        on="token"),
    Row("realm-file", FAIL, "realm|file|http|token", script={"realm": "file:///etc/passwd"}, on="token"),
    Row("realm-link-local", FAIL, "realm|169.254|link-local", script={"realm": "https://169.254.169.254/t"},
        on="token"),
    Row("realm-with-user", FAIL, "realm|user|password|token", script={"realm": "https://a:b@{otherport}/token"},
        on="token"),
    Row("realm-empty", FAIL, "realm|token|challenge|authori", script={"realm": ""}, on="token"),
    Row("realm-with-query", OK, script={"realm": "{main}/token?account=x"}, on="token"),
    Row("basic", OK, script={"auth": "basic"}, on=("blob_get", "upload")),
    Row("two-challenges", OK, on="manifest_get", rules=[
        {"on": ["ping", "manifest_get", "manifest_head"], "times": 1, "status": 401, "headers": {
            "WWW-Authenticate": 'Negotiate, Bearer realm="{main}/token", service="a,b\\"c", '
                                'scope="repository:a/b:pull"'}}]),
]
UPLOADS = [
    Row("location-absolute", OK, rule={"on": ["upload_post", "upload_patch"], "location": "{main}{path}"},
        on="upload"),
    Row("location-elsewhere", EITHER, "ocation|origin|host|redirect", {
        "on": ["upload_post", "upload_patch"], "location": "{other}{path}"}, on="upload"),
    Row("location-plain", FAIL, "ocation|http|encrypt", {
        "on": "upload_post", "location": "http://localhost:{port}{path}"}, on="upload"),
    Row("location-file", FAIL, "ocation|file|http", {"on": "upload_post", "location": "file:///tmp/x"},
        on="upload"),
    Row("location-link-local", FAIL, "ocation|169.254|link-local", {
        "on": "upload_post", "location": "https://169.254.169.254/x"}, on="upload"),
    Row("location-missing", FAIL, "ocation|where", {"on": "upload_post", "headers": {"Location": None}}, on="upload"),
    Row("range-says-less", EITHER, "ange", {"on": "upload_patch", "headers": {"Range": "0-9"}}, on="upload"),
    Row("range-says-more", EITHER, "ange", {"on": "upload_patch", "headers": {"Range": "0-99999999"}},
        on="upload"),
    *(Row(f"{kind}-{name}-once", OK, once=True, rule={"on": f"upload_{kind}", **rule}, on="upload")
      for kind in ("post", "put") for name, rule in (("503", BUSY), ("429", LATER), (
          "hangup", {"hangup": True}), ("cut", SHORT))),
    # The registry took it, and the answer was lost: it is not sent again.
    Row("put-answer-lost", OK, once=True, rule={"on": "upload_put", "hangup": True}, on="upload"),
    Row("416-once", OK, once=True, rule={"on": "upload_patch", "status": 416}, on="upload"),
    Row("416-put-once", OK, once=True, rule={"on": "upload_put", "status": 416}, on="upload"),
    Row("416-always", FAIL, "416|ange", {"on": DATA, "status": 416}, on="upload"),
    Row("413", FAIL, "413|larg", {"on": DATA, "status": 413}, on="upload"),
    # Parts of 1 MiB are taken, larger ones are not.
    Row("413-large-parts", OK, rule={"on": "upload_patch", "status": 413, "over": 1 << 20}, on="upload"),
    Row("patch-405", OK, rule={"on": "upload_patch", "status": 405}, on="upload"),
    Row("last-202", FAIL, "202", {"on": "upload_put", "status": 202}, on="upload"),
    Row("head-405", OK, rule={"on": "blob_head", "status": 405}, on="upload"),
    Row("head-500-once", OK, once=True, rule={"on": "blob_head", "status": 500}, on="upload"),
    Row("manifest-blob-unknown", FAIL, "BLOB_UNKNOWN|lob unknown|400", {"status": 400, "body":
        '{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}'},
        on="manifest_put"),
    Row("upload-stalls-amid", FAIL, "stall|slow|time|second", {"on": "upload_patch", "deaf": 100000}, on="upload",
        env=PATIENT),
]


# --- the connection ------------------------------------------------------------------------------------
def nothing_plain(evil, _done):
    plain = [r for r in evil.requests() if r.get("event") == "plain"]
    return f"said in plain: {plain}" if plain else None


def no_secret_in_plain(evil, _done):
    plain = [r for r in evil.requests() if "uthorization" in r.get("text", "")]
    return f"credentials in plain: {plain}" if plain else None


CERT = "certificate|TLS"
CONNECTIONS = [
    Row("tls-other-name", FAIL, CERT, script={"tls": "name"}, on="manifest_get", check=nothing_plain),
    Row("tls-expired", FAIL, CERT, script={"tls": "expired"}, on="manifest_get", check=nothing_plain),
    Row("tls-self-signed", FAIL, CERT, script={"tls": "self"}, on="manifest_get", check=nothing_plain),
    Row("tls-no-handshake", FAIL, CERT + "|clos|reset|connect", script={"tls": "drop"}, on="manifest_get",
        check=no_secret_in_plain),
    Row("tls-self-signed-allowed", OK, script={"tls": "self"}, on=("manifest_get", "upload"),
        flags=["--tls-verify=false"]),
    Row("blob-host-tls-expired", FAIL, CERT, {"redirect": "{other}{path}"}, on="blob_get",
        script={"other_tls": "expired"}),
    Row("plain-on-loopback", OK, script={"tls": None, "other_tls": None}, on=("blob_get", "upload")),
]
# A registry with a public address may not send us into this machine. HOST is such an address.
HOST = "203.0.113.7"
INSIDE = {"loopback": "https://127.0.0.1:{port}{path}", "decimal": "https://2130706433:{port}{path}",
          "hex": "https://0x7f.1:{port}{path}", "zero": "https://0:{port}{path}",
          "mapped": "https://[::ffff:127.0.0.1]:{port}{path}", "name": "https://localhost:{port}{path}",
          "dot": "https://localhost.:{port}{path}"}
WHERE = "127.0.0.1|loopback|localhost|address"
INWARD = [
    *(Row(f"inward-{name}", FAIL, WHERE, {"redirect": url}, on=KINDS) for name, url in INSIDE.items()),
    *(Row(f"inward-realm-{name}", FAIL, WHERE, script={"realm": url.replace("{path}", "/token")},
          on="token") for name, url in INSIDE.items()),
    *(Row(f"inward-location-{name}", FAIL, WHERE, {"on": "upload_post", "location": url}, on="upload")
      for name, url in INSIDE.items()),
    Row("outward", OK, rule={"redirect": "{other}{path}"}, on=("manifest_get", "blob_get")),
    Row("outward-realm", OK, script={"realm": "{other}/token"}, on="token", token_door=True),
    # Public hosts get no second try without encryption.
    Row("outward-no-handshake", FAIL, CERT + "|clos|reset|connect", script={"tls": "drop"},
        on="manifest_get", check=nothing_plain),
    Row("outward-plain", FAIL, CERT + "|connect|clos|reset", script={"tls": None}, on="manifest_get",
        check=nothing_plain),
]


# --- by chance -------------------------------------------------------------------------------------------
# Several faults at once, of kinds and at places that nobody thought of. Whatever the command makes of
# them, it must be whole, or one error. No answer here claims to have stored what it has not: nobody
# can see through that.
def chance(rng, number):
    push = rng.random() < 0.4
    kinds = ["manifest_put", "blob_head", "upload_post", "upload_patch", "upload_put", "upload_get", "token"] \
        if push else ["manifest_get", "blob_get", "blob_get", "token"]
    rules = []
    for _ in range(rng.randint(1, 4)):
        at = rng.choice([0, 1, 10, 100, 1000, 50000, 150000, 300000, 1000000])
        act = rng.choice([
            {"status": rng.choice([202, 206, 301, 400, 401, 404, 408, 413, 416, 425, 429, 500, 502, 503, 504])},
            {"status": 429, "headers": {"Retry-After": rng.choice(["0", "1", "-5", "x", "{soon}"])}},
            {"hangup": True}, {"garbage": True}, {"reset": at}, {"truncate": at}, {"stall": at},
            {"flip": at}, {"keep": at}, {"append": "x" * rng.choice([1, 100000])}, {"refuse": at},
            {"chunked": True}, {"chunked": True, "truncate": at}, {"http10": True}, {"http10": True, "truncate": at},
            {"gzip": True}, {"length": rng.choice(["0", "-1", "5", "99999999999999999999"])},
            {"header_bytes": rng.choice([1000, 70000])}, {"no_range": True}, {"delay": 1},
            {"range": rng.choice(["bytes 0-0/1", "bytes 5-4/3", "", "bytes */*"])},
            {"redirect": ["{other}{path}", rng.choice([301, 302, 303, 307, 308])]},
            {"redirect": "{main}{path}"}, {"headers": {"Content-Type": None, "Docker-Content-Digest": None}}])
        rules.append({"on": rng.choice(kinds), "after": rng.randint(0, 3), "times": rng.randint(1, 4), **act})
    return Row(f"chance-{number}", EITHER, "", on="upload" if push else "manifest_get", rules=rules,
               env=PATIENT, may_miss=True)


def by_chance(seed, count):
    return [chance(random.Random(f"{seed}.{n}"), n) for n in range(count)]


TABLES = {"matrix": MATRIX, "documents": DOCUMENTS, "blobs": BLOBS, "tokens": TOKENS,
          "uploads": UPLOADS, "connections": CONNECTIONS,
          "inward": INWARD}
