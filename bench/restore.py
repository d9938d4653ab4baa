"""From the call to the first query at the target, and what a restore in place costs the clients. One database a size."""
import os
import re
import shutil
import subprocess
import threading
import time
from datetime import datetime

from data import fill, write_wal
from harness import MIB, BackRest, Pitr, Server, copy_tree, folder_bytes, in_turn, shown, try_query, wait_until
from wire import Gone, ServerError


def make_database(bench, folder, gigabytes):
    """A stopped server with the data, no archive and no history yet."""
    server = Server(bench, f"{folder}/ours")
    server.initdb()
    server.configure({"archive_mode": "off", "archive_library": "", "archive_command": "", "pitr.repository": "", "wal_level": "replica",
                      "max_wal_size": "2GB"})   # no disk for WAL that nobody wants
    server.start()
    fill(server, gigabytes)
    server.query("create table bench_marker (n integer)")
    server.stop()
    server.configure({"max_wal_size": "32GB"})
    return server


def make_history(bench, server):
    """WAL to replay, the target after it, and something after the target. Answers (target, MiB of WAL)."""
    written = write_wal(server, bench.plan.replay_mb, seed=5)
    server.query("insert into bench_marker values (1)")
    target = server.one("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')")
    time.sleep(0.5)
    server.query("insert into bench_marker values (2)")
    server.query("select pg_switch_wal()")
    wait_until(lambda: not server.ready_segments(), 3600, "archiving")
    return target, written


def at_target(server, markers="1"):
    """(markers, "t" in recovery) once a query sees the target's markers and no other."""
    rows = try_query(server, "select string_agg(n::text, ',' order by n), pg_is_in_recovery() from bench_marker")
    return rows[0] if rows and rows[0][0] == markers else None


def run_backrest(bench, backrest, folder, target, size, markers="1", figure="restore"):
    """Restore to a directory of its own, start, recover: (first query at the target, first one that may write)."""
    directory = f"{bench.directory}/{folder}/restored"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.rmtree(f"{backrest.directory}/spool", ignore_errors=True)
    os.makedirs(f"{backrest.directory}/spool")
    os.makedirs(directory, mode=0o700)
    os.sync()
    started = time.monotonic()
    seconds, _ = bench.run(figure, backrest.command(f"--pg1-path={directory}", "--no-delta", "--type=time", f"--target={target}",
                                                       "--target-action=promote", "restore"))
    restored = Server(bench, f"{folder}/restored", directory, preload=False)
    restored.configure({"archive_mode": "off", "archive_library": "", "archive_command": ""})
    restored.start(wait=False)
    wait_until(lambda: at_target(restored, markers), 3600, "pgBackRest's server at the target", 0.005)
    query = time.monotonic() - started
    wait_until(lambda: (at_target(restored, markers) or "ft")[1] == "f", 3600, "pgBackRest's server to be promoted", 0.005)
    write = time.monotonic() - started
    bench.raw(figure, {"product": "pgBackRest", "gb": size, "restore_s": seconds, "first_query_s": query, "first_write_s": write})
    restored.stop("immediate")
    shutil.rmtree(directory)
    return query, write


def wait_operation(server, operation):
    def over():
        rows = try_query(server, f"select state, error from pitr_operations where id = '{operation}'")
        if rows and rows[0][0] in ("failed", "cancelled"):
            raise RuntimeError(f"restore {operation}: {rows[0]}")
        return rows and rows[0][0] == "done"
    wait_until(over, 600, f"operation {operation}")


def forget_undo_branches(server):
    for (branch,) in server.query("select id from pitr_branches where kind = 'undo' and deleted_at is null"):
        server.query(f"select * from pitr_delete_branch('{branch}', cascade => true, force => true)")


class Phases(threading.Thread):
    """What a running operation says that it does, for the raw output: (phase, seconds since the call)."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.seen, self.ended, self.started = server, [], False, time.monotonic()
        self.start()

    def run(self):
        client = None
        while not self.ended:
            try:
                client = client or self.server.connect(5)
                phase = client.one("select phase from pitr_operations where state = 'running' order by started_at desc limit 1")
                if phase and (not self.seen or self.seen[-1][0] != phase):
                    self.seen.append((phase, round(time.monotonic() - self.started, 3)))
            except (OSError, Gone, ServerError):
                client = None
            time.sleep(0.02)


def run_pitr(bench, server, number, target, size, markers="1", figure="restore"):
    server.query(f"insert into bench_marker values ({100 + number})")   # the current state is never taken for the target's
    os.sync()
    phases = Phases(server)
    client = server.connect()
    started = time.monotonic()
    row = client.record(f"select * from pitr_restore_branch('{target}')")
    answer = time.monotonic() - started
    wait_until(lambda: at_target(server, markers), 600, "the restored server", 0.005)
    query = time.monotonic() - started
    phases.ended = True
    wait_operation(server, row["operation_id"])
    bench.raw(figure, {"product": "pitr_ext", "gb": size, "answer_s": answer, "first_query_s": query, "phases": phases.seen, "row": row})
    return query, answer, phases.seen


def run_and_forget(bench, server, number, target, size):
    result = run_pitr(bench, server, number, target, size)
    forget_undo_branches(server)
    return result


# -- outage --------------------------------------------------------------------------------------------------------------
class Watch(threading.Thread):
    """One client that asks all the time, and connects again when it is cut: when was the last old answer, the end, the first new one?"""

    def __init__(self, server, pause=0.001):
        super().__init__(daemon=True)
        self.server, self.pause, self.last_old, self.ended, self.first_new, self.refusals = server, pause, None, None, None, {}
        self.back = threading.Event()
        self.start()

    def run(self):
        client = self.server.connect(60)
        try:
            while True:
                client.query("select 1")
                self.last_old = time.time()
                time.sleep(self.pause)
        except (OSError, Gone, ServerError) as error:
            self.ended = time.time()
            self._count(error)
        while True:
            try:
                client = self.server.connect(60)
                client.query("select 1")
                self.first_new = time.time()
                break
            except (OSError, Gone, ServerError) as error:
                self._count(error)
                time.sleep(0.001)
        self.back.set()

    def _count(self, error):
        name = getattr(error, "sqlstate", "") or type(error).__name__
        self.refusals[name] = self.refusals.get(name, 0) + 1


STAMP = r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) \S+ "


def log_parts(text):
    """From the server's log: seconds from the first session told to end to the exit on purpose, and from there to ready."""
    def times(pattern):
        return [datetime.strptime(found.group(1), "%Y-%m-%d %H:%M:%S.%f").timestamp()
                for found in re.finditer(STAMP + ".*(?:" + pattern + ")", text, re.M)]
    ends = times("terminating connection due to administrator command")
    crash = times("terminating any other active server processes|all server processes terminated")
    ready = times("database system is ready to accept connections")
    if not crash or not ready:
        return None, None
    return crash[0] - ends[0] if ends and ends[0] <= crash[0] else 0.0, ready[-1] - crash[0]


def run_outage(bench, server, size, figure="outage"):
    load = subprocess.Popen(server.pgbench("-c", str(bench.plan.clients), "-j", "2", "-T", "3600"), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    time.sleep(3)
    target = server.one("select clock_timestamp()")
    time.sleep(2)
    log_at = os.path.getsize(server.log)
    watch = Watch(server)
    row = server.record(f"select * from pitr_restore_branch('{target}')")
    if not watch.back.wait(600):
        raise RuntimeError("the server did not come back")
    wait_operation(server, row["operation_id"])
    output = load.communicate()[0]
    with open(server.log, encoding="utf-8", errors="replace") as file:
        file.seek(log_at)
        text = file.read()
    ending, cycle = log_parts(text)
    outage = watch.first_new - watch.last_old
    bench.raw(figure, {"gb": size, "outage_s": outage, "sessions_ending_s": ending, "crash_cycle_s": cycle, "refusals": watch.refusals, "row": row})
    bench.raw(figure, "\n".join(line for line in text.splitlines() if "terminating connection" not in line))
    bench.raw(figure, "\n".join(output.splitlines()[-14:]))
    forget_undo_branches(server)
    return outage, ending, cycle


def restore(bench, figures, s3=None):
    medians = {}
    where = "restore" if s3 is None else "s3"
    for size in bench.plan.sizes:
        folder = f"{where}-{size:g}"
        server = make_database(bench, folder, size)
        megabytes = folder_bytes(server.directory, skip=("pg_wal",)) / MIB
        runs = {}
        written = theirs_written = 0.0
        if "restore" in figures:
            theirs = Server(bench, f"{folder}/theirs", preload=False)
            copy_tree(server.directory, theirs.directory)
            backrest = BackRest(bench, theirs, f"{bench.directory}/{folder}/backrest", s3 and s3.backrest_lines(f"{folder}-backrest"))
            theirs.configure(backrest.settings())
            theirs.start()
            bench.run("restore", backrest.command("stanza-create"))
            bench.run("restore", backrest.command("--type=full", "--no-expire-auto", "backup"))
            target, theirs_written = make_history(bench, theirs)
            theirs.stop()
            runs["pgBackRest"] = lambda number: run_backrest(bench, backrest, folder, target, size)

        pitr = s3.product(bench, server, folder) if s3 else Pitr(bench, server, f"{bench.directory}/{folder}/repository")
        server.configure(pitr.settings())
        server.start()
        server.query("create extension pitr_ext")
        pitr.idle(3600)
        if s3:
            s3.mark()
            server.query("select pitr_create_snapshot()")
            bench.figure(where, f"snapshot, {size:g} GB: pitr_ext, requests", "per GiB", [s3.requests_per_gib(megabytes)], "select pitr_create_snapshot()")
        our_target, written = make_history(bench, server)
        if "restore" in figures:
            runs["pitr_ext"] = lambda number: run_and_forget(bench, server, number, our_target, size)
            results, requests = {name: [] for name in runs}, {name: [] for name in runs}
            for number in range(bench.plan.pairs):
                for name in in_turn(runs, number):
                    if s3:
                        s3.mark()
                    results[name].append(runs[name](number))
                    if s3:
                        requests[name].append(s3.requests_per_gib(megabytes + written))
            label = f"{size:g} GB" if s3 is None else f"restore, {size:g} GB"
            note = f"{megabytes:.0f} MiB, WAL to replay {theirs_written:.0f} MiB (pgBackRest), {written:.0f} MiB (pitr_ext)"
            bench.figure(where, f"{label}: pgBackRest, first query at the target (read only)", "s", [value[0] for value in results["pgBackRest"]],
                         f"pgbackrest --type=time --target=T --target-action=promote --process-max={bench.plan.processes} restore; pg_ctl start; "
                         "until a query sees the target's row", note)
            bench.figure(where, f"{label}: pgBackRest, first query that may write", "s", [value[1] for value in results["pgBackRest"]],
                         "the same, until pg_is_in_recovery() is false")
            bench.figure(where, f"{label}: pitr_ext, first query at the target (may write)", "s", [value[0] for value in results["pitr_ext"]],
                         "select * from pitr_restore_branch(T); until a query sees the target's row")
            for name in runs if s3 else ():
                bench.figure(where, f"{label}: {name}, requests", "per GiB of database and WAL", requests[name], "counted in the server's log")
            pairs = list(zip(results["pitr_ext"], results["pgBackRest"]))
            bench.figure(where, f"{label}: pitr_ext against pgBackRest's first query", "of their time", [a[0] / b[0] for a, b in pairs], "", "pair by pair")
            bench.figure(where, f"{label}: pitr_ext against pgBackRest's first write", "of their time", [a[0] / b[1] for a, b in pairs], "", "pair by pair")
        if "outage" in figures:
            values = [run_outage(bench, server, size) for _ in range(bench.plan.pairs)]
            command = f"select * from pitr_restore_branch(T) under pgbench -c {bench.plan.clients} -j 2; a client asks every millisecond"
            bench.figure("outage", f"{size:g} GB: last old answer to first new answer", "s", [value[0] for value in values], command)
            bench.figure("outage", f"{size:g} GB: of it, sessions ending", "s", [value[1] for value in values],
                         "server log: first session told to end, to the exit on purpose")
            bench.figure("outage", f"{size:g} GB: of it, crash cycle", "s", [value[2] for value in values],
                         "server log: exit on purpose, to 'ready to accept connections'")
            medians[size] = shown(sorted(value[0] for value in values)[len(values) // 2])
        server.stop()
        shutil.rmtree(f"{bench.directory}/{folder}")
        if s3:
            s3.remove_others(folder, {})
    if medians:
        bench.say(f"outage by size: {medians}")
