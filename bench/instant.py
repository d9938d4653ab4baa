"""Restore in place by size of the database and WAL to replay: from the call to the first query at the target, what a client is cut
off for, and pgBackRest's restore to a directory of its own. A size like 4+96 is 4 GB of data beside relation files of 96 GB of holes."""
import os
import shutil
import statistics
import time

from data import write_wal
from harness import MIB, BackRest, Pitr, Server, copy_tree, folder_bytes, in_turn, shown, wait_until
from restore import Watch, log_parts, make_database, run_backrest, run_outage, run_pitr
from s3 import S3Server

GIB = 1024 * MIB
# While recovery works, the client that watches shall not take a processor from it.
WATCH_PAUSE = 0.005


def parse_size(word):
    """(GB of data, GB of holes)"""
    dense, _, holes = word.partition("+")
    return float(dense), int(holes or 0)


def add_holes(server, gigabytes):
    """A table with so many whole segment files; pages of zeros are new pages to the server, checksums or not."""
    server.start()
    server.query("create table bench_long (n integer); insert into bench_long values (1)")
    path = f"{server.directory}/" + server.one("select pg_relation_filepath('bench_long')")
    server.stop()
    for number in range(gigabytes):
        with open(path + (f".{number}" if number else ""), "ab") as file:
            file.truncate(GIB)


def make_histories(bench, server):
    """WAL, and in it a target for each amount to replay: {MiB: (target, its markers, MiB written)}. Each is a marker farther."""
    begin = server.one("select pg_current_wal_insert_lsn()")

    def written():
        return float(server.one(f"select pg_current_wal_insert_lsn() - '{begin}'")) / MIB

    found, markers = {}, []
    for number, megabytes in enumerate(sorted(bench.plan.instant_mb), 1):
        write_wal(server, megabytes - written(), seed=number)
        markers.append(str(number))
        server.query(f"insert into bench_marker values ({number})")
        target = server.one("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')")
        found[megabytes] = (target, ",".join(markers), written())
        time.sleep(0.5)
    server.query("insert into bench_marker values (99)")
    server.query("select pg_switch_wal()")
    wait_until(lambda: not server.ready_segments(), 3600, "archiving")
    return found


def prepare_backrest(bench, server, folder, s3):
    """Its repository and {MiB: history}, from a copy of the stopped server that does not stay."""
    theirs = Server(bench, f"{folder}/theirs", preload=False)
    copy_tree(server.directory, theirs.directory)
    backrest = BackRest(bench, theirs, f"{bench.directory}/{folder}/backrest", s3 and s3.backrest_lines(f"{folder}-backrest"))
    theirs.configure(backrest.settings())
    theirs.start()
    bench.run("instant", backrest.command("stanza-create"))
    bench.run("instant", backrest.command("--type=full", "--no-expire-auto", "backup"))
    histories = make_histories(bench, theirs)
    theirs.stop()
    shutil.rmtree(theirs.directory)
    return backrest, histories


def prepare_pitr(bench, server, folder, s3):
    pitr = s3.product(bench, server, folder) if s3 else Pitr(bench, server, f"{bench.directory}/{folder}/repository")
    # All of the WAL is to be replayed. A line of history that a restore has left is needed for the next one, its directory is not.
    server.configure(pitr.settings() | {"pitr.max_replay_bytes": "0", "pitr.undo_directory_retention": "0"})
    server.start()
    server.query("create extension pitr_ext")
    pitr.idle(3600)
    # What was archived since the first snapshot is not part of any figure.
    server.query("select pitr_create_snapshot()")
    return make_histories(bench, server)


def run_ours(bench, server, number, history, size):
    target, markers, _ = history
    log_at = os.path.getsize(server.log)
    watch = Watch(server, WATCH_PAUSE)
    query, answer, phases = run_pitr(bench, server, number, target, size, markers, "instant")
    if not watch.back.wait(600):
        raise RuntimeError("the server did not come back")
    # The next one begins on a directory that nothing works on.
    started = time.monotonic()
    loaded = int(server.record("select * from pitr_complete_branch()")["bytes_total"])
    with open(server.log, encoding="utf-8", errors="replace") as file:
        file.seek(log_at)
        ending, cycle = log_parts(file.read())
    took = {}
    for (name, at), end in zip(phases, [at for _, at in phases[1:]] + [query]):   # a phase may come back
        took[name] = took.get(name, 0.0) + max(0.0, end - at)
    result = {"query": query, "answer": answer, "outage": watch.first_new - watch.last_old, "cut": watch.first_new - watch.ended, "phases": took}
    bench.raw("instant", result | {"gb": size, "sessions_ending_s": ending, "crash_cycle_s": cycle, "refusals": watch.refusals,
                                   "completion_s": time.monotonic() - started, "loaded_bytes": loaded})
    return result


def phase_note(results):
    names = dict.fromkeys(name for result in results for name in result["phases"])
    medians = {name: statistics.median(result["phases"].get(name, 0.0) for result in results) for name in names}
    return "phases, s: " + ", ".join(f"{name} {value:.2f}" for name, value in medians.items() if value >= 0.005)


def report(bench, label, ours, theirs, history):
    bench.figure("instant", f"{label}: pitr_ext, first query at the target", "s", [run["query"] for run in ours],
                 "select * from pitr_restore_branch(T); until a query sees the target's row", f"{history[2]:.0f} MiB of WAL; {phase_note(ours)}")
    bench.figure("instant", f"{label}: outage, session cut to first new answer", "s", [run["cut"] for run in ours],
                 "a client that asks and connects again, otherwise idle")
    bench.figure("instant", f"{label}: outage, last old answer to first new answer", "s", [run["outage"] for run in ours],
                 f"the same client, which asks every {WATCH_PAUSE * 1000:.0f} ms")
    if theirs:
        bench.figure("instant", f"{label}: pgBackRest, first query at the target (read only)", "s", [run[0] for run in theirs],
                     f"pgbackrest --no-delta --type=time --process-max={bench.plan.processes} restore; pg_ctl start; until a query sees the target's row")
        bench.figure("instant", f"{label}: pgBackRest, first query that may write", "s", [run[1] for run in theirs], "the same, until it is promoted")
        bench.figure("instant", f"{label}: pitr_ext against pgBackRest's first query", "of their time",
                     [a["query"] / b[0] for a, b in zip(ours, theirs)], "", "pair by pair")


def one_size(bench, word, store, s3):
    dense, holes = parse_size(word)
    folder, size = f"instant-{word.replace('+', '-')}", dense + holes
    server = make_database(bench, folder, dense)
    if holes:
        add_holes(server, holes)
    whole = folder_bytes(server.directory, skip=("pg_wal",))
    backrest, their_histories = None, {}
    # It writes holes as zeros.
    if os.environ.get("BENCH_INSTANT_PEER") == "0":
        bench.say(f"instant: {word} GB, {store}: pgBackRest is left out, as asked")
    elif shutil.disk_usage(bench.directory).free < 1.2 * whole + (whole - holes * GIB):
        bench.figure("instant", f"{word} GB, {store}: pgBackRest", "s", [], "", f"not taken: no disk for {whole / GIB:.0f} GiB restored")
    else:
        backrest, their_histories = prepare_backrest(bench, server, folder, s3)
    histories = prepare_pitr(bench, server, folder, s3)
    number = 0
    for megabytes, history in histories.items():
        runs = {"pitr_ext": lambda: run_ours(bench, server, number, history, size)}
        if backrest:
            theirs = their_histories[megabytes]
            runs["pgBackRest"] = lambda: run_backrest(bench, backrest, folder, theirs[0], size, theirs[1], "instant")
        results = {name: [] for name in runs}
        for _ in range(bench.plan.pairs):
            number += 1
            for name in in_turn(runs, number):
                results[name].append(runs[name]())
        report(bench, f"{word} GB, {megabytes:g} MB, {store}", results["pitr_ext"], results.get("pgBackRest"), history)
    loaded = [run_outage(bench, server, size, "instant") for _ in range(bench.plan.pairs)]
    bench.figure("instant", f"{word} GB, {store}: outage under load, last old answer to first new answer", "s", [value[0] for value in loaded],
                 f"select * from pitr_restore_branch(T) under pgbench -c {bench.plan.clients} -j 2, a client asks every millisecond",
                 f"sessions ending {shown(statistics.median(value[1] for value in loaded))} s, "
                 f"crash cycle {shown(statistics.median(value[2] for value in loaded))} s")
    server.stop()
    shutil.rmtree(f"{bench.directory}/{folder}")
    if s3:
        s3.remove_others(folder, {})


def instant(bench):
    sizes = bench.plan.instant_gb
    for store in bench.plan.stores:
        # Both products' copies, compressed, and WAL.
        s3 = S3Server(bench, max(4.0, *(parse_size(word)[0] for word in sizes))) if store == "s3" else None
        try:
            for word in sizes:
                one_size(bench, word, store, s3)
        finally:
            if s3:
                s3.stop()
