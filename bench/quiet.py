"""What the processes of the product take on a server that nobody uses."""
import os
import time

from harness import Pitr, Server

KINDS = ("launcher", "tail shipper", "archive worker")


def nanoseconds(pid):
    """On a processor, of all threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        total += int(open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8").read().split()[0])
    return total


def pids_by_title(server, kind):
    """Workers without a database connection are in no view."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/cwd") == server.directory and f": pitr {kind}" in open(f"/proc/{name}/cmdline", encoding="utf-8").read():
                found.append(int(name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def quiet(bench):
    server = Server(bench, "quiet")
    server.initdb()
    pitr = Pitr(bench, server, f"{bench.directory}/quiet/repository")
    server.configure(pitr.settings())
    server.start()
    server.query("create extension pitr_ext")
    pitr.idle()
    time.sleep(10)
    shares = {kind: [] for kind in KINDS}
    for _ in range(bench.plan.pairs):
        before = {pid: nanoseconds(pid) for kind in KINDS for pid in pids_by_title(server, kind)}
        began = time.monotonic_ns()
        time.sleep(bench.plan.seconds)
        took = time.monotonic_ns() - began
        for kind in KINDS:
            used = sum(nanoseconds(pid) - before[pid] for pid in pids_by_title(server, kind) if pid in before)
            shares[kind].append(100 * used / took)
    for kind, values in shares.items():
        bench.figure("quiet", f"{kind}{'s' if kind == 'archive worker' else ''} of an idle server", "% of one processor", values, "",
                     f"on a processor by /proc/PID/schedstat, over {bench.plan.seconds} s each")
    server.stop()
