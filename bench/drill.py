"""A restore drill by size of the database: how long until the restored server answers, and until the drill has looked at everything."""
import shutil
import time

from harness import Pitr
from restore import Phases, make_database


def one(bench, server, size):
    phases = Phases(server)
    client = server.connect()
    started = time.monotonic()
    row = client.record("select extract(epoch from restore_time) as restore, passed, relations from pitr_run_drill()")
    took = time.monotonic() - started
    phases.ended = True
    client.close()
    if row["passed"] != "t":
        raise RuntimeError(f"the drill failed: {row}")
    bench.raw("drill", {"gb": size, "took_s": took, "restore_s": float(row["restore"]), "phases": phases.seen})
    return took, float(row["restore"])


def drill(bench):
    size = bench.plan.drill_gb
    server = make_database(bench, "drill", size)
    pitr = Pitr(bench, server, f"{bench.directory}/drill/repository")
    server.configure(pitr.settings())
    server.start()
    server.query("create extension pitr_ext")
    pitr.idle(3600)
    runs = [one(bench, server, size) for _ in range(bench.plan.pairs)]
    bench.figure("drill", f"{size:g} GB: a drill", "s", [run[0] for run in runs], "select * from pitr_run_drill()",
                 "rows counted here and there, restore, pg_amcheck, pg_checksums where the database has checksums")
    bench.figure("drill", f"{size:g} GB: of that, until the restored server is promoted", "s", [run[1] for run in runs], "", "all of the directory is laid out")
    server.stop()
    shutil.rmtree(f"{bench.directory}/drill")
