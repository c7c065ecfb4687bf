"""The pages in a real browser: no error, nothing cut off or too small, narrow and wide, light and dark; its script."""

import browser
import pytest


@pytest.mark.skipif(browser.BROWSER is None, reason="there is no Chromium to look at the page with")
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1400, False)], ids=["narrow and dark", "wide and light"])
def test_the_pages_in_a_browser(reported, over_tasks, tmp_path, width, dark):
    pages = browser.seen([reported[2], over_tasks[1]], tmp_path, [width], dark)
    for found in pages:
        browser.check(found, width, dark)
    assert "figure-landscape" in pages[0]["figures"]
    assert "figure-profile" in pages[1]["figures"]
