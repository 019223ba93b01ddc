"""Numbers as they are printed."""

from m4ser.scoring import tables


def test_numbers():
    assert tables.percent(0.7234) == "72.34" and tables.percent(None) == "–"
    assert tables.plus_minus(0.5, 0.0123) == "50.00 ± 1.23"
    assert tables.plus_minus(0.5, None) == "50.00"
    assert tables.interval((0.1, 0.25)) == "[10.00, 25.00]"
    assert [tables.signed(value) for value in (0.012, -0.003, 0.00001, -0.00001)] == ["+1.20", "-0.30", "0.00", "0.00"]
    assert [tables.p_value(p) for p in (0.0004, 0.001, 0.0512, 1)] == ["< 0.001", "0.001", "0.051", "1.000"]
    assert tables.count(1, "seed") == "1 seed" and tables.count(3, "seed") == "3 seeds"


def test_table():
    assert tables.table(["a", "b"], [["x|y", 1]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n"
