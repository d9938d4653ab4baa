"""What branches cost that nobody uses: memory of one that runs and of one whose port is held, and pgbench on the main server beside all of them."""
import os
import re
import shutil
import time

from drain import cpu_seconds
from harness import Pitr, Server, in_turn, wait_until

NONE, RUNNING, HELD = "stopped", "running", "idle: ports held"


def processes_of(directory):
    """(pids that work in the directory, the one that looks after it)."""
    working, supervisor = [], None
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/cwd") == directory:
                working.append(int(name))
            words = open(f"/proc/{name}/cmdline", "rb").read().split(b"\0")
            if len(words) > 3 and words[1] == b"compute" and words[3].decode() == directory:
                supervisor = int(name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return working, supervisor


def pss(pids):
    """MiB, what processes share divided among them."""
    total = 0
    for pid in pids:
        text = open(f"/proc/{pid}/smaps_rollup", encoding="utf-8").read()
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return total / 1024


def become(server, branches, state):
    """All branches are so, and quiet."""
    for name in branches:
        server.query(f"select pitr_{'stop' if state == NONE else 'start'}_branch('{name}')")
        if state != NONE:
            client = server.connect_to(branches[name])
            client.query(f"alter system set pitr.branch_idle_timeout = {1 if state == HELD else 0}")
            client.query("select pg_reload_conf()")
            client.close()
    if state == HELD:
        wait_until(lambda: server.one("select count(*) from pitr_branches where port is not null and not is_self and state = 'running'") == "0",
                   120, "branches to be idle", 0.5)
    time.sleep(2)


def run_pgbench(bench, server):
    """(transactions a second, milliseconds of processor of the main server for one)."""
    server.query("vacuum pgbench_branches, pgbench_tellers")
    server.query("checkpoint")
    before = cpu_seconds(server.pid())
    _, output = bench.run("idle", server.pgbench("-c", "8", "-j", "2", "-T", str(bench.plan.seconds)))
    count = int(re.search(r"transactions actually processed: (\d+)", output).group(1))
    return float(re.search(r"tps = ([\d.]+)", output).group(1)), (cpu_seconds(server.pid()) - before) * 1000 / count


def report_memory(bench, server, branches, count):
    directories = [row[0] for row in server.query("select directory from pitr_branches where port is not null and not is_self")]
    become(server, branches, RUNNING)
    found = [processes_of(directory) for directory in directories]
    bench.figure("idle", "one that runs and nobody uses", "MiB", [pss([*working, supervisor]) for working, supervisor in found], "",
                 f"PSS of its {len(found[0][0]) + 1} processes, {count} of them run; shared_buffers 128MB of which little was touched")
    become(server, branches, HELD)
    found = [processes_of(directory) for directory in directories]
    bench.figure("idle", "one whose port is held", "MiB", [pss([supervisor]) for _, supervisor in found], "", "PSS of its one process")


def idle(bench):
    server = Server(bench, "idle")
    server.initdb()
    pitr = Pitr(bench, server, f"{bench.directory}/idle/repository")
    server.configure(pitr.settings() | {"pitr.branch_ports": "54700-54799"})
    server.start()
    server.query("create extension pitr_ext")
    pitr.idle()
    count = bench.plan.idle_branches
    branches = {}
    for number in range(count):
        name = f"b{number}"
        server.query(f"""select pitr_create_branch('{name}', settings => '{{"pitr.branch_idle_timeout": 0}}')""")
        branches[name] = int(server.one(f"select port from pitr_branches where name = '{name}'"))
    report_memory(bench, server, branches, count)
    # Not in the branches, which are not what is measured.
    bench.run("setup", ["pgbench", "-i", "-q", "-s", "40", "-h", bench.sockets, "-p", str(server.port), "-U", "postgres", "postgres"], quiet=True)
    become(server, branches, NONE)
    run_pgbench(bench, server)   # the first one after loading is not like the others
    results = {NONE: [], RUNNING: [], HELD: []}
    for number in range(bench.plan.pairs):
        for state in in_turn(results, number):
            become(server, branches, state)
            results[state].append(run_pgbench(bench, server))
    command = f"pgbench -n -c 8 -j 2 -T {bench.plan.seconds}"
    for state, values in results.items():
        bench.figure("idle", f"main server, {count} branches {state}", "transactions/s", [value[0] for value in values], command, "scale 40, archiving")
    for state in (RUNNING, HELD):
        bench.figure("idle", f"{count} branches {state}, against stopped", "of it", [a[0] / b[0] for a, b in zip(results[state], results[NONE])], "",
                     "pair by pair")
        bench.figure("idle", f"{count} branches {state}, against stopped: processor of the main server a transaction", "of it",
                     [a[1] / b[1] for a, b in zip(results[state], results[NONE])], "", "pair by pair")
    server.stop()
    shutil.rmtree(f"{bench.directory}/idle")
