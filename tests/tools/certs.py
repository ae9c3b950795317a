# SPDX-License-Identifier: Apache-2.0
"""Certificates for test servers on loopback, made by openssl: an authority of our own, good server
certificates for localhost, and bad ones (another name, run out, signed by nobody)."""
import os
import shutil
import subprocess
from pathlib import Path

CONFIG = """
[ca]
default_ca = d
[d]
database = {dir}/index.txt
serial = {dir}/serial
new_certs_dir = {dir}
default_md = sha256
policy = p
unique_subject = no
x509_extensions = leaf
[p]
commonName = supplied
[leaf]
basicConstraints = critical, CA:false
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = {names}
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
[req]
prompt = no
distinguished_name = dn
[dn]
commonName = {common}
"""
LOOPBACK = "DNS:localhost, IP:127.0.0.1, IP:0:0:0:0:0:0:0:1"


def openssl(*words, **kw):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, **kw)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def _config(folder, common, names):
    path = folder / f"{common.replace(' ', '-')}.cnf"
    path.write_text(CONFIG.format(dir=folder, common=common, names=names))
    return path


def authority(folder, kind="EC"):
    """folder/ca.crt and folder/ca.key; kind RSA for who signs tokens with it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    how = (["rsa:2048"] if kind == "RSA" else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
    openssl("req", "-x509", "-newkey", *how, "-nodes", "-days", 30, "-extensions", "root",
            "-config", _config(folder, "test authority", LOOPBACK), "-keyout", folder / "ca.key",
            "-out", folder / "ca.crt")
    return folder / "ca.crt", folder / "ca.key"


def server(folder, name="server", names=LOOPBACK, expired=False, by_itself=False):
    """folder/NAME.crt and .key, signed by the authority of that folder."""
    folder = Path(folder)
    config, key, crt = _config(folder, name, names), folder / f"{name}.key", folder / f"{name}.crt"
    how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", config,
           "-keyout", key]
    if by_itself:
        openssl("req", "-x509", "-days", 30, "-extensions", "leaf", *how, "-out", crt)
    else:
        openssl("req", "-new", *how, "-out", folder / f"{name}.csr")
        when = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if expired else [
            "-days", 30]
        openssl("ca", "-batch", "-notext", "-config", config, "-cert", folder / "ca.crt", "-keyfile",
                folder / "ca.key", *when, "-in", folder / f"{name}.csr", "-out", crt)
    os.chmod(key, 0o600)
    return crt, key


def client(folder, shown):
    """A folder as certs.d has it: the authority of `folder`, client.cert and client.key."""
    shown = Path(shown)
    shown.mkdir()
    crt, key = server(folder, "client", "DNS:client.example")
    for name, to in ((Path(folder) / "ca.crt", "ca.crt"), (crt, "client.cert"), (key, "client.key")):
        shutil.copy(name, shown / to)
    return shown
