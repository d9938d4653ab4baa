"""An increment after some seconds of updates at random, by both products from the same server: pgBackRest's is the block incremental,
which 2.55 and newer have in full. On a machine with an older one: test/chroot bench SUITE increment."""
import re
import shutil
import subprocess
import time

from data import fill
from harness import MIB, BackRest, Pitr, Server, folder_bytes, in_turn

NEEDED = (2, 55)
UPDATE_SECONDS = 15


def write_scripts(bench, server):
    """A script a table; each updates one row anywhere in it. As many chances as it has rows: ["FILE@WEIGHT"...]"""
    scripts = []
    tables = [row[0] for row in server.query("select relname from pg_class where relname ~ '^orders(_[0-9]+)?$' and relkind = 'r' order by 1")]
    for table in [*tables, "pgbench_accounts"]:
        key, change = ("aid", "abalance = abalance + 1") if table == "pgbench_accounts" else ("id", "amount = amount + 1, placed_at = now()")
        low, high = server.query(f"select min({key}), max({key}) from {table}")[0]
        path = f"{bench.directory}/home/update_{table}.sql"
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"\\set at random({low}, {high})\nupdate {table} set {change} where {key} = :at;\n")
        size = int(server.one(f"select pg_relation_size('{table}')"))
        scripts.append(f"{path}@{max(1, size // (64 * MIB))}")
    return scripts


def update(bench, server, scripts, seed):
    """Rows that were updated."""
    arguments = [part for script in scripts for part in ("-f", script)]
    _, output = bench.run("increment", server.pgbench("-c", "8", "-j", "2", "-T", str(UPDATE_SECONDS), f"--random-seed={seed}", *arguments), quiet=True)
    return int(re.search(r"transactions actually processed: (\d+)", output).group(1))


def run_pitr(bench, server, pitr):
    server.query("checkpoint")
    started = time.monotonic()
    row = server.record("select * from pitr_create_snapshot()")
    seconds = time.monotonic() - started
    if row["kind"] != "increment":
        raise RuntimeError(f"not an increment: {row}")
    stored = folder_bytes(f"{pitr.repository}/packs/{row['id']}") + folder_bytes(f"{pitr.repository}/snapshots/{row['id']}")
    bench.raw("increment", {"product": "pitr_ext", "seconds": seconds, "stored": stored, "row": row})
    return seconds, stored


def run_backrest(bench, server, backrest, options):
    server.query("checkpoint")
    # Its WAL is not waited for: archiving belongs to the product in this run, which is to pgBackRest's advantage.
    seconds, output = bench.run("increment", backrest.command("--type=incr", *options, "backup"))
    label = re.search(r"new backup label = (\S+I)", output)
    if not label:
        raise RuntimeError(f"not an incremental backup: {output[-2000:]}")
    stored = folder_bytes(f"{backrest.directory}/repository/backup/bench/{label.group(1)}")
    return seconds, stored


def is_new_enough(bench):
    output = subprocess.run(["pgbackrest", "version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", output)
    if found and tuple(map(int, found.groups())) >= NEEDED:
        return True
    text = f"not taken: {output.strip()} is older than {NEEDED[0]}.{NEEDED[1]}; test/chroot bench trixie increment"
    bench.say(f"increment: {text}")
    bench.figure("increment", "pgBackRest, block incremental", "s", [], "", text)
    return False


def increment(bench):
    if not is_new_enough(bench):
        return
    server = Server(bench, "increment")
    server.initdb()
    pitr = Pitr(bench, server, f"{bench.directory}/increment/repository")
    # Increments are taken when we say.
    server.configure(pitr.settings() | {"pitr.max_replay_bytes": "0"})
    server.start()
    server.query("create extension pitr_ext")
    pitr.idle()
    fill(server, bench.plan.increment_gb)
    pitr.idle(3600)
    server.query("select pitr_create_snapshot()")
    backrest = BackRest(bench, server, f"{bench.directory}/increment/backrest")
    options = ["--repo1-block", "--repo1-bundle", "--no-archive-check", "--no-expire-auto"]
    bench.run("increment", backrest.command("stanza-create"))
    bench.run("increment", backrest.command("--type=full", *options, "backup"))
    megabytes = folder_bytes(server.directory, skip=("pg_wal", "pitr")) / MIB
    scripts = write_scripts(bench, server)
    runs = {
        "pgBackRest, block incremental": lambda: run_backrest(bench, server, backrest, options),
        "pitr_ext": lambda: run_pitr(bench, server, pitr),
    }
    results, updated = {name: [] for name in runs}, []
    for number in range(bench.plan.pairs):
        updated.append(update(bench, server, scripts, number + 1))
        pitr.idle(600)
        for name in in_turn(runs, number):
            results[name].append(runs[name]())
    commands = {
        "pgBackRest, block incremental": f"pgbackrest --type=incr {' '.join(options)} --process-max={bench.plan.processes} --compress-type=zst --compress-level=3 backup",
        "pitr_ext": f"select pitr_create_snapshot() with pitr.snapshot_workers = {bench.plan.processes}",
    }
    for name, values in results.items():
        bench.figure("increment", name, "s", [value[0] for value in values], commands[name],
                     f"{megabytes:.0f} MiB without WAL, {min(updated)} to {max(updated)} rows updated in {UPDATE_SECONDS} s")
        bench.figure("increment", f"{name}, stored", "MiB", [value[1] / MIB for value in values], "", "all files of it, its manifest too")
    pairs = list(zip(results["pgBackRest, block incremental"], results["pitr_ext"]))
    bench.figure("increment", "pitr_ext against pgBackRest, time", "times faster", [a[0] / b[0] for a, b in pairs], "", "pair by pair")
    bench.figure("increment", "pitr_ext against pgBackRest, stored", "times smaller", [a[1] / b[1] for a, b in pairs], "", "pair by pair")
    server.stop()
    shutil.rmtree(f"{bench.directory}/increment")
