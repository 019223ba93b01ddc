"""Progress of long work: a bar on a terminal, countable lines in a job's log, which the launcher adds up."""

import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
MARK = "@progress"
LAUNCHED = "M4SER_LAUNCHED"  # set by the launchers for their jobs


def track(items: Iterable[Item], what: str, total: int | None = None, start: int = 0) -> Iterator[Item]:
    """Yield ``items``, from number ``start`` on, and show on stderr how far one is.

    On a terminal as a tqdm bar; in a job of a launcher as lines ``@progress DONE TOTAL`` at most once a second, which
    the launcher sums over all jobs (:mod:`m4ser.launch`); else as a plain line every ten seconds.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    items = itertools.islice(items, start, None)
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total, initial=start)
        return
    launched = os.environ.get(LAUNCHED) == "1"
    interval = 1.0 if launched else 10.0
    done = start
    last = -interval if launched else time.monotonic()
    for item in items:
        now = time.monotonic()
        if now - last >= interval:
            line = f"{MARK} {done} {total or 0}" if launched else f"{what}: {done}{f' of {total}' if total else ''}"
            print(line, file=sys.stderr, flush=True)
            last = now
        yield item
        done += 1
    if launched:
        print(f"{MARK} {done} {total or done}", file=sys.stderr, flush=True)
