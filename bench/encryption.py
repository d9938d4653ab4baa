"""What encryption costs: the same backlog archived, and the same database copied, into an encrypted repository and into one that is not."""
import os
import secrets
import shutil
import time

from drain import make_backlog, run_pitr
from harness import MIB, Pitr, in_turn, without_base


def write_key(bench):
    path = f"{bench.directory}/encryption.key"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(secrets.token_hex(32) + "\n")
    return path


def time_snapshot(bench, server):
    """MiB of database a second, of a full snapshot right after the drain."""
    server.start()
    pitr = Pitr(bench, server, f"{bench.directory}/{server.name}/repository")
    server.configure(pitr.settings())
    server.reload()
    time.sleep(1)
    started = time.monotonic()
    with without_base(pitr.repository):
        row = server.record("select * from pitr_create_snapshot()")
    seconds = time.monotonic() - started
    if row["kind"] != "full":
        raise RuntimeError(f"not a full snapshot: {row}")
    bench.raw("encryption", {"snapshot": server.name, "seconds": seconds, "row": row})
    server.stop()
    return int(row["database_bytes"]) / MIB / seconds


def encryption(bench):
    servers = {"plain": make_backlog(bench, "plain"),
               "encrypted": make_backlog(bench, "encrypted", {"pitr.encryption_key_file": write_key(bench)})}
    levels = {"level 3": {"pitr.compression_level": 3, "pitr.backlog_compression_level": 3},
              "level 1": {"pitr.compression_level": 1, "pitr.backlog_compression_level": 1}}
    results = {}
    for number in range(bench.plan.pairs):
        for level, settings in levels.items():
            for kind in in_turn(servers, number):
                rate, _, cpu = run_pitr(bench, servers[kind], settings, f"{kind}, {level}", "encryption")
                results.setdefault(("drain, " + level, kind), []).append(rate)
                results.setdefault((f"processor time of drain, {level}", kind), []).append(cpu)
        for kind in in_turn(servers, number):
            results.setdefault(("snapshot", kind), []).append(time_snapshot(bench, servers[kind]))
    for (what, kind), values in results.items():
        unit = "ms/MiB" if what.startswith("processor") else "MiB/s"
        bench.figure("encryption", f"{what}, {kind}", unit, values, "as in drain and snapshot; two workers")
    for what in dict.fromkeys(what for what, _ in results):
        pairs = zip(results[(what, "encrypted")], results[(what, "plain")])
        bench.figure("encryption", f"{what}, encrypted against plain", "times", [a / b for a, b in pairs], "", "pair by pair")
    for kind in servers:
        shutil.rmtree(f"{bench.directory}/{kind}")
