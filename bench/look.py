"""Looking at the past: seconds from the question to the first answer, cold and warm, by size of the database; rows a second through pitr_query_at and an
attached schema beside the same query without them; a table and a database that come back beside pg_dump and its kin doing the same."""
import os
import shutil
import subprocess
import time

from data import load_orders, write_wal
from harness import MIB, Pitr, in_turn, wait_until, warm
from instant import GIB
from restore import make_database

WARM = 20
ROWS = "id int, at timestamptz, name text, amount numeric, customer bigint"
NAMES = "id, at, name, amount, customer"


def stamp(server):
    """A point at which everything is there that was committed until now, and nothing that comes."""
    target = server.one("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    time.sleep(0.2)
    server.query("insert into bench_marker values (1000)")
    return f"main@{target}"


def ask(client, point):
    started = time.monotonic()
    client.query(f"select * from pitr_query_at('{point}', 'select count(*) from bench_marker') as t(n bigint)")
    return time.monotonic() - started


def forget(server, point):
    """The next question is the first one."""
    server.query(f"select pitr_close_at('{point}')")
    place = f"{server.directory}.pitr"
    wait_until(lambda: not os.path.isdir(place) or not any(name.startswith("look-") for name in os.listdir(place)), 60, "the look to be gone", 0.05)
    os.sync()


def first_answers(bench, server, label):
    written = write_wal(server, bench.plan.look_mb, seed=5)
    point = stamp(server)
    client = server.connect()
    cold, again = [], []
    for _ in range(bench.plan.pairs):
        forget(server, point)
        cold.append(ask(client, point))
        again += [ask(client, point) for _ in range(WARM)]
    client.close()
    call = "select * from pitr_query_at(T, 'select count(*) from bench_marker') as t(n bigint)"
    bench.figure("look", f"{label}: first answer, cold, {written:.0f} MiB to replay", "s", cold, call, "layout and replay included")
    bench.figure("look", f"{label}: first answer, the same point again", "ms", [value * 1000 for value in again], call, "aim: under 20 ms")
    return point


def psql(server, database="postgres", *arguments):
    return ["psql", "-X", "-q", "-A", "-t", "-h", server.bench.sockets, "-p", str(server.port), "-U", "postgres", "-v", "ON_ERROR_STOP=1", *arguments, database]


def read_all(bench, server, query):
    """Seconds until psql has all rows, and has thrown them away."""
    return bench.run("look", psql(server, "postgres", "-v", "FETCH_COUNT=10000", "-o", "/dev/null", "-c", query), quiet=True)[0]


def throughput(bench, server):
    count = int(bench.plan.look_rows)
    server.query(f"create table bench_rows as select g as id, timestamptz '2026-01-01' + g * interval '1 second' as at, md5(g::text) as name, "
                 f"g / 3.0 as amount, g::bigint * 1000 as customer from generate_series(1, {count}) g")
    server.query("vacuum bench_rows")
    point = stamp(server)
    server.query("create extension if not exists postgres_fdw")
    server.query(f"select * from pitr_attach_schema('{point}', relations => '{{bench_rows}}')")
    queries = {
        "directly": f"select {NAMES} from bench_rows",
        "through pitr_query_at": f"select * from pitr_query_at('{point}', 'select {NAMES} from bench_rows') as t({ROWS})",
        "through an attached schema": f"select {NAMES} from past.bench_rows",
    }
    seconds = {name: [] for name in queries}
    for query in queries.values():
        read_all(bench, server, query)   # what is loaded on demand, and caches
    for number in range(bench.plan.pairs):
        for name in in_turn(queries, number):
            seconds[name].append(read_all(bench, server, queries[name]))
    for name, query in queries.items():
        bench.figure("look", f"{count} rows {name}", "rows/s", [count / value for value in seconds[name]], query)
    for name in list(queries)[1:]:
        bench.figure("look", f"{count} rows {name}, to directly", "times", [own / other for own, other in zip(seconds["directly"], seconds[name])], queries[name],
                     "aim: at least 0.5")
    server.query("select pitr_detach_schema()")
    server.query("drop table bench_rows")


def timed(command, environment=None):
    started = time.monotonic()
    subprocess.run(command, shell=True, check=True, executable="/bin/bash", stdout=subprocess.DEVNULL, env=os.environ | (environment or {}))
    return time.monotonic() - started


def compare(bench, what, runs, names):
    """`runs`: our call and theirs, each giving seconds."""
    seconds = {name: [] for name in runs}
    for number in range(bench.plan.pairs):
        for name in in_turn(runs, number):
            os.sync()
            seconds[name].append(runs[name]())
    for name in runs:
        bench.figure("look", f"{what}: {name}", "s", seconds[name], names[name])
    ours, theirs = list(runs)
    bench.figure("look", f"{what}: {ours} to {theirs}", "times as fast", [b / a for a, b in zip(seconds[ours], seconds[theirs])], "", "aim: at least 1")


def table_comes_back(bench, server):
    load_orders(server, "bench_orders", bench.plan.look_table_mb)
    server.query("alter table bench_orders add primary key (id)")
    size = float(server.one("select pg_total_relation_size('bench_orders')")) / MIB
    point = stamp(server)
    place = server.record(f"select * from pitr_open_at('{point}')")
    call = f"select * from pitr_recover_table('bench_orders', at => '{point}', into_table => 'bench_back')"
    pipe = (f"set -o pipefail; pg_dump -h {place['host']} -p {place['port']} -U postgres -t bench_orders postgres | " + " ".join(psql(server, "bench_other")))
    server.query("create database bench_other")

    def ours():
        started = time.monotonic()
        server.query(call)
        took = time.monotonic() - started
        server.query("drop table bench_back")
        return took

    def theirs():
        took = timed(pipe, {"PGOPTIONS": "-c client_min_messages=warning"})
        bench.run("look", psql(server, "bench_other", "-c", "drop table bench_orders"), quiet=True)
        return took
    compare(bench, f"a table of {size:.0f} MiB", {"pitr_recover_table": ours, "pg_dump | psql": theirs},
            {"pitr_recover_table": call, "pg_dump | psql": "pg_dump -t bench_orders | psql, from the same server of the past"})
    server.query("drop database bench_other")
    server.query("drop table bench_orders")
    forget(server, point)


def database_comes_back(bench, server, label):
    point = stamp(server)
    place = server.record(f"select * from pitr_open_at('{point}')")
    call = f"select * from pitr_recover_database('postgres', at => '{point}', into_database => 'bench_back')"
    pipe = (f"set -o pipefail; pg_dump -Fc -Z0 -h {place['host']} -p {place['port']} -U postgres postgres | "
            f"pg_restore -h {bench.sockets} -p {server.port} -U postgres -d bench_back")

    def ours():
        started = time.monotonic()
        server.query(call)
        took = time.monotonic() - started
        server.query("drop database bench_back")
        return took

    def theirs():
        server.query("create database bench_back template template0")
        took = timed(pipe)
        server.query("drop database bench_back")
        return took
    compare(bench, f"{label}: the database", {"pitr_recover_database": ours, "pg_dump | pg_restore": theirs},
            {"pitr_recover_database": call, "pg_dump | pg_restore": "pg_dump -Fc -Z0 | pg_restore, from the same server of the past"})
    forget(server, point)


def one_size(bench, gigabytes, is_first):
    label, folder = f"{gigabytes:g} GB", f"look-{gigabytes:g}"
    server = make_database(bench, folder, gigabytes)
    pitr = Pitr(bench, server, f"{bench.directory}/{folder}/repository")
    # All of the WAL is to be replayed, and nothing is taken meanwhile.
    server.configure(pitr.settings() | {"pitr.max_replay_bytes": "0", "pitr.time_travel_idle_timeout": "1h", "max_worker_processes": "16"})
    server.start()
    server.query("create extension pitr_ext; insert into bench_marker values (0)")
    pitr.idle(3600)
    warm(pitr.repository)
    forget(server, first_answers(bench, server, label))
    if is_first:
        database_comes_back(bench, server, label)
        throughput(bench, server)
        table_comes_back(bench, server)
    server.stop()
    shutil.rmtree(f"{bench.directory}/{folder}")


def look(bench):
    for number, gigabytes in enumerate(bench.plan.look_gb):
        needed = 4 * gigabytes * GIB + 8 * bench.plan.look_table_mb * MIB + 600 * bench.plan.look_rows
        free = shutil.disk_usage(bench.directory).free
        if free < needed:
            bench.figure("look", f"{gigabytes:g} GB", "s", [], "", f"not taken: {free / GIB:.0f} GiB of disk are free")
            continue
        one_size(bench, gigabytes, number == 0)
