"""The commands of the stages and of users, one module each.

They import large libraries, whose millions of objects stay to the end. Looking through all of them for garbage at
Python's usual rate, and once more at the end, took four tenths of the time of ``import m4ser.training.task``. The young
objects are looked through as ever.
"""

import atexit
import gc

gc.set_threshold(*gc.get_threshold()[:2], 1000)
atexit.register(gc.freeze)
