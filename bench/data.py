"""Data that looks like an application's: words, names, amounts, times. It compresses three to five times with zstd -3, as real
tables do; pgbench's own rows, mostly blanks, compress some twenty times and would flatter every figure. Always the same data."""
import os
import random
import subprocess
import time

from harness import MIB, SEGMENT, folder_bytes

SYLLABLES = ("an be con de el fer gar hos in jo ka lan mer nor op pra qui ra sen tor un ver wil xen yor zan ter ing ment able ous "
             "ly est ip ob sti tra gle dor mi ce ph ou ei ach").split()
COUNTRIES = "AT BE CH DE DK EE ES FI FR GB IE IT NL NO PL PT SE".split()
STATES = "new paid packed sent delivered returned cancelled".split()
COLUMNS = "id bigint, placed_at timestamptz, customer integer, country text, state text, amount numeric(12,2), weight real, reference text, note text"


def vocabulary(random_source, count=6000):
    words = set()
    while len(words) < count:
        words.add("".join(random_source.choices(SYLLABLES, k=random_source.randint(1, 4))))
    return sorted(words)


class Rows:
    """COPY lines of table `orders`. Words follow a steep distribution, as in any text; references are random digits."""

    def __init__(self, seed=1):
        self.random = random.Random(seed)
        words = vocabulary(random.Random(7))
        random.Random(8).shuffle(words)
        weights = [1 / (rank + 3) for rank in range(len(words))]
        source = random.Random(9)
        # Sentences are put together from phrases, some of which come often: notes of an application repeat themselves.
        self.phrases = [" ".join(source.choices(words, weights, k=source.randint(2, 5))) for _ in range(20000)]
        self.number = seed * 100_000_000
        self.time = 1_700_000_000.0

    def lines(self, count):
        pick, phrases, out = self.random, self.phrases, []
        for _ in range(count):
            self.number += 1
            self.time += pick.random() * 9
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.time))
            customer = int(pick.paretovariate(0.7) * 100) % 400_000
            note = ". ".join(phrases[int(20000 * pick.random() ** 3)] for _ in range(pick.randint(2, 9)))
            out.append(f"{self.number}\t{stamp}.{pick.randrange(1000):03d}+00\t{customer}\t{COUNTRIES[customer % 17]}\t{pick.choice(STATES)}\t"
                       f"{pick.paretovariate(1.2) * 9:.2f}\t{pick.random() * 30:.3f}\t{pick.getrandbits(48):012x}\t{note}\n")
        return "".join(out).encode()


def load_orders(server, table, mebibytes, seed=1):
    """Makes `table` with about so many MiB of rows (without its index)."""
    server.query(f"create table {table} ({COLUMNS})")
    rows = Rows(seed)
    psql = subprocess.Popen(["psql", "-X", "-q", "-h", server.bench.sockets, "-p", str(server.port), "-U", "postgres", "-d", "postgres",
                             "-c", f"copy {table} from stdin"], stdin=subprocess.PIPE)
    sent, wanted = 0, mebibytes * MIB / 1.16   # page and tuple headers
    while sent < wanted:
        chunk = rows.lines(2000)
        psql.stdin.write(chunk)
        sent += len(chunk)
    psql.stdin.close()
    if psql.wait() != 0:
        raise RuntimeError("copy failed")


def fill(server, gigabytes):
    """A database of about that size: orders in several tables with an index each, and a fifth of it pgbench."""
    bench = server.bench
    scale = max(1, int(gigabytes * 1024 * 0.2 / 15))
    bench.run("setup", ["pgbench", "-i", "-q", "-s", str(scale), "-h", bench.sockets, "-p", str(server.port), "-U", "postgres", "postgres"], quiet=True)
    wanted = gigabytes * 1024 * 0.8 * 0.97
    piece = min(wanted, 512)
    load_orders(server, "orders", piece)
    server.query("alter table orders add primary key (id)")
    made, number = piece, 1
    while made + piece / 2 < wanted:
        # A copy is as good as new data: it repeats far outside of any compressor's window.
        number += 1
        server.query(f"create table orders_{number} (like orders including all)")
        server.query(f"insert into orders_{number} select * from orders")
        made += piece
    server.query("vacuum (analyze)")
    server.query("checkpoint")


def write_wal(server, mebibytes, seed):
    """Work of an application until so much WAL is written: new orders, changed orders, payments (pgbench's transaction)."""
    bench = server.bench
    folder = f"{bench.directory}/home"
    count = int(server.one("select max(id) - min(id) from orders")) - 100
    first = int(server.one("select min(id) from orders"))
    scripts = {
        "insert": f"\\set at random({first}, {first + count})\ninsert into orders_new select id, now(), customer, country, state, amount, weight, "
                  f"reference, note from orders where id between :at and :at + 30;\n",
        "update": f"\\set at random_zipfian({first}, {first + count}, 1.1)\nupdate orders set state = 'paid', amount = amount + 1, placed_at = now() "
                  f"where id between :at and :at + 3;\n",
    }
    for name, text in scripts.items():
        with open(f"{folder}/{name}.sql", "w", encoding="utf-8") as file:
            file.write(text)
    server.query(f"create table if not exists orders_new ({COLUMNS}); create index if not exists orders_new_id on orders_new (id)")
    begin = server.one("select pg_current_wal_insert_lsn()")
    command = server.pgbench("-c", "4", "-j", "2", "-T", "100000", f"--random-seed={seed}", "-b", "tpcb-like@4",
                             "-f", f"{folder}/insert.sql@4", "-f", f"{folder}/update.sql@2")
    client = server.connect()
    load = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            env=os.environ | {"PGOPTIONS": "-c synchronous_commit=off"})
    try:
        while float(client.one(f"select pg_current_wal_insert_lsn() - '{begin}'")) < mebibytes * MIB:
            if load.poll() is not None:
                raise RuntimeError("pgbench ended early")
            time.sleep(0.05)
    finally:
        load.terminate()
        load.wait()
    written = float(client.one(f"select pg_current_wal_insert_lsn() - '{begin}'")) / MIB
    client.close()
    return written


def ratios(bench, server, figure):
    """How well the data directory and the WAL compress: the claim that this benchmark's data is realistic, checked."""
    def packed(files, level):
        total = stored = 0
        for name in files:
            content = open(name, "rb").read()
            total += len(content)
            stored += len(subprocess.run(["zstd", f"-{level}", "-q", "-c"], input=content, stdout=subprocess.PIPE, check=True).stdout)
        return total / stored if stored else None

    tables = [row[0] for row in server.query("select pg_relation_filepath(c.oid) from pg_class c where relname in ('orders', 'pgbench_accounts')")]
    for level in (1, 3):
        bench.figure(figure, f"table orders, zstd -{level}", "times smaller",
                     [packed([f"{server.directory}/" + server.one("select pg_relation_filepath('orders')")], level)], f"zstd -{level}")
    bench.figure(figure, "data directory's relations (orders and pgbench), zstd -3", "times smaller",
                 [packed([f"{server.directory}/{name}" for name in tables], 3)], "zstd -3")
    bench.figure(figure, "database size", "MiB", [folder_bytes(f"{server.directory}/base") / MIB], "")


def wal_ratio(bench, figure, segments):
    for level in (1, 3):
        stored = 0
        for name in segments:
            stored += len(subprocess.run(["zstd", f"-{level}", "-q", "-c", name], stdout=subprocess.PIPE, check=True).stdout)
        bench.figure(figure, f"WAL segments, zstd -{level}", "times smaller", [len(segments) * SEGMENT / stored], f"zstd -{level}")
