"""MiB of WAL a second that are replayed: in a restore in place, and by a server of its own with `restore_command = 'cp'` from files that are not compressed."""
import glob
import os
import re
import shutil
from datetime import datetime

from harness import Pitr, Server, copy_tree, in_turn, wait_until
from restore import STAMP, at_target, make_database, make_history, run_and_forget


def run_cp(bench, template, archive, target, settings):
    """Seconds to the last record before the target, by the server's log: (from the first record, from the server's start)."""
    server = Server(bench, "replay/plain", preload=False)
    copy_tree(template, server.directory)
    open(f"{server.directory}/recovery.signal", "w", encoding="utf-8").close()
    server.configure({"archive_mode": "off", "archive_library": "", "pitr.repository": "", "restore_command": f"cp {archive}/%f %p",
                      "recovery_target_time": target, "recovery_target_action": "promote"} | settings)
    os.sync()
    if os.path.exists(server.log):
        os.unlink(server.log)
    server.start(wait=False)
    wait_until(lambda: (at_target(server) or "tt")[1] == "f", 3600, "the plain server to be promoted", 0.01)
    with open(server.log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    server.stop("immediate")
    shutil.rmtree(server.directory)
    start, begin, end = (datetime.strptime(re.search(STAMP + ".*" + what, text, re.M).group(1), "%Y-%m-%d %H:%M:%S.%f").timestamp()
                  for what in ("starting PostgreSQL", "redo starts at", "recovery stopping before"))
    return end - begin, end - start


def run_ours(bench, server, number, target, size, settings):
    server.configure(settings)
    server.reload()
    phases = run_and_forget(bench, server, number, target, size)[2]
    server.query("select pitr_complete_branch()")   # the next one has the machine to itself
    names = [name for name, _ in phases]
    at = names.index("replay")
    return (phases[at + 1][1] - phases[at][1],) * 2   # from the server's start; what its log says goes with it


def replay(bench):
    size = min(bench.plan.sizes)
    server = make_database(bench, "replay", size)
    template = f"{bench.directory}/replay/plain.template"
    pitr = Pitr(bench, server, f"{bench.directory}/replay/repository")
    # What is replayed stays where it can be taken from.
    server.configure(pitr.settings() | {"wal_keep_size": "64GB", "pitr.max_replay_bytes": "0"})
    server.start()
    server.query("create extension pitr_ext")
    pitr.idle(3600)
    server.query("checkpoint")
    server.stop()
    copy_tree(server.directory, template)
    server.start()
    server.query("select pitr_create_snapshot()")
    target, written = make_history(bench, server)
    archive = f"{bench.directory}/replay/archive"
    os.makedirs(archive)
    for name in glob.glob(f"{server.directory}/pg_wal/" + "[0-9A-F]" * 24):
        shutil.copy(name, archive)
    # The same directory to start from as ours has: with what was written before the snapshot, of which the plain one replays a little more.
    same = {"fsync": "off", "shared_buffers": "128MB"}
    runs = {
        "restore_command = 'cp'": lambda number: run_cp(bench, template, archive, target, {}),
        "restore_command = 'cp', fsync off, 128 MB of shared buffers": lambda number: run_cp(bench, template, archive, target, same),
        "pitr_ext": lambda number: run_ours(bench, server, number, target, size, {"pitr.demand_load": "auto"}),
        "pitr_ext, everything laid out first": lambda number: run_ours(bench, server, number, target, size, {"pitr.demand_load": "off"}),
    }
    rates, from_start = {name: [] for name in runs}, {name: [] for name in runs}
    for number in range(bench.plan.pairs):
        for name in in_turn(runs, number):
            redo, whole = runs[name](number)
            rates[name].append(written / redo)
            from_start[name].append(written / whole)
    commands = {name: "server log, from 'redo starts' to 'recovery stopping'" if "cp" in name else
                "select * from pitr_restore_branch(T); phase \"replay\", asked every 20 ms" for name in runs}
    for name, values in rates.items():
        bench.figure("replay", name, "MiB/s", values, commands[name], f"{size:g} GB, {written:.0f} MiB of WAL")
    for name in ("pitr_ext", "pitr_ext, everything laid out first"):
        for ruler, values in (("its first record", rates), ("its server's start", from_start)):
            bench.figure("replay", f"{name}, against cp from {ruler}", "times",
                         [a / b for a, b in zip(values[name], values["restore_command = 'cp'"])], "", "pair by pair; pitr_ext from its server's start")
    server.stop()
