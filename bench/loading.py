"""What pgbench gets from a directory that is still being loaded after a restore in place, slice by slice, and from it when it is
complete: beside a server that was never restored and has the library with nothing to do, and beside one without the library."""
import re
import shutil
import statistics
import time

from harness import Pitr, Server, copy_tree, in_turn, shown
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
    """(transactions a second, those of each slice). `ready`: no vacuum and no checkpoint is left from what was before."""
    if ready:
        server.query("vacuum pgbench_branches, pgbench_tellers")
        server.query("checkpoint")
    _, output = bench.run("loading", server.pgbench("-c", "8", "-j", "2", "-T", str(bench.plan.seconds), "-P", str(SLICE), *MODES[mode]))
    return (float(re.search(r"tps = ([\d.]+)", output).group(1)),
            [float(tps) for tps in re.findall(r"^progress: [\d.]+ s, ([\d.]+) tps", output, re.M)])


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
    servers = {"restored in place and complete": ours, "never restored, library preloaded": plain, "without the library": without}
    for mode in MODES:
        for server in servers.values():
            run_pgbench(bench, server, mode)   # the first one after a start is not like the others
        rates = {name: [] for name in servers}
        for number in range(bench.plan.pairs):
            for name in in_turn(servers, number):
                rates[name].append(run_pgbench(bench, servers[name], mode)[0])
        for name, values in rates.items():
            bench.figure("loading", f"{mode}: {name}", "transactions/s", values, f"pgbench -c 8 -j 2 {' '.join(MODES[mode])}".rstrip(),
                         f"scale {scale}, archive_mode = off")
        first = rates["restored in place and complete"]
        for name in list(servers)[1:]:
            ratios = [a / b for a, b in zip(first, rates[name])]
            bench.figure("loading", f"{mode}: complete, against {name}", "of it", ratios, "", "pair by pair")
        bench.say(f"loading: {mode}: complete against plain: {shown(statistics.median(ratios))}")
    for server in servers.values():
        server.stop()
    shutil.rmtree(f"{bench.directory}/loading")
