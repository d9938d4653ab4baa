"""What archiving costs the application: pgbench with the extension archiving, against archive_mode = off, in turn."""
import re
import shutil

from harness import Pitr, Server, in_turn, wait_until


def run(bench, server, settings):
    server.configure(settings)
    server.start()
    server.query("vacuum")
    server.query("checkpoint")
    clients = 8
    _, output = bench.run("throughput", server.pgbench("-c", str(clients), "-j", "2", "-T", str(bench.plan.seconds)))
    wait_until(lambda: not settings.get("archive_library") or len(server.ready_segments()) <= 1, 600, "archiving")
    server.stop()
    return float(re.search(r"tps = ([\d.]+)", output).group(1))


def throughput(bench):
    server = Server(bench, "throughput")
    server.initdb()
    pitr = Pitr(bench, server, f"{bench.directory}/throughput/repository")
    off = {"archive_mode": "off", "archive_library": "", "archive_command": "", "pitr.repository": ""}
    server.configure(pitr.settings())
    server.start()
    server.query("create extension pitr_ext")
    bench.run("setup", ["pgbench", "-i", "-q", "-s", "40", "-h", bench.sockets, "-p", str(server.port), "-U", "postgres", "postgres"], quiet=True)
    pitr.idle()
    server.stop()
    results = {"archive_mode = off": [], "pitr_ext archiving": []}
    run(bench, server, off)   # the first one after loading is not like the others
    for number in range(bench.plan.pairs):
        for name in in_turn(results, number):
            results[name].append(run(bench, server, off if name == "archive_mode = off" else pitr.settings()))
    for name, values in results.items():
        bench.figure("throughput", name, "transactions/s", values, f"pgbench -n -c 8 -j 2 -T {bench.plan.seconds}, scale 40")
    bench.figure("throughput", "pitr_ext archiving, against off", "of it",
                 [a / b for a, b in zip(results["pitr_ext archiving"], results["archive_mode = off"])], "", "pair by pair")
    shutil.rmtree(f"{bench.directory}/throughput")
