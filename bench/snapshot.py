"""A full snapshot of one database by both products, in turn, from the same running and otherwise idle server."""
import re
import shutil

from data import fill, ratios
from harness import MIB, BackRest, Pitr, Server, folder_bytes, in_turn, warm, without_base


def run_pitr(bench, server, pitr, level):
    server.configure({"pitr.snapshot_compression_level": level})
    server.reload()
    server.query("checkpoint")
    warm(f"{server.directory}/base")
    with without_base(pitr.repository):
        seconds, _ = bench.run("snapshot", ["psql", "-X", "-x", "-h", bench.sockets, "-p", str(server.port), "-U", "postgres", "-d", "postgres",
                                            "-v", "ON_ERROR_STOP=1", "-c", "select * from pitr_create_snapshot('bench')"])
    row = server.record("select id, kind, database_bytes, stored_bytes from pitr_snapshots where name = 'bench' and state like 'ok%'")
    if row["kind"] != "full":
        raise RuntimeError(f"not a full snapshot: {row}")
    server.query(f"select * from pitr_delete_snapshot('{row['id']}')")
    return seconds, int(row["stored_bytes"])


def run_backrest(bench, server, backrest):
    server.query("checkpoint")
    warm(f"{server.directory}/base")
    # Its WAL is not waited for: archiving belongs to the product in this run, which is to pgBackRest's advantage.
    seconds, output = bench.run("snapshot", backrest.command("--type=full", "--no-archive-check", "--no-expire-auto", "backup"))
    stored = sum(folder_bytes(f"{backrest.directory}/repository/backup/bench/{label}")
                 for label in re.findall(r"new backup label = (\S+)", output))
    shutil.rmtree(f"{backrest.directory}/repository")
    bench.run("snapshot", backrest.command("stanza-create"), quiet=True)
    return seconds, stored


def snapshot(bench):
    server = Server(bench, "snapshot")
    server.initdb()
    pitr = Pitr(bench, server, f"{bench.directory}/snapshot/repository")
    server.configure(pitr.settings())
    server.start()
    server.query("create extension pitr_ext")
    pitr.idle()
    fill(server, bench.plan.snapshot_gb)
    ratios(bench, server, "data")
    pitr.idle()
    backrest = BackRest(bench, server, f"{bench.directory}/snapshot/backrest")
    bench.run("snapshot", backrest.command("stanza-create"))
    size = folder_bytes(server.directory, skip=("pg_wal", "pitr")) / MIB

    runs = {
        "pgBackRest, zst level 3": lambda: run_backrest(bench, server, backrest),
        "pitr_ext, level 3": lambda: run_pitr(bench, server, pitr, 3),
        "pitr_ext, level 1 (default)": lambda: run_pitr(bench, server, pitr, 1),
    }
    results = {name: [] for name in runs}
    for number in range(bench.plan.pairs):
        for name in in_turn(runs, number):
            results[name].append(runs[name]())
    count = bench.plan.processes
    commands = {
        "pgBackRest, zst level 3": f"pgbackrest --type=full --process-max={count} --compress-type=zst --compress-level=3 --start-fast --no-archive-check backup",
        "pitr_ext, level 3": f"select pitr_create_snapshot() with pitr.snapshot_workers = {count}, pitr.snapshot_compression_level = 3",
        "pitr_ext, level 1 (default)": f"select pitr_create_snapshot() with pitr.snapshot_workers = {count}, pitr.snapshot_compression_level = 1",
    }
    for name, values in results.items():
        bench.figure("snapshot", name, "MiB/s", [size / value[0] for value in values], commands[name], f"{size:.0f} MiB without WAL")
    for name, values in results.items():
        bench.figure("snapshot", f"{name}, stored", "MiB", [value[1] / MIB for value in values], "")
    theirs = results["pgBackRest, zst level 3"]
    for name in list(runs)[1:]:
        bench.figure("snapshot", f"{name}, against pgBackRest", "times", [b[0] / a[0] for a, b in zip(results[name], theirs)], "", "pair by pair")
    server.stop()
    shutil.rmtree(f"{bench.directory}/snapshot")
