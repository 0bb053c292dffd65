#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API answers what docs/api.md says, refuses what it does not know, and loses no name between pages.

usage: api.py VARVE   (TAP)
"""
import http.client
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

varve = os.path.abspath(sys.argv[1])
count = 0
bad = 0


def check(name, ok, detail=""):
    global count, bad
    count += 1
    print(("ok" if ok else "not ok"), count, "-", name)
    if not ok:
        bad += 1
        print("#", detail)


class Connection(http.client.HTTPConnection):
    """HTTP over the archive's socket; the path may be longer than sun_path."""

    def __init__(self, archive):
        super().__init__("varve", timeout=60)
        self.archive = archive

    def connect(self):
        folder = os.open(self.archive, os.O_PATH)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(f"/proc/self/fd/{folder}/varve.sock")
        os.close(folder)


def ask(archive, method, url, body=None):
    connection = Connection(archive)
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    connection.request(method, url, body)
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    return answer.status, document


def wait(archive, document):
    for _ in range(600):
        job = ask(archive, "GET", f"/v1/jobs/{document['job']['id']}")[1]["job"]
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.1)
    return job


def test_errors(archive):
    cases = [
        ("unknown URL", "GET", "/v1/nothing", None, 404, "there is no '/v1/nothing'"),
        ("wrong method", "DELETE", "/v1/status", None, 405, "DELETE is no method of '/v1/status'"),
        ("unknown key of a body", "POST", "/v1/archive", {"paths": ["/"], "nwo": True}, 400,
         "'nwo': unknown key"),
        ("unknown key of a query", "GET", "/v1/files?path=/&x=1", None, 400, "'x': unknown key"),
        ("missing key", "POST", "/v1/recall", {}, 400, "'paths': missing"),
        ("no object", "POST", "/v1/recall", [], 400, "a JSON object is wanted"),
        ("relative path", "POST", "/v1/recall", {"paths": ["a"]}, 400,
         "'paths': 'a' does not begin with '/'"),
        ("half a document", "POST", "/v1/recall", '{"paths":', 400, "the body is not JSON"),
        ("limit of a page", "GET", "/v1/files?path=/&limit=0", None, 400, "'limit': 1 to 10000"),
        ("bad position", "GET", "/v1/files?path=/&after=x", None, 400, "'after': 'x' is no position"),
        ("missing file", "GET", "/v1/files?path=/none", None, 404, ""),
        ("missing job", "GET", "/v1/jobs/999", None, 404, "999"),
        ("missing disc", "GET", "/v1/discs/NONE", None, 404, "NONE"),
        ("bad bar code", "GET", "/v1/discs/a%20b", None, 400, "'a b' is no bar code"),
        ("missing set", "GET", "/v1/sets/999", None, 404, "999"),
        ("missing library", "GET", "/v1/libraries/none/inventory", None, 404, "none"),
    ]
    for name, method, url, body, status, text in cases:
        got, document = ask(archive, method, url, body)
        error = document.get("error", {})
        check(name, got == status and text in error.get("text", ""), f"{got} {document}")
    got, document = ask(archive, "POST", "/v1/recall", " " * (17 << 20))
    check("body of 17 MiB", got == 413, f"{got} {document}")


def list_all(archive, limit):
    names, after = [], ""
    for _ in range(10000):
        url = f"/v1/files?path=/&recursive=true&limit={limit}{after}"
        page = ask(archive, "GET", url)[1]
        if len(page["files"]) > limit:
            return []
        names += [
            bytes.fromhex(file["path"]["hex"]) if isinstance(file["path"], dict)
            else file["path"].encode() for file in page["files"]
        ]
        if page["next"] is None:
            return names
        after = "&after=" + page["next"]
    return []


def test_files(archive, mount):
    wanted = set()
    for one in range(4):
        os.makedirs(os.path.join(mount, f"d{one}", "deep", "deeper"))
        wanted |= {f"/d{one}".encode(), f"/d{one}/deep".encode(), f"/d{one}/deep/deeper".encode()}
        for name in (b"plain", "Größe".encode(), b"not \xff utf-8", b"new\nline"):
            path = f"/d{one}/deep/".encode() + name
            with open(mount.encode() + path, "wb") as file:
                file.write(name * 100)
            wanted.add(path)
    os.mkdir(os.path.join(mount, "empty"))
    wanted.add(b"/empty")
    for limit in (1, 2, 5, 1000):
        names = list_all(archive, limit)
        check(f"every name once in pages of {limit}",
              len(names) == len(wanted) and set(names) == wanted, f"{len(names)} {names}")
    odd = urllib.parse.quote(b"/d0/deep/not \xff utf-8")
    got, document = ask(archive, "GET", f"/v1/files?path={odd}")
    check("a name that is not UTF-8",
          got == 200 and document["files"][0]["path"] == {"hex": b"/d0/deep/not \xff utf-8".hex()}
          and document["files"][0]["size"] == 1100, document)
    got, document = ask(archive, "GET", "/v1/files?path=/empty")
    check("an empty directory", got == 200 and document == {"files": [], "next": None}, document)
    got, document = ask(archive, "GET", "/v1/files?path=//d0/&self=true")
    check("a directory itself", got == 200 and document["files"][0]["path"] == "/d0", document)


def test_life(archive, mount):
    hexed = {"hex": b"/d1/deep/not \xff utf-8".hex()}
    job = wait(archive, ask(archive, "POST", "/v1/archive", {"paths": ["/d0", hexed], "now": True})[1])
    check("archive", job["state"] == "done" and job["files_failed"] == 0, job)
    job = wait(archive, ask(archive, "POST", "/v1/release", {"paths": ["/d0"]})[1])
    check("release", job["state"] == "done", job)
    file = ask(archive, "GET", "/v1/files?path=/d0/deep/plain")[1]["files"][0]
    check("a migrated file has discs", file["state"] == "migrated" and len(file["discs"]) == 1
          and file["set"] == 1 and file["tier"] is None, file)
    shown = ask(archive, "GET", "/v1/sets/1")[1]
    check("its set is sealed", shown["set"]["state"] == "sealed" and
          {disc["barcode"] for disc in shown["discs"]} >= set(file["discs"]), shown)
    job = wait(archive, ask(archive, "POST", "/v1/recall", {"paths": ["/d0"]})[1])
    check("recall", job["state"] == "done", job)
    with open(os.path.join(mount, "d0/deep/plain"), "rb") as plain:
        check("the bytes are back", plain.read() == b"plain" * 100)
    got, document = ask(archive, "POST", "/v1/pin", {"paths": ["/d0"], "seconds": 3600})
    check("pin", got == 200 and document["files"] == 4, document)
    file = ask(archive, "GET", "/v1/files?path=/d0/deep/plain")[1]["files"][0]
    check("pinned for an hour", file["pinned_until"] is not None, file)
    document = ask(archive, "POST", "/v1/check", {})[1]
    check("check finds nothing", document["report"]["findings"] == 0, document)


def run(folder):
    archive = os.path.join(folder, "deep" * 30, "archive")  # deeper than sun_path
    mount = os.path.join(folder, "mnt")
    os.makedirs(os.path.dirname(archive))
    os.mkdir(mount)
    subprocess.run([varve, "init", archive, "--media", "4MiB", "--slots", "6", "--set", "2+1"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run([varve, "mount", archive, mount], check=True)
    try:
        status = os.stat(os.path.join(archive, "varve.sock")).st_mode & 0o777
        check("the socket is its owner's", status == 0o600, oct(status))
        test_errors(archive)
        test_files(archive, mount)
        test_life(archive, mount)
        daemon = os.pidfd_open(ask(archive, "GET", "/v1/status")[1]["pid"])
        got, document = ask(archive, "POST", "/v1/stop", {})
        check("stop", got == 200 and document == {"stopping": True}, document)
        check("the daemon ends", select.select([daemon], [], [], 60)[0] == [daemon])
        os.close(daemon)
        check("it is unmounted", not os.path.ismount(mount))
    finally:
        if os.path.ismount(mount):
            subprocess.run([varve, "umount", mount], check=False)


def main():
    if not os.access("/dev/fuse", os.W_OK):
        print("1..0 # SKIP no /dev/fuse")
        return 0
    folder = tempfile.mkdtemp(prefix="varve-api.")
    try:
        run(folder)
    finally:
        shutil.rmtree(folder)
    print(f"1..{count}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
