"""Stand-ins for modules."""

import sys

import pytest

from m4ser.utils.modules import stand_in


def test_it_is_there_as_long_as_the_block_lasts():
    with stand_in("a_module_that_nobody_has", Wanted=3):
        from a_module_that_nobody_has import Wanted

        assert Wanted == 3
    with pytest.raises(ImportError):
        import a_module_that_nobody_has  # noqa: F401


def test_it_goes_when_an_import_fails():
    with pytest.raises(ZeroDivisionError), stand_in("a_module_that_nobody_has"):
        raise ZeroDivisionError
    assert "a_module_that_nobody_has" not in sys.modules


def test_what_is_imported_stays():
    with stand_in("json", loads=None):
        import json

        assert json.loads("1") == 1
    assert sys.modules["json"] is json
