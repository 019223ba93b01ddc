"""The page of an experiment as a browser shows it."""

import pytest

from m4ser.bin import report_html, score

pytestmark = pytest.mark.slow


@pytest.fixture
def page(scoring_lab):
    exp = scoring_lab.system("one", 0.6)
    score.main(["--exp", str(exp), "--data", str(scoring_lab.data), "--resamples", "50"])
    report_html.main([str(exp), "--map", "none"])
    return (exp / "report.html").as_uri()


def test_shown_on_screen_and_phone_without_network(browser, page):
    for width, dark in ((1200, False), (360, True)):
        browser.looks(width, 800, mobile=width < 600, dark=dark)
        browser.open(page)
        assert browser.value("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the screen"
        assert browser.requests() == [page] and browser.complaints() == []
        drawn = browser.value("[...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect().height)")
        assert len(drawn) == 2 and min(drawn) > 100
        # Text of page and drawings stands out from the background.
        shade = "c => c.match(/[0-9.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 765"
        back = browser.value(f"({shade})(getComputedStyle(document.body).backgroundColor)")
        axis = browser.value(f"({shade})(getComputedStyle(document.querySelector('svg text')).fill)")
        assert (back < 0.2 and axis > 0.8) if dark else (back > 0.8 and axis < 0.2)
