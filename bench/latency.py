"""How long a commit takes, and until it is durable in the repository: asynchronous and synchronous, in a folder and in a real S3 server."""
import os
import re
import shutil
import time

from harness import Pitr, Server, in_turn, wait_until
from s3 import S3Pitr, S3Server

PER_CLIENT = (1, 8)


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def commit_times(bench, server, clients, seconds):
    """Milliseconds of each transaction of a single insert, from pgbench's own log."""
    prefix = f"{bench.directory}/latency/log"
    script = f"{bench.directory}/latency/insert.sql"
    with open(script, "w", encoding="utf-8") as file:
        file.write("insert into commits (what) values (repeat('x', 100));\n")
    bench.run("latency", server.pgbench("-c", str(clients), "-j", "2", "-T", str(seconds), "-f", script, "-l", "--log-prefix", prefix))
    times = []
    for name in os.listdir(f"{bench.directory}/latency"):
        if re.match(r"log\.\d+(\.\d+)?$", name):
            path = f"{bench.directory}/latency/{name}"
            with open(path, encoding="utf-8") as file:
                times += [int(line.split()[2]) / 1000 for line in file]
            os.unlink(path)
    return times


def durable_times(server, count):
    """Milliseconds from the acknowledgement of a commit until the repository has it, by the server's clock; 0 when it had it already."""
    times = []
    client = server.connect()
    for _ in range(count):
        client.query("insert into commits (what) values ('durable')")
        lsn, at = client.query("select pg_current_wal_flush_lsn(), clock_timestamp()")[0]
        wait_until(lambda: client.one(f"select coalesce(tail_lsn >= '{lsn}', false) from pitr_archive") == "t", 60, "the tail", 0.002)
        times.append(float(client.one(f"select 1000 * greatest(0, extract(epoch from tail_at - '{at}'::timestamptz)) from pitr_archive")))
        time.sleep(0.05)
    client.close()
    return times


def measure(bench, server, what, results):
    seconds = max(3, bench.plan.seconds // 6)
    for clients in PER_CLIENT:
        results.setdefault((what, f"commit, {clients} clients"), []).extend(commit_times(bench, server, clients, seconds))
    results.setdefault((what, "commit to durable"), []).extend(durable_times(server, 20))


def run_place(bench, place, product, results):
    server = Server(bench, "latency")
    server.initdb()
    pitr = product(server)
    common = pitr.settings() | {"autovacuum": "off"}
    server.configure(common)
    server.start()
    server.query("create extension pitr_ext")
    server.query("create table commits (id bigserial primary key, what text)")
    pitr.idle()
    modes = {"asynchronous": {"pitr.synchronous": "off", "synchronous_standby_names": ""},
             "synchronous": {"pitr.synchronous": "on", "synchronous_standby_names": "pitr"}}
    for number in range(bench.plan.pairs):
        for mode in in_turn(modes, number):
            server.configure(common | modes[mode])
            server.reload()
            wanted = "t" if mode == "synchronous" else "f"
            wait_until(lambda: server.one("select synchronous from pitr_archive") == wanted, 60, mode, 0.1)
            measure(bench, server, f"{place}, {mode}", results)
    server.stop()
    shutil.rmtree(f"{bench.directory}/latency")


def latency(bench):
    results = {}
    run_place(bench, "folder", lambda server: Pitr(bench, server, f"{bench.directory}/latency/repository"), results)
    s3 = S3Server(bench)
    try:
        run_place(bench, "S3", lambda server: S3Pitr(bench, server, s3, "latency"), results)
    finally:
        s3.stop()
    for (what, measured), values in results.items():
        for name, part in (("median", 0.5), ("99th percentile", 0.99)):
            bench.figure("latency", f"{what}: {measured}, {name}", "ms", [percentile(values, part)],
                         "one insert a transaction", f"{len(values)} commits")
