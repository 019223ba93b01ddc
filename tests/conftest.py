"""One thread per process: tiny tensors run up to fifty times slower when two cores share them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
