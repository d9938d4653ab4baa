"""Branches with a server of their own, by size of the database: from the call to the first query, on this directory's file system and on an
XFS with reflink, where a clone of the data directory by hand is the yardstick; and what a restore of a branch costs its clients."""
import os
import shutil
import subprocess
import time

from data import write_wal
from harness import MIB, Pitr, Server, copy_tree, folder_bytes, in_turn, wait_until
from instant import GIB, WATCH_PAUSE, phase_note
from restore import Phases, Watch, at_target, forget_undo_branches, make_database, wait_operation

PORTS = "54700-54799"
CALL = "select * from pitr_create_branch('b', {}); until a query on its port sees the point's rows"


def allocated(directory):
    """Bytes that files have on disk; shared ones count for each."""
    return sum(os.lstat(f"{root}/{name}").st_blocks * 512 for root, _, names in os.walk(directory) for name in names)


def branch_server(bench, row):
    server = Server(bench, row["name"], row["directory"])
    server.port = int(row["port"])
    return server


def delete(server, name):
    server.query(f"select * from pitr_delete_branch('{name}', force => true)")


def create(bench, server, kind, source, markers, size):
    """Seconds to the first query, phases, and MiB on disk then."""
    os.sync()
    phases = Phases(server)
    client = server.connect()
    started = time.monotonic()
    row = client.record(f"select * from pitr_create_branch('b', {source})")
    answer = time.monotonic() - started
    phases.ended = True
    client.close()
    branch = branch_server(bench, row)
    wait_until(lambda: at_target(branch, markers), 60, "the branch's first query", 0.002)
    query = time.monotonic() - started
    bench.memory.watch(branch.pid())
    disk = allocated(branch.directory) / MIB
    took = {}
    for (name, at), end in zip(phases.seen, [at for _, at in phases.seen[1:]] + [answer]):
        took[name] = took.get(name, 0.0) + max(0.0, end - at)
    bench.raw("branch", {"gb": size, "kind": kind, "first_query_s": query, "answer_s": answer, "phases": phases.seen, "disk_mib": disk})
    delete(server, "b")
    return {"query": query, "phases": took, "disk": disk}


def clone_by_hand(bench, server, folder, markers, size):
    """The head by pg_backup_start, cp and pg_backup_stop: what a copy by reflink would take where files can share blocks."""
    copy = Server(bench, "copy", f"{bench.directory}/{folder}/copy", preload=False)
    shutil.rmtree(copy.directory, ignore_errors=True)
    os.sync()
    client = server.connect()
    started = time.monotonic()
    client.query("select pg_backup_start('bench', fast => true)")
    checkpoint = time.monotonic() - started
    copy_tree(server.directory, copy.directory)
    cloned = time.monotonic() - started
    label = client.one("select labelfile from pg_backup_stop(wait_for_archive => false)")
    client.close()
    # What was written while it was copied.
    copy_tree(f"{server.directory}/pg_wal", f"{copy.directory}/pg_wal")
    for name in ("postmaster.pid", "postmaster.opts"):
        os.unlink(f"{copy.directory}/{name}")
    with open(f"{copy.directory}/backup_label", "w", encoding="utf-8") as file:
        file.write(label)
    copy.configure({"archive_mode": "off", "archive_library": "", "pitr.repository": "", "recovery_init_sync_method": "syncfs"})
    copy.start(wait=False)
    wait_until(lambda: at_target(copy, markers), 600, "the clone's first query", 0.002)
    query = time.monotonic() - started
    bench.raw("branch", {"gb": size, "kind": "by hand", "first_query_s": query, "checkpoint_s": checkpoint, "copied_s": cloned})
    copy.stop("immediate")
    shutil.rmtree(copy.directory)
    return {"query": query, "phases": {"checkpoint": checkpoint, "copy": cloned - checkpoint, "start": query - cloned}, "disk": 0.0}


def point(server, number):
    """A marker, and a time at which it is there and the next one is not."""
    server.query(f"insert into bench_marker values ({number})")
    target = server.one("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    time.sleep(0.2)
    return target


def creations(bench, server, folder, label, size):
    """Each kind of creation, interleaved."""
    size_mib = folder_bytes(server.directory, skip=("pg_wal",)) / MIB
    fresh = []
    for number in range(bench.plan.pairs):
        server.query("select pitr_create_snapshot()")
        fresh.append(create(bench, server, "head, nothing to replay", "'main'", markers_now(server), size))
    written = write_wal(server, bench.plan.branch_mb, seed=3)
    past = point(server, 1)
    markers = markers_now(server)
    written_later = write_wal(server, bench.plan.branch_mb, seed=4)
    point(server, 2)
    runs = {
        f"head, {written + written_later:.0f} MiB to replay": lambda kind: create(bench, server, kind, "'main'", markers_now(server), size),
        f"a past time, {written:.0f} MiB to replay": lambda kind: create(bench, server, kind, f"'main@{past}'", markers, size),
        "head, by hand: pg_backup_start, cp --reflink=auto, start": lambda _: clone_by_hand(bench, server, folder, markers_now(server), size),
    }
    results = {"head, nothing to replay": fresh} | {name: [] for name in runs}
    for number in range(bench.plan.pairs):
        for name in in_turn(runs, number):
            results[name].append(runs[name](name))
    for name, values in results.items():
        command = "" if "by hand" in name else CALL.format("'main'" if name.startswith("head") else "'main@T'")
        bench.figure("branch", f"{label}: {name}, first query", "s", [value["query"] for value in values], command, phase_note(values))
    bench.figure("branch", f"{label}: on disk at the first query of the head", "MiB", [value["disk"] for value in fresh], "blocks of the branch's directory",
                 f"of {size_mib:.0f} MiB")


def markers_now(server):
    return server.one("select string_agg(n::text, ',' order by n) from bench_marker")


def cut(bench, dev, run, kind, size):
    """What a client of the branch is cut off for, while `run` restores it."""
    watch = Watch(dev, WATCH_PAUSE)
    wait_until(lambda: watch.last_old, 60, "the client that watches", 0.01)
    row = run()
    if not watch.back.wait(600):
        raise RuntimeError("the branch did not come back")
    bench.raw("branch", {"gb": size, "kind": kind, "cut_s": watch.first_new - watch.ended, "outage_s": watch.first_new - watch.last_old,
                         "refusals": watch.refusals, "row": row})
    return watch.first_new - watch.ended


def outages(bench, server, label, size):
    # Loading shall not be what is measured; it goes on for as long as this takes.
    row = server.record("select * from pitr_create_branch('dev', settings => '{\"pitr.fill_rate\": \"1MB\"}')")
    dev = branch_server(bench, row)
    inside, outside = [], []
    for _ in range(bench.plan.pairs):
        target = point(dev, 50)
        point(dev, 51)
        row = {}

        def in_place():
            row.update(dev.record(f"select * from pitr_restore_branch('{target}')"))
            return row
        inside.append(cut(bench, dev, in_place, "in place", size))
        wait_operation(dev, row["operation_id"])
        target = point(dev, 52)
        point(dev, 53)
        outside.append(cut(bench, dev, lambda: server.record(f"select * from pitr_restore_branch('dev', '^self@{target}')"), "from outside", size))
        dev = branch_server(bench, server.record("select * from pitr_branches where name = 'dev' and deleted_at is null"))
        forget_undo_branches(server)
    for what, values, command in (("in place, by its own server", inside, "on the branch: select * from pitr_restore_branch(T)"),
                                  ("from another server", outside, "on the first server: select * from pitr_restore_branch('dev', '^self@T')")):
        bench.figure("branch", f"{label}: outage of a branch that is restored {what}, session cut to first new answer", "s", values, command,
                     "a client that asks and connects again, otherwise idle")
    delete(server, "dev")


def one_place(bench, place, folder, gigabytes):
    label = f"{gigabytes:g} GB, {place}"
    server = make_database(bench, folder, gigabytes)
    pitr = Pitr(bench, server, f"{bench.directory}/{folder}/repository")
    # All of the WAL is to be replayed, and nothing is taken meanwhile.
    server.configure(pitr.settings() | {"pitr.max_replay_bytes": "0", "pitr.undo_directory_retention": "0", "pitr.branch_ports": PORTS})
    server.start()
    server.query("create extension pitr_ext; insert into bench_marker values (0)")
    pitr.idle(3600)
    creations(bench, server, folder, label, gigabytes)
    outages(bench, server, label, gigabytes)
    server.stop()
    shutil.rmtree(f"{bench.directory}/{folder}")


def file_system(directory):
    return subprocess.run(["stat", "-f", "-c", "%T", directory], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def branch(bench):
    places = {file_system(bench.directory): ""}
    xfs = f"{bench.directory}/xfs"
    if os.path.ismount(xfs):
        places["XFS with reflink"] = "xfs/"
    else:
        bench.figure("branch", "XFS with reflink", "s", [], "", "not taken: only root can mount one")
    for gigabytes in bench.plan.branch_gb:
        for place, prefix in places.items():
            free = shutil.disk_usage(bench.directory).free
            if free < 4 * gigabytes * GIB:
                bench.figure("branch", f"{gigabytes:g} GB, {place}", "s", [], "", f"not taken: {free / GIB:.0f} GiB of disk are free")
                continue
            one_place(bench, place, f"{prefix}branch-{gigabytes:g}", gigabytes)
