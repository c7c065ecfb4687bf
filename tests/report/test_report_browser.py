"""The page in a real browser: no error, nothing cut off or too small, narrow and wide, light and dark; its script."""

import html
import json
import re
import shutil
import subprocess

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium to look at the page with")
ERRORS = "<script>window.errors = []; addEventListener('error', e => errors.push(e.message));</script>"
LOOK = """<script>{
const scale = node => node.ownerSVGElement ? Math.hypot(node.getScreenCTM().a, node.getScreenCTM().b) : 1;
const shown = [...document.querySelectorAll("body *")].filter(node => node.checkVisibility() &&
  [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()));
const sizes = shown.map(node => parseFloat(getComputedStyle(node).fontSize) * scale(node));
const cut = [...document.querySelectorAll(".panel svg, .legend svg")].filter(svg => {
  const room = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].some(text => {
    const box = text.getBoundingClientRect();
    return box.left < room.left - 2 || box.right > room.right + 2;
  });
});
const [panel] = document.querySelectorAll(".panel"), table = document.querySelector("table.sorted");
panel.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
const large = document.querySelector("dialog[open] svg") !== null;
document.querySelector("dialog").close();
const column = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent);
const before = column();
table.querySelector("th button").click();
table.querySelector("th button").click();
parent.postMessage(JSON.stringify({
  errors, large, before, after: column(), least: Math.min(...sizes), cut: cut.map(svg => svg.textContent.trim()),
  beyond: document.documentElement.scrollWidth - document.documentElement.clientWidth, width: innerWidth,
  paper: getComputedStyle(document.body).backgroundColor,
  figures: [...document.querySelectorAll("figure")].map(figure => figure.id),
  pictures: [...document.querySelectorAll(".panel svg")].map(svg => svg.getBoundingClientRect().height),
}), "*");
}</script></body>"""
# A window of the browser is never narrower than 500 pixels; what stands in a frame takes the frame's width for its own.
FRAME = """<!DOCTYPE html><pre id="seen"></pre><iframe src="page.html" style="width: {width}px; border: 0"></iframe>
<script>addEventListener("message", e => document.getElementById("seen").textContent = e.data)</script>"""


def seen(path, folder, width, dark):
    """What a page is like in the browser, as LOOK measures it."""
    text = path.read_text(encoding="utf-8").replace("<head>", f"<head>{ERRORS}").replace("</body>", LOOK)
    (folder / "page.html").write_text(text, encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    options += ["--virtual-time-budget=10000", "--window-size=1500,900", "--blink-settings=preferredColorScheme=0"]
    asked = [BROWSER, *options[: 6 + dark], "--dump-dom", (folder / "frame.html").as_uri()]
    found = subprocess.run(asked, capture_output=True, text=True, timeout=100, check=True).stdout
    return json.loads(html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', found, re.DOTALL)[1]))


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1400, False)], ids=["narrow and dark", "wide and light"])
def test_the_page_in_a_browser(reported, tmp_path, width, dark):
    found = seen(reported[2], tmp_path, width, dark)
    assert found["width"] == width
    assert found["errors"] == []
    assert found["beyond"] <= 0
    assert found["cut"] == []
    assert found["least"] >= 9
    assert min(found["pictures"]) > 100
    assert "figure-landscape" in found["figures"]
    assert found["paper"] == ("rgb(22, 22, 22)" if dark else "rgb(255, 255, 255)")
    assert found["large"]
    assert found["after"] == sorted(found["before"], reverse=True)
