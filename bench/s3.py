"""Through a real S3 server, both products over TLS on the same radosgw: a backlog archived, a restore; and the requests that each takes."""
import base64
import glob
import hashlib
import hmac
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree
from email.utils import formatdate

from data import wal_ratio
from drain import become_writer, fresh, make_backlog, time_drain
from harness import MIB, SEGMENT, BackRest, Pitr, in_turn
from restore import restore

BUCKET = "pitr"


class S3Server:
    """Ceph's radosgw with its data in memory, on loopback (test/rgw)."""

    def __init__(self, bench, gigabytes=4):
        self.bench, self.directory = bench, f"{bench.directory}/s3server"
        self.port = 26000 + os.getpid() % 2000 * 4
        script = f"{bench.directory}/program/rgw"
        subprocess.run([script, "start", self.directory, str(self.port)], check=True, env=os.environ | {"TLS": "1", "STORE_BYTES": str(int(gigabytes * 1024 * MIB))})
        self.credentials = f"{self.directory}/credentials"
        self.key, self.secret = re.findall(r"= (\S+)", open(self.credentials, encoding="utf-8").read())
        self.log = f"{self.directory}/log/client.rgw.a.log"
        self.log_at = 0

    def stop(self):
        subprocess.run([f"{self.bench.directory}/program/rgw", "stop", self.directory], check=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def settings(self):
        return {"pitr.s3_endpoint": f"https://s3.localhost:{self.port + 2}", "pitr.s3_ca_file": f"{self.directory}/ca.pem",
                "pitr.s3_credentials_file": self.credentials}

    def backrest_lines(self, prefix):
        return f"""repo1-type=s3
repo1-path=/{prefix}
repo1-s3-bucket={BUCKET}
repo1-s3-endpoint=s3.localhost
repo1-s3-region=us-east-1
repo1-s3-uri-style=path
repo1-s3-key={self.key}
repo1-s3-key-secret={self.secret}
repo1-storage-host=127.0.0.1
repo1-storage-port={self.port + 2}
repo1-storage-verify-tls=n
"""

    def product(self, bench, server, name):
        return S3Pitr(bench, server, self, name)

    # -- the few calls that the benchmark itself makes (signature version 2) -------------------------------------------------------
    def _call(self, method, key="", query=""):
        resource, date = f"/{BUCKET}/{urllib.parse.quote(key)}", formatdate(usegmt=True)
        signature = base64.b64encode(hmac.new(self.secret.encode(), f"{method}\n\n\n{date}\n{resource}".encode(), hashlib.sha1).digest()).decode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{resource}{query}", method=method,
                                         headers={"Date": date, "Authorization": f"AWS {self.key}:{signature}"})
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def objects(self, prefix):
        """{name: size}"""
        found, marker = {}, ""
        while True:
            page = xml.etree.ElementTree.fromstring(self._call("GET", query="?" + urllib.parse.urlencode({"prefix": prefix, "marker": marker})))
            space = page.tag[:page.tag.index("}") + 1]
            entries = page.findall(f"{space}Contents")
            found |= {entry.findtext(f"{space}Key"): int(entry.findtext(f"{space}Size")) for entry in entries}
            if page.findtext(f"{space}IsTruncated") != "true":
                return found
            marker = entries[-1].findtext(f"{space}Key")

    def remove_others(self, prefix, kept):
        for name in self.objects(prefix):
            if name not in kept:
                self._call("DELETE", name)

    # -- requests: a line of the server's log each --------------------------------------------------------------------------------
    def mark(self):
        self.log_at = os.path.getsize(self.log)

    def requests(self):
        """{method: number} since mark()."""
        time.sleep(0.5)
        with open(self.log, encoding="utf-8", errors="replace") as file:
            file.seek(self.log_at)
            methods = re.findall(r'beast: .*?"([A-Z]+) /', file.read())
        return {method: methods.count(method) for method in sorted(set(methods))}


    def requests_per_gib(self, mebibytes):
        return sum(self.requests().values()) * 1024 / mebibytes


class S3Pitr(Pitr):
    def __init__(self, bench, server, s3, name):
        self.bench, self.server, self.s3 = bench, server, s3
        self.prefix, self.repository = name, f"s3://{BUCKET}/{name}"

    def settings(self):
        return super().settings() | self.s3.settings()


def run_pitr(bench, server, s3, levels, what, kept):
    fresh(bench, server)
    pitr = s3.product(bench, server, server.name)
    become_writer(server, pitr.settings() | levels)
    s3.mark()
    seconds, count = time_drain(bench, server, pitr.settings() | levels)
    requests, rate = s3.requests(), s3.requests_per_gib(count * SEGMENT / MIB)
    stored = sum(size for name, size in s3.objects(pitr.prefix + "/").items() if name not in kept)
    bench.raw("s3", {"product": what, "segments": count, "seconds": seconds, "stored_bytes": stored, "requests": requests,
                     "archive": server.record("select * from pitr_archive")})
    server.stop()
    s3.remove_others(pitr.prefix + "/", kept)
    return count * SEGMENT / MIB / seconds, rate


def run_backrest(bench, server, s3):
    fresh(bench, server)
    directory = f"{bench.directory}/{server.name}/backrest"
    shutil.rmtree(directory, ignore_errors=True)
    backrest = BackRest(bench, server, directory, s3.backrest_lines(f"{server.name}-backrest"))
    bench.run("s3", backrest.command("stanza-create"))
    s3.mark()
    seconds, count = time_drain(bench, server, backrest.settings())
    requests, rate = s3.requests(), s3.requests_per_gib(count * SEGMENT / MIB)
    bench.raw("s3", {"product": "pgBackRest", "segments": count, "seconds": seconds, "requests": requests})
    server.stop()
    s3.remove_others(f"{server.name}-backrest/", {})
    return count * SEGMENT / MIB / seconds, rate


def drain(bench, s3):
    folder = "s3drain"
    server = make_backlog(bench, folder, s3.settings(), lambda bench, server, _: s3.product(bench, server, folder))
    segments = sorted(glob.glob(f"{bench.directory}/{folder}/data.template/pg_wal/" + "[0-9A-F]" * 24))
    wal_ratio(bench, "s3", segments[:: max(1, len(segments) // 16)])
    kept = s3.objects(folder + "/")
    level3 = {"pitr.compression_level": 3, "pitr.backlog_compression_level": 3}
    runs = {
        "pgBackRest, zst level 3": lambda: run_backrest(bench, server, s3),
        "pitr_ext, level 3": lambda: run_pitr(bench, server, s3, level3, "level 3", kept),
        "pitr_ext, default settings": lambda: run_pitr(bench, server, s3, {}, "default settings", kept),
    }
    results = {name: [] for name in runs}
    for number in range(bench.plan.pairs):
        for name in in_turn(runs, number):
            results[name].append(runs[name]())
    for name, values in results.items():
        bench.figure("s3", f"drain: {name}", "MiB/s", [value[0] for value in values], "as in drain, the repository in S3")
        bench.figure("s3", f"drain: {name}, requests", "per GiB of WAL", [value[1] for value in values], "counted in the server's log")
    theirs = [value[0] for value in results["pgBackRest, zst level 3"]]
    for name in ("pitr_ext, level 3", "pitr_ext, default settings"):
        bench.figure("s3", f"drain: {name}, against pgBackRest", "times", [a[0] / b for a, b in zip(results[name], theirs)], "", "pair by pair")
    shutil.rmtree(f"{bench.directory}/{folder}")


def s3(bench):
    server = S3Server(bench)
    try:
        drain(bench, server)
        restore(bench, ["restore"], server)
    finally:
        server.stop()
