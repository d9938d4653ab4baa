"""A dump of one database into the repository beside pg_dump to a file, in turn, from the same running and otherwise idle server."""
import os
import shutil

from data import fill
from harness import MIB, Pitr, Server, folder_bytes, in_turn, warm

DATABASE = "postgres"


def run_pitr(bench, server, at):
    warm(f"{server.directory}/base")
    seconds, _ = bench.run("dump", ["psql", "-X", "-x", "-h", bench.sockets, "-p", str(server.port), "-U", "postgres", "-d", DATABASE,
                                    "-v", "ON_ERROR_STOP=1", "-c", f"select * from pitr_create_dump('{DATABASE}', at => '{at}', globals => false)"])
    row = server.record("select id, state, stored_bytes, extract(epoch from duration) as seconds from pitr_dumps order by started_at desc limit 1")
    if row["state"] != "verified":
        raise RuntimeError(f"not verified: {row}")
    server.query(f"select * from pitr_delete_dump('{row['id']}')")
    return seconds, int(row["stored_bytes"])


def run_pg_dump(bench, server, options):
    warm(f"{server.directory}/base")
    path = f"{bench.directory}/dump/file.dump"
    seconds, _ = bench.run("dump", ["pg_dump", "-Fc", *options, "-h", bench.sockets, "-p", str(server.port), "-U", "postgres", "-f", path, DATABASE])
    stored = os.path.getsize(path)
    os.remove(path)
    return seconds, stored


def dump(bench):
    server = Server(bench, "dump")
    server.initdb()
    pitr = Pitr(bench, server, f"{bench.directory}/dump/repository")
    # The server of the past stays for all runs but the first: what it costs to make one is bench/run instant.
    server.configure(pitr.settings() | {"pitr.time_travel_idle_timeout": "1h"})
    server.start()
    server.query("create extension pitr_ext")
    pitr.idle()
    fill(server, bench.plan.dump_gb)
    server.query("checkpoint")
    pitr.idle()
    server.query("select * from pitr_create_snapshot()")
    at = "main@" + server.one("select pg_current_wal_insert_lsn()")
    server.query("select pg_switch_wal()")
    pitr.idle()
    size = folder_bytes(server.directory, skip=("pg_wal", "pitr")) / MIB

    runs = {
        "pg_dump -Fc to a file": lambda: run_pg_dump(bench, server, []),
        "pg_dump -Fc -Z0 to a file": lambda: run_pg_dump(bench, server, ["-Z0"]),
        "pitr_create_dump, read back and counted": lambda: run_pitr(bench, server, at),
    }
    first = run_pitr(bench, server, at)
    bench.figure("dump", "the first one, with the server at the point", "s", [first[0]], "select pitr_create_dump(...)")
    results = {name: [] for name in runs}
    for number in range(bench.plan.pairs):
        for name in in_turn(runs, number):
            results[name].append(runs[name]())
    for name, values in results.items():
        bench.figure("dump", name, "s", [value[0] for value in values], name, f"{size:.0f} MiB without WAL")
        bench.figure("dump", f"{name}, stored", "MiB", [value[1] / MIB for value in values], "")
    theirs = results["pg_dump -Fc to a file"]
    mine = results["pitr_create_dump, read back and counted"]
    bench.figure("dump", "pitr_create_dump, against pg_dump -Fc", "times", [b[0] / a[0] for a, b in zip(theirs, mine)], "", "pair by pair")
    server.stop()
    shutil.rmtree(f"{bench.directory}/dump")
