"""What pgbench gets from a directory that is still being loaded after a restore in place, slice by slice, and from it when it is
complete: beside a server that was never restored and has the library with nothing to do, and beside one without the library."""
import re
import shutil
import statistics
import time

from drain import cpu_seconds
from harness import Pitr, Server, copy_tree, in_turn
from restore import forget_undo_branches, run_pitr

MODES = {"select-only": ["-S"], "TPC-B": []}
OFF = {"archive_mode": "off", "archive_library": "", "archive_command": "", "pitr.repository": ""}
SLICE = 5


def make_servers(bench):
    """(ours, plain with the library, plain without), three times the same directory."""
    ours = Server(bench, "loading/ours")
    ours.initdb()
    ours.configure(OFF)
    ours.start()
    scale = max(1, int(bench.plan.loading_gb * 1024 / 15))
    bench.run("setup", ["pgbench", "-i", "-q", "-s", str(scale), "-h", bench.sockets, "-p", str(ours.port), "-U", "postgres", "postgres"], quiet=True)
    ours.query("create table bench_marker (n integer)")
    ours.query("insert into bench_marker values (1)")
    ours.query("vacuum (analyze)")
    ours.stop()
    plain = [Server(bench, "loading/plain"), Server(bench, "loading/without", preload=False)]
    for server in plain:
        copy_tree(ours.directory, server.directory)
        server.start()
    return ours, plain[0], plain[1], scale


def run_pgbench(bench, server, mode, ready=True):
    """(transactions a second, those of each slice, the server's milliseconds of processor for one). `ready`: no vacuum and no
    checkpoint is left from what was before."""
    if ready:
        server.query("vacuum pgbench_branches, pgbench_tellers")
        server.query("checkpoint")
    before = cpu_seconds(server.pid())
    _, output = bench.run("loading", server.pgbench("-c", "8", "-j", "2", "-T", str(bench.plan.seconds), "-P", str(SLICE), *MODES[mode]))
    count = int(re.search(r"transactions actually processed: (\d+)", output).group(1))
    return (float(re.search(r"tps = ([\d.]+)", output).group(1)),
            [float(tps) for tps in re.findall(r"^progress: [\d.]+ s, ([\d.]+) tps", output, re.M)],
            (cpu_seconds(server.pid()) - before) * 1000 / count)


def run_loading(bench, server, number, target, mode):
    """Restore, pgbench from the first query on; once more when all is there. Seconds that loading took are the operation's own."""
    run_pitr(bench, server, number, target, bench.plan.loading_gb, figure="loading")
    started = time.time()
    during = run_pgbench(bench, server, mode, ready=False)
    server.query("select pitr_complete_branch()")
    ended = float(server.one("select extract(epoch from max(finished_at)) from pitr_operations where kind = 'complete'"))
    after = run_pgbench(bench, server, mode)
    forget_undo_branches(server)
    result = {"mode": mode, "during": during, "loaded_after_s": ended - started, "complete": after}
    bench.raw("loading", result)
    return result


def report_loading(bench, mode, results):
    count = min(len(result["during"][1]) for result in results)
    over_time = [statistics.median(result["during"][1][at] / result["complete"][0] for result in results) for at in range(count)]
    loaded = statistics.median(result["loaded_after_s"] for result in results)
    command = f"pgbench -n -c 8 -j 2 -T {bench.plan.seconds} -P {SLICE} {' '.join(MODES[mode])}".rstrip()
    bench.figure("loading", f"{mode}: from the first query on, while it loads", "transactions/s", [result["during"][0] for result in results],
                 command, f"archiving; all was there after {loaded:.0f} s")
    bench.figure("loading", f"{mode}: the same server, complete", "transactions/s", [result["complete"][0] for result in results], command, "archiving")
    bench.figure("loading", f"{mode}: while it loads, against complete", "of it", [result["during"][0] / result["complete"][0] for result in results],
                 "", f"slices of {SLICE} s: " + " ".join(f"{value:.2f}" for value in over_time))


def loading(bench):
    ours, plain, without, scale = make_servers(bench)
    pitr = Pitr(bench, ours, f"{bench.directory}/loading/repository")
    ours.configure(pitr.settings() | {"pitr.max_replay_bytes": "0"})
    ours.start()
    ours.query("create extension pitr_ext")
    pitr.idle(3600)
    target = ours.one("select clock_timestamp()")
    time.sleep(0.5)
    results = {mode: [] for mode in MODES}
    for number in range(bench.plan.pairs):
        for mode in in_turn(MODES, number):
            results[mode].append(run_loading(bench, ours, number, target, mode))
    for mode, values in results.items():
        report_loading(bench, mode, values)

    # Once more, so that all three have the rows that they began with.
    run_pitr(bench, ours, bench.plan.pairs, target, bench.plan.loading_gb, figure="loading")
    ours.query("select pitr_complete_branch()")
    ours.stop()
    ours.configure(OFF)
    ours.start()
    compare(bench, {"restored in place and complete": ours, "never restored, library preloaded": plain, "without the library": without}, scale)
    for server in (ours, plain, without):
        server.stop()
    shutil.rmtree(f"{bench.directory}/loading")


def compare(bench, servers, scale):
    for mode, arguments in MODES.items():
        for server in servers.values():
            run_pgbench(bench, server, mode)   # the first one after a start is not like the others
        runs = {name: [] for name in servers}
        for number in range(bench.plan.pairs):
            for name in in_turn(servers, number):
                runs[name].append(run_pgbench(bench, servers[name], mode))
        command = f"pgbench -n -c 8 -j 2 -T {bench.plan.seconds} {' '.join(arguments)}".rstrip()
        for name, values in runs.items():
            bench.figure("loading", f"{mode}: {name}", "transactions/s", [value[0] for value in values], command, f"scale {scale}, archive_mode = off")
            bench.figure("loading", f"{mode}: {name}, processor", "ms a transaction", [value[2] for value in values], "all of the server's processes")
        first = runs["restored in place and complete"]
        for name in list(servers)[1:]:
            bench.figure("loading", f"{mode}: complete, against {name}", "of it", [a[0] / b[0] for a, b in zip(first, runs[name])], "", "pair by pair")
            bench.figure("loading", f"{mode}: complete, against {name}, processor", "of it", [a[2] / b[2] for a, b in zip(first, runs[name])], "",
                         "pair by pair")
