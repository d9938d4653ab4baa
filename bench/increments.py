"""What the increments that keep replay short cost the application: pgbench with pitr.max_replay_bytes at its default, against none."""
import re
import shutil

from harness import MIB, Pitr, Server, in_turn

SETTINGS = {"none": "0", "every 256 MiB of WAL": "256MB"}


def run(bench, server, pitr, setting):
    """(transactions a second, increments that were taken meanwhile, MiB of WAL)"""
    server.configure({"pitr.max_replay_bytes": "0"})
    server.reload()
    pitr.idle()
    # What this run has to copy is of this run.
    server.query("vacuum pgbench_branches, pgbench_tellers")
    server.query("select pitr_create_snapshot()")
    pitr.idle()
    count = "select count(*) from pitr_operations where kind = 'snapshot'"
    before, begin = int(server.one(count)), server.one("select pg_current_wal_insert_lsn()")
    server.configure({"pitr.max_replay_bytes": setting})
    server.reload()
    _, output = bench.run("increments", server.pgbench("-c", "8", "-j", "2", "-T", str(bench.plan.seconds), "-P", "10"))
    taken = int(server.one(count)) - before
    written = float(server.one(f"select pg_current_wal_insert_lsn() - '{begin}'")) / MIB
    tps = float(re.search(r"tps = ([\d.]+)", output).group(1))
    bench.raw("increments", {"max_replay_bytes": setting, "tps": tps, "increments": taken, "wal_mib": written})
    return tps, taken, written


def increments(bench):
    server = Server(bench, "increments")
    server.initdb()
    pitr = Pitr(bench, server, f"{bench.directory}/increments/repository")
    # As a server has it by default: without increments there are checkpoints, too.
    server.configure(pitr.settings() | {"max_wal_size": "1GB", "checkpoint_timeout": "5min", "pitr.max_replay_bytes": "0"})
    server.start()
    server.query("create extension pitr_ext")
    scale = max(1, int(bench.plan.increments_gb * 1024 / 15))
    bench.run("setup", ["pgbench", "-i", "-q", "-s", str(scale), "-h", bench.sockets, "-p", str(server.port), "-U", "postgres", "postgres"], quiet=True)
    run(bench, server, pitr, "0")   # the first one after loading is not like the others
    results = {name: [] for name in SETTINGS}
    for number in range(bench.plan.pairs):
        for name in in_turn(SETTINGS, number):
            results[name].append(run(bench, server, pitr, SETTINGS[name]))
    for name, values in results.items():
        taken = " ".join(str(value[1]) for value in values)
        wal = " ".join(f"{value[2]:.0f}" for value in values)
        bench.figure("increments", f"pgbench, increments: {name}", "transactions/s", [value[0] for value in values],
                     f"pgbench -n -c 8 -j 2 -T {bench.plan.seconds}, scale {scale}, max_wal_size = 1GB; pitr.max_replay_bytes = {SETTINGS[name]}",
                     f"increments taken in each run: {taken}; MiB of WAL: {wal}")
    pairs = zip(results["every 256 MiB of WAL"], results["none"])
    bench.figure("increments", "every 256 MiB of WAL, against none", "of it", [a[0] / b[0] for a, b in pairs], "", "pair by pair")
    server.stop()
    shutil.rmtree(f"{bench.directory}/increments")
