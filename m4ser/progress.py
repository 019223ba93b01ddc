"""Progress of split jobs: a bar on a terminal, countable lines in a log that the launcher adds up."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
MARK = "@progress"


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yield ``items``; show a tqdm bar on a terminal, else print ``@progress DONE TOTAL`` at most once a second.

    The second form goes to a job's log, from where the launcher sums it over all jobs (:mod:`m4ser.launch`).
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total)
        return
    done, last = 0, 0.0
    for item in items:
        now = time.monotonic()
        if now - last >= 1.0:
            print(f"{MARK} {done} {total or 0}", file=sys.stderr, flush=True)
            last = now
        yield item
        done += 1
    print(f"{MARK} {done} {total or done}", file=sys.stderr, flush=True)
