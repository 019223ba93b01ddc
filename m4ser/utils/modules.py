"""Imports that other people's packages make without need."""

import contextlib
import importlib.machinery
import sys
import types
from collections.abc import Iterator


@contextlib.contextmanager
def stand_in(name: str, **attributes: object) -> Iterator[None]:
    """While this lasts, importing the module ``name`` gives an empty one with ``attributes``.

    Whoever imports it afterwards gets the real one. If that has been imported before, nothing changes.
    """
    if name in sys.modules:
        yield
        return
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(attributes)
    sys.modules[name] = module
    try:
        yield
    finally:
        if sys.modules.get(name) is module:
            del sys.modules[name]
