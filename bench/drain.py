"""A backlog of WAL: how fast is it archived once archiving is possible again? Both products get byte for byte the same backlog."""
import glob
import os
import re
import shutil
import time

from data import fill, wal_ratio, write_wal
from harness import MIB, SEGMENT, BackRest, Pitr, Server, copy_tree, folder_bytes, in_turn, try_query, wait_until

OFF = {"archive_mode": "on", "archive_library": "", "archive_command": "", "pitr.repository": ""}


def make_backlog(bench, folder="drain", settings=None, product=Pitr):
    """A stopped server with `segments` segments that wait, and the product's repository as it was before them."""
    server = Server(bench, folder)
    server.initdb()
    repository = f"{bench.directory}/{folder}/repository"
    pitr = product(bench, server, repository)
    # Who takes over the copies waits for so long.
    server.configure(pitr.settings() | {"pitr.lease_timeout": "10s"} | (settings or {}))
    server.start()
    server.query("create extension pitr_ext")
    fill(server, 0.3)
    pitr.idle()
    server.configure(OFF)
    server.reload()
    time.sleep(0.5)
    server.query("checkpoint")
    written = 0.0
    while len(server.ready_segments()) < bench.plan.segments:
        written += write_wal(server, (bench.plan.segments - len(server.ready_segments())) * 16 + 8, seed=11)
    server.query("select pg_switch_wal()")
    server.stop()
    bench.say(f"{folder}: {len(server.ready_segments())} segments wait, {written:.0f} MiB of WAL in them")
    for name in ("data", "repository"):
        if os.path.exists(f"{bench.directory}/{folder}/{name}"):   # the repository may be elsewhere
            os.rename(f"{bench.directory}/{folder}/{name}", f"{bench.directory}/{folder}/{name}.template")
    return server


def fresh(bench, server):
    for name in ("data", "repository"):
        if not os.path.exists(f"{bench.directory}/{server.name}/{name}.template"):
            continue
        copy_tree(f"{bench.directory}/{server.name}/{name}.template", f"{bench.directory}/{server.name}/{name}")
    os.sync()
    server.start()
    # The archiver of 15 is not started twice within ten seconds.
    time.sleep(11)


def cpu_seconds(postmaster):
    """Of the server's processes, those that ended included. Says more than time does on a machine with other work."""
    ticks = 0
    for name in os.listdir("/proc"):
        try:
            fields = open(f"/proc/{name}/stat", encoding="utf-8").read().rsplit(") ", 1)[1].split() if name.isdigit() else None
        except FileNotFoundError:
            continue
        if fields and (int(name) == postmaster or int(fields[1]) == postmaster):
            ticks += sum(int(field) for field in fields[11:15 if int(name) == postmaster else 13])
    return ticks / os.sysconf("SC_CLK_TCK")


def become_writer(server, settings):
    """The copied data directory is not the one that holds the branch's lease. Not timed."""
    server.configure(settings | {"archive_library": ""})
    server.reload()
    wait_until(lambda: try_query(server, "select pitr_take_over_branch('main')"), 60, "the lease", 0.2)


def time_drain(bench, server, settings):
    """Seconds from the reload that makes archiving possible until no segment waits."""
    names = server.ready_segments()
    client = server.connect()
    server.configure(settings)
    started = time.monotonic()
    server.reload()
    wait_until(lambda: not server.ready_segments(), 3600, "the backlog", 0.01)
    seconds = time.monotonic() - started
    client.close()
    return seconds, len(names)


def stored_wal(path):
    return sum(os.path.getsize(name) for name in glob.glob(f"{path}/**/*", recursive=True)
               if os.path.isfile(name) and re.search(r"[0-9A-F]{24}", os.path.basename(name)))


def run_pitr(bench, server, levels, what, figure="drain"):
    fresh(bench, server)
    pitr = Pitr(bench, server, f"{bench.directory}/{server.name}/repository")
    before = folder_bytes(pitr.repository)
    become_writer(server, pitr.settings() | levels)
    cpu_before = cpu_seconds(server.pid())
    seconds, count = time_drain(bench, server, pitr.settings() | levels)
    cpu = cpu_seconds(server.pid()) - cpu_before
    stored = folder_bytes(pitr.repository) - before
    bench.raw(figure, {"product": what, "segments": count, "seconds": seconds, "cpu_seconds": cpu, "stored_bytes": stored,
                       "archive": server.record("select * from pitr_archive")})
    server.stop()
    return count * SEGMENT / MIB / seconds, stored / MIB, cpu * 1000 / (count * SEGMENT / MIB)


def run_backrest(bench, server):
    fresh(bench, server)
    shutil.rmtree(f"{bench.directory}/drain/backrest", ignore_errors=True)
    backrest = BackRest(bench, server, f"{bench.directory}/drain/backrest")
    bench.run("drain", backrest.command("stanza-create"))
    seconds, count = time_drain(bench, server, backrest.settings())
    stored = stored_wal(f"{backrest.directory}/repository/archive")
    bench.raw("drain", {"product": "pgBackRest", "segments": count, "seconds": seconds, "stored_bytes": stored})
    server.stop()
    return count * SEGMENT / MIB / seconds, stored / MIB


def zstd_benchmark(bench, files, level):
    """The compressor alone, in memory, by its own benchmark: MiB/s of compression."""
    output = bench.run("drain", ["zstd", f"-b{level}", f"-T{bench.plan.processes}", "-i3", "-q", *files], quiet=True)[1]
    bench.raw("drain", f"$ zstd -b{level} -T{bench.plan.processes} -i3 -q {len(files)} segments\n{output.strip()}")
    last = re.findall(r"([\d.]+) MB/s", output)
    return float(last[-2]) * 1e6 / MIB


def drain(bench):
    server = make_backlog(bench)
    segments = sorted(glob.glob(f"{bench.directory}/drain/data.template/pg_wal/" + "[0-9A-F]" * 24))
    ready = set(os.listdir(f"{bench.directory}/drain/data.template/pg_wal/archive_status"))
    segments = [name for name in segments if os.path.basename(name) + ".ready" in ready]
    wal_ratio(bench, "data", segments[:: max(1, len(segments) // 16)])
    level3 = {"pitr.compression_level": 3, "pitr.backlog_compression_level": 3}
    runs = {
        "pgBackRest, zst level 3": lambda: run_backrest(bench, server),
        "pitr_ext, level 3": lambda: run_pitr(bench, server, level3, "level 3"),
        "pitr_ext, default settings": lambda: run_pitr(bench, server, {}, "default settings"),
    }
    results = {name: [] for name in runs}
    zstd = {1: [], 3: []}
    for number in range(bench.plan.pairs):
        for level, values in zstd.items():
            values.append(zstd_benchmark(bench, segments, level))
        for name in in_turn(runs, number):
            results[name].append(runs[name]())
    commands = {
        "pgBackRest, zst level 3": f"archive_command = 'pgbackrest archive-push %p', archive-async=y, process-max={bench.plan.processes}, "
                                   "compress-type=zst, compress-level=3; SIGHUP; until no .ready is left",
        "pitr_ext, level 3": f"archive_library = 'pitr_ext', pitr.archive_workers = {bench.plan.processes}, pitr.compression_level = 3, "
                             "pitr.backlog_compression_level = 3; SIGHUP; until no .ready is left",
        "pitr_ext, default settings": "the same with pitr.compression_level = 3, pitr.backlog_compression_level = -3",
    }
    for name, values in results.items():
        bench.figure("drain", name, "MiB/s", [value[0] for value in values], commands[name], f"{len(segments)} segments")
    for level, values in zstd.items():
        bench.figure("drain", f"zstd -b{level} -T{bench.plan.processes}, in memory", "MiB/s", values,
                     f"zstd -b{level} -T{bench.plan.processes} -i3 segments")
    theirs = [value[0] for value in results["pgBackRest, zst level 3"]]
    for name in ("pitr_ext, level 3", "pitr_ext, default settings"):
        ours = [value[0] for value in results[name]]
        bench.figure("drain", f"{name}, against pgBackRest", "times", [a / b for a, b in zip(ours, theirs)], "", "pair by pair")
    bench.figure("drain", "pitr_ext, level 3, against zstd -b3", "times",
                 [a[0] / b for a, b in zip(results["pitr_ext, level 3"], zstd[3])], "", "pair by pair")
    for name, values in results.items():
        bench.figure("drain", f"{name}, stored", "MiB", [value[1] for value in values], "", f"of {len(segments) * 16} MiB")
    shutil.rmtree(f"{bench.directory}/drain")
