"""Servers, programs, memory and results: what every figure of the benchmark uses. Nothing here judges a time."""
import contextlib
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import threading
import time

from wire import Client, Gone, ServerError

MIB = 1024 * 1024
SEGMENT = 16 * MIB


class Plan:
    """What the environment asks for."""

    def __init__(self):
        def number(name, default):
            return float(os.environ.get(name) or default)

        self.sizes = [float(word) for word in (os.environ.get("BENCH_SIZES") or "1 4 8").split()]
        self.snapshot_gb = number("BENCH_SNAPSHOT_GB", 2)
        self.pairs = int(number("BENCH_PAIRS", 5))
        self.segments = int(number("BENCH_SEGMENTS", 128))
        self.replay_mb = number("BENCH_REPLAY_MB", 500)
        self.seconds = int(number("BENCH_SECONDS", 60))
        self.clients = int(number("BENCH_CLIENTS", 16))
        self.processes = int(number("BENCH_PROCESSES", 2))
        self.stores = (os.environ.get("BENCH_STORES") or "local s3").split()
        self.instant_gb = (os.environ.get("BENCH_INSTANT_GB") or "1 4 16 4+96").split()
        self.instant_mb = [float(word) for word in (os.environ.get("BENCH_INSTANT_MB") or "64 500").split()]
        self.loading_gb = number("BENCH_LOADING_GB", 4)
        self.increment_gb = number("BENCH_INCREMENT_GB", 4.8)
        self.increments_gb = number("BENCH_INCREMENTS_GB", 1.5)
        self.branch_gb = [float(word) for word in (os.environ.get("BENCH_BRANCH_GB") or "1 8").split()]
        self.branch_mb = number("BENCH_BRANCH_MB", 64)
        self.drill_gb = number("BENCH_DRILL_GB", 4)
        self.dump_gb = number("BENCH_DUMP_GB", 4)
        self.idle_branches = int(number("BENCH_IDLE_BRANCHES", 20))
        self.look_gb = [float(word) for word in (os.environ.get("BENCH_LOOK_GB") or "1").split()]
        self.look_mb = number("BENCH_LOOK_MB", 100)
        self.look_rows = number("BENCH_LOOK_ROWS", 5_000_000)
        self.look_table_mb = number("BENCH_LOOK_TABLE_MB", 1024)


class Bench:
    """The directory of this run, its results, and the sampler of memory."""

    def __init__(self, directory, bin_directory, socket_directory):
        self.directory, self.bin, self.sockets = directory, bin_directory, socket_directory
        self.plan = Plan()
        self.results = f"{directory}/results"
        os.makedirs(f"{self.results}/raw", exist_ok=True)
        self.rows = []
        self.memory = Memory(directory)
        self.next_port = 54500

    def neutral(self, text):
        """Raw output without the paths of this machine."""
        for path, name in ((self.bin + "/", ""), (self.directory, "$DIR"), (self.sockets, "$SOCKETS")):
            text = text.replace(path, name)
        return text

    def raw(self, figure, line):
        text = self.neutral(line if isinstance(line, str) else json.dumps(line))
        with open(f"{self.results}/raw/{figure}.txt", "a", encoding="utf-8") as file:
            file.write(text.rstrip("\n") + "\n")

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)

    def figure(self, figure, what, unit, values, command, note=""):
        """One row of the summary from its repetitions."""
        values = [value for value in values if value is not None]
        row = {"figure": figure, "what": what, "unit": unit, "command": self.neutral(command), "note": note,
               "count": len(values), "values": values}
        if values:
            row |= {"median": statistics.median(values), "min": min(values), "max": max(values)}
            self.say(f"{figure}: {what}: {shown(row['median'])} {unit}  ({shown(row['min'])} to {shown(row['max'])}, {len(values)} runs)")
        self.rows.append(row)
        self.raw(figure, row)

    def run(self, figure, command, check=True, env=None, quiet=False):
        """Runs a program, keeps its output; answers (seconds, output)."""
        started = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                              env=None if env is None else os.environ | env, cwd=self.directory)
        seconds = time.monotonic() - started
        if not quiet:
            self.raw(figure, f"$ {' '.join(command)}\n{done.stdout.rstrip()}\n# {seconds:.3f} s, exit status {done.returncode}")
        if check and done.returncode != 0:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}")
        return seconds, done.stdout

    def port(self):
        self.next_port += 1
        return self.next_port


def shown(value):
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def folder_bytes(path, skip=()):
    """Bytes of all files below, sparse ones as their length."""
    total = 0
    for root, directories, files in os.walk(path):
        directories[:] = [name for name in directories if name not in skip]
        for name in files:
            try:
                total += os.lstat(f"{root}/{name}").st_size
            except FileNotFoundError:
                pass
    return total


def in_turn(names, number):
    """Who goes first changes from repetition to repetition, so that a drift of the machine favours nobody."""
    return list(names) if number % 2 == 0 else list(names)[::-1]


def copy_tree(source, target):
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)


@contextlib.contextmanager
def without_base(repository):
    """Snapshots that are taken meanwhile are full ones: what they would be based on is aside. For folders."""
    packs, aside = f"{repository}/packs", f"{repository}.aside"
    os.rename(packs, aside)
    os.mkdir(packs, 0o700)
    try:
        yield
    finally:
        for name in os.listdir(aside):
            os.rename(f"{aside}/{name}", f"{packs}/{name}")
        os.rmdir(aside)


def warm(path):
    """Reads everything once, so that each run of a pair meets the same page cache; then lets writes settle."""
    subprocess.run(f"find {path} -type f -print0 | xargs -0 cat >/dev/null", shell=True, check=False)
    os.sync()


class Server:
    """A scratch server with the extension preloaded, or without."""

    def __init__(self, bench, name, directory=None, preload=True):
        self.bench, self.name, self.preload = bench, name, preload
        self.directory = directory or f"{bench.directory}/{name}/data"
        self.port = bench.port()
        self.log = os.path.dirname(self.directory) + f"/{os.path.basename(self.directory)}.log"

    def initdb(self):
        os.makedirs(os.path.dirname(self.directory), exist_ok=True)
        self.bench.run("setup", ["initdb", "-D", self.directory, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                                 "--data-checksums", "--no-sync"], quiet=True)
        self.configure({
            "listen_addresses": "", "unix_socket_directories": self.bench.sockets, "log_line_prefix": "%m [%p] %b ",
            "shared_buffers": "512MB", "max_wal_size": "32GB", "checkpoint_timeout": "1h", "max_connections": "100",
            "wal_level": "replica", "autovacuum": "off",
        })

    def configure(self, settings):
        """Settings for the next start or reload: a file of our own, included last, each name once."""
        path = f"{self.directory}/bench.conf"
        present = json.load(open(path + ".json", encoding="utf-8")) if os.path.exists(path + ".json") else {}
        present.update(settings)
        json.dump(present, open(path + ".json", "w", encoding="utf-8"))
        with open(path, "w", encoding="utf-8") as file:
            for name, value in present.items():
                file.write(f"{name} = '{value}'\n")
        with open(f"{self.directory}/postgresql.conf", "r+", encoding="utf-8") as file:
            if "bench.conf" not in file.read():
                file.write("include 'bench.conf'\n")

    def start(self, wait=True):
        self.configure({"port": str(self.port), "shared_preload_libraries": "pitr_ext" if self.preload else ""})
        self.bench.run("setup", ["pg_ctl", "-D", self.directory, "-l", self.log, "-t", "300", "-w" if wait else "-W", "start"], quiet=True)
        if wait:
            self.bench.memory.watch(self.pid())

    def stop(self, mode="fast"):
        if os.path.exists(f"{self.directory}/postmaster.pid"):
            self.bench.run("setup", ["pg_ctl", "-D", self.directory, "-m", mode, "-t", "300", "-w", "stop"], check=False, quiet=True)

    def pid(self):
        return int(open(f"{self.directory}/postmaster.pid", encoding="utf-8").readline())

    def reload(self):
        os.kill(self.pid(), 1)

    def connect(self, timeout=None):
        return Client(self.bench.sockets, self.port, timeout)

    def connect_to(self, port):
        """To another server of the same sockets."""
        return Client(self.bench.sockets, port, None)

    def query(self, text):
        client = self.connect()
        try:
            return client.query(text)
        finally:
            client.close()

    def one(self, text):
        rows = self.query(text)
        return rows[0][0] if rows else None

    def record(self, text):
        client = self.connect()
        try:
            return client.record(text)
        finally:
            client.close()

    def pgbench(self, *arguments):
        return ["pgbench", "-n", "-h", self.bench.sockets, "-p", str(self.port), "-U", "postgres", *arguments, "postgres"]

    def ready_segments(self):
        folder = f"{self.directory}/pg_wal/archive_status"
        return [name[:-6] for name in os.listdir(folder) if name.endswith(".ready")]


def wait_until(condition, seconds, what, pause=0.02):
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise RuntimeError(f"still waiting for {what}")
        time.sleep(pause)


def try_query(server, text):
    try:
        return server.query(text)
    except (OSError, Gone, ServerError):
        return None


# -- the product ---------------------------------------------------------------------------------------------------------
class Pitr:
    def __init__(self, bench, server, repository):
        self.bench, self.server, self.repository = bench, server, repository
        os.makedirs(repository, mode=0o700, exist_ok=True)

    def settings(self):
        count = self.bench.plan.processes
        return {"archive_mode": "on", "archive_library": "pitr_ext", "archive_command": "", "pitr.repository": self.repository,
                "pitr.archive_workers": count, "pitr.snapshot_workers": count, "pitr.restore_workers": count}

    def idle(self, seconds=600):
        """The first snapshot, which the server takes by itself, is done, and nothing else runs."""
        def condition():
            rows = try_query(self.server, "select (select count(*) from pitr_snapshots where state like 'ok%') > 0 and not exists "
                                          "(select from pitr_operations where state in ('queued', 'running'))")
            return rows and rows[0][0] == "t" and not self.server.ready_segments()
        wait_until(condition, seconds, "the server's first snapshot", 0.2)


# -- pgBackRest ----------------------------------------------------------------------------------------------------------
class BackRest:
    """pgBackRest with asynchronous archiving, zstd level 3, as many processes as the product uses."""

    def __init__(self, bench, server, directory, repository=None):
        self.bench, self.directory = bench, directory
        for name in ("repository", "spool", "log", "lock"):
            os.makedirs(f"{directory}/{name}", exist_ok=True)
        self.file = f"{directory}/pgbackrest.conf"
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(f"""[global]
{repository or f'repo1-path={directory}/repository'}
repo1-retention-full=9999
spool-path={directory}/spool
log-path={directory}/log
lock-path={directory}/lock
log-level-console=info
log-level-file=off
process-max={bench.plan.processes}
compress-type=zst
compress-level=3
archive-async=y
archive-timeout=600
start-fast=y

[bench]
pg1-path={server.directory}
pg1-socket-path={bench.sockets}
pg1-port={server.port}
pg1-user=postgres
pg1-database=postgres
""")

    def command(self, *arguments):
        return ["pgbackrest", f"--config={self.file}", "--stanza=bench", *arguments]

    def archive_command(self):
        return " ".join(self.command("--log-level-console=error", "archive-push", "%p"))

    def settings(self):
        return {"archive_mode": "on", "archive_library": "", "archive_command": self.archive_command()}

    def version(self):
        return self.bench.run("setup", ["pgbackrest", "version"], quiet=True)[1].strip()


# -- memory --------------------------------------------------------------------------------------------------------------
class Memory:
    """Peak resident size of each kind of process below the watched servers, and of the programs that figures start."""

    def __init__(self, directory):
        self.directory = directory
        self.roots, self.peaks, self.lock = set(), {}, threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def watch(self, pid):
        with self.lock:
            self.roots.add(pid)

    def _run(self):
        while True:
            self._sample()
            time.sleep(0.2)  # a high-water mark does not need to be caught in the act, short-lived programs are many

    def _sample(self):
        parents, found = {}, {}
        for path in glob.glob("/proc/[0-9]*/comm"):
            try:
                if open(path, "rb").read() not in (b"postgres\n", b"pitr\n", b"pgbackrest\n", b"sh\n"):
                    continue
                status = open(path[:-4] + "status", encoding="utf-8").read()
                title = open(path[:-4] + "cmdline", "rb").read().replace(b"\0", b" ").decode(errors="replace").strip()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            values = dict(re.findall(r"^(PPid|VmHWM|RssAnon|Uid):\s+(\d+)", status, re.M))
            if int(values.get("Uid", -1)) != os.getuid():
                continue
            pid = int(path.split("/")[2])
            parents[pid] = int(values["PPid"])
            kind = self._kind(title)
            if kind and not kind.startswith("postgres") and not self._is_ours(path[:-4], title):
                continue
            if kind and "VmHWM" in values:
                found[pid] = (kind, int(values["VmHWM"]), int(values.get("RssAnon", 0)))
        with self.lock:
            for pid, (kind, peak, private) in found.items():
                # Other servers of this user may run on the machine.
                if kind.startswith("postgres") and not self._below(pid, parents):
                    continue
                old = self.peaks.get(kind, (0, 0))
                self.peaks[kind] = (max(old[0], peak), max(old[1], private))

    def _is_ours(self, process, title):
        try:
            return self.directory in title or os.readlink(process + "exe").startswith(self.directory)
        except OSError:
            return False

    def _below(self, pid, parents):
        while pid in parents:
            if pid in self.roots:
                return True
            pid = parents[pid]
        return pid in self.roots

    @staticmethod
    def _kind(title):
        if title.startswith("postgres: "):
            for name in ("pitr launcher", "pitr archive worker", "pitr operation", "archiver"):
                if name in title:
                    return f"postgres: {name}"
            return None
        words = title.split()
        if words and os.path.basename(words[0]) == "pitr" and len(words) > 1:
            return f"pitr {words[1]}"
        if words and os.path.basename(words[0]) == "pgbackrest":
            for word in words[1:]:
                if word.split(":")[0] in ("archive-get", "archive-push", "backup", "restore"):
                    return "pgbackrest " + word.split(":")[0]
        return None


# -- the summary ---------------------------------------------------------------------------------------------------------
def machine(bench):
    memory = re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo", encoding="utf-8").read())
    model = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo", encoding="utf-8").read())
    file_system = subprocess.run(["stat", "-f", "-c", "%T", bench.directory], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    return [
        f"- {os.cpu_count()} processors ({model.group(1).strip() if model else 'unknown'}), {int(memory.group(1)) // MIB} GiB memory, "
        f"Linux {os.uname().release}, {file_system}",
        f"- {bench.run('setup', ['postgres', '--version'], quiet=True)[1].strip()}; pgBackRest: "
        f"{bench.run('setup', ['pgbackrest', 'version'], quiet=True)[1].strip()}; "
        f"{bench.run('setup', ['zstd', '--version'], quiet=True)[1].strip().strip('*').strip()}",
    ]


def write_summary(bench):
    plan = bench.plan
    with open(f"{bench.results}/summary.json", "w", encoding="utf-8") as file:
        json.dump({"rows": bench.rows, "memory_kb": bench.memory.peaks, "plan": vars(plan)}, file, indent=1)
    with open(f"{bench.results}/summary.md", "w", encoding="utf-8") as file:
        file.write(f"# Figures of {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC\n\n")
        file.write("\n".join(machine(bench)) + "\n")
        file.write(f"- {plan.pairs} repetitions, interleaved; {plan.processes} processes each; "
                   f"made by `bench/run` with {json.dumps(vars(plan))}\n\n")
        for name in dict.fromkeys(row["figure"] for row in bench.rows):
            file.write(f"## {name}\n\n| | median | min | max | unit | runs | |\n|---|---:|---:|---:|---|---:|---|\n")
            rows = [row for row in bench.rows if row["figure"] == name]
            for row in rows:
                file.write(f"| {row['what']} | {shown(row.get('median'))} | {shown(row.get('min'))} | {shown(row.get('max'))} | "
                           f"{row['unit']} | {row['count']} | {row['note']} |\n")
            file.write("\nCommands:\n\n")
            for row in rows:
                if row["command"]:
                    file.write(f"- {row['what']}: `{row['command']}`\n")
            file.write("\n")
        if bench.memory.peaks:
            file.write("## memory\n\nHighest VmHWM (shared memory that the process touched counts) and RssAnon (its own), of any process of "
                       "the kind, over the whole run; sampled every 200 ms from `/proc/PID/status`.\n\n| process | VmHWM MiB | RssAnon MiB |\n|---|---:|---:|\n")
            for kind, (peak, private) in sorted(bench.memory.peaks.items()):
                file.write(f"| {kind} | {peak / 1024:.1f} | {private / 1024:.1f} |\n")
