"""`python -m loadtest ORDER.json`, or `--worker --host H --port P`. Brings gevent in, before anything else.

Exit codes: 0 met, 1 not met, 2 bad usage, 3 the target is away or nothing was measured, 4 the load test failed.
"""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import logging  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402

from loadtest.errors import LoadError  # noqa: E402
from loadtest.order import read_order  # noqa: E402
from loadtest.target import Target  # noqa: E402


def main() -> int:
    """Runs what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m loadtest")
    parser.add_argument("order", nargs="?", type=Path)
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--beside", action="store_true", help="the master watches over this process")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5557)
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    if given.worker:
        if given.beside:  # Ctrl-C is the master's to hear
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        from loadtest.worker import run_worker

        return run_worker(given.host, given.port)
    if given.order is None:
        parser.error("name an order, or --worker")
    return run_order(given.order)


def run_order(path: Path) -> int:
    """Plays the order in a file, writes the reports, tells the verdict."""
    try:
        order = read_order(path)
        path.unlink(missing_ok=True)  # it holds the admin token
        with Target(order, "check") as target:
            target.check()
        # Locust takes seconds to import, which a target that cannot be used should not cost.
        from loadtest.report import write_all
        from loadtest.run import LoadTest, say
        from loadtest.summary import summary_of

        test = LoadTest(order, say)
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, test.stop)
        record = test.run()
        outcome = write_all(record, order.out)
    except LoadError as error:
        sys.stderr.write(f"leakdrill: {error}\n")
        return error.exit_code
    sys.stdout.write(summary_of(record, outcome))
    return outcome.verdict.exit_code


if __name__ == "__main__":
    sys.exit(main())
