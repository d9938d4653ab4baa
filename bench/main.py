"""Runs the figures that were asked for and writes the summary; started by bench/run, as an ordinary user."""
import sys
import traceback

from branch import branch
from drain import drain
from drill import drill
from dump import dump
from encryption import encryption
from harness import Bench, write_summary
from idle import idle
from increment import increment
from increments import increments
from instant import instant
from latency import latency
from loading import loading
from look import look
from quiet import quiet
from replay import replay
from restore import restore
from s3 import s3
from snapshot import snapshot
from throughput import throughput

FIGURES = ("drain", "encryption", "snapshot", "increment", "increments", "restore", "outage", "instant", "loading", "replay", "throughput", "latency", "s3", "branch", "idle", "look", "dump", "quiet", "drill")


def main():
    bench = Bench(*sys.argv[1:4])
    wanted = sys.argv[4:] or list(FIGURES)
    unknown = [name for name in wanted if name not in FIGURES]
    if unknown:
        print(f"bench: unknown figure: {' '.join(unknown)}; known are: {' '.join(FIGURES)}", file=sys.stderr)
        return 2
    single = (("drain", drain), ("encryption", encryption), ("snapshot", snapshot), ("increment", increment), ("increments", increments),
              ("instant", instant), ("loading", loading), ("replay", replay), ("throughput", throughput), ("latency", latency), ("s3", s3), ("branch", branch), ("idle", idle), ("look", look), ("dump", dump), ("quiet", quiet), ("drill", drill))
    work = [(name, run) for name, run in single if name in wanted]
    both = [name for name in ("restore", "outage") if name in wanted]
    if both:
        work.append((" ".join(both), lambda bench: restore(bench, both)))
    failed = 0
    for name, run in work:
        bench.say(f"== {name}")
        try:
            run(bench)
        except Exception:   # one figure that cannot be taken must not cost the others
            failed = 1
            bench.raw("failures", f"{name}\n{traceback.format_exc()}")
            print(traceback.format_exc(), file=sys.stderr, flush=True)
        write_summary(bench)
    return failed


sys.exit(main())
