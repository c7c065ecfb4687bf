"""The page in a real browser: no error, nothing cut off or too small, narrow and wide, light and dark; its script."""

import browser
import pytest


@pytest.mark.skipif(browser.BROWSER is None, reason="there is no Chromium to look at the page with")
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1400, False)], ids=["narrow and dark", "wide and light"])
def test_the_page_in_a_browser(reported, tmp_path, width, dark):
    [found] = browser.seen([reported[2]], tmp_path, [width], dark)
    browser.check(found, width, dark)
