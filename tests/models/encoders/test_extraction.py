import pytest

from m4ser.models.encoders.extraction import choose_layers
from m4ser.utils.errors import UserError


@pytest.mark.parametrize(
    ("text", "layers"), [("all", [0, 1, 2]), ("0", [0]), ("2,0", [0, 2]), ("1 -1", [1, 2]), ("1 -2", [1])]
)
def test_choose_layers(text, layers):
    assert choose_layers(text, 3) == layers


@pytest.mark.parametrize("text", ["3", "-4", "x", "0,3", "0.5"])
def test_layers_that_are_not_there(text):
    with pytest.raises(UserError, match=f"--layers {text}: must be all or numbers from 0 to 2"):
        choose_layers(text, 3)
