"""Pages in a real browser: what Chromium makes of them, narrow and wide, light and dark."""

from __future__ import annotations

import html
import itertools
import json
import re
import shutil
import subprocess

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
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
  headings: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map(heading => Number(heading.tagName[1])),
  unnamed: [...document.querySelectorAll(".panel, .legend li, .wide")].filter(node => !node.ariaLabel).length,
  figures: [...document.querySelectorAll("figure")].map(figure => figure.id),
  pictures: [...document.querySelectorAll(".panel svg")].map(svg => svg.getBoundingClientRect().height),
}), "*");
}</script></body>"""
# A window of the browser is never narrower than 500 pixels; what stands in a frame takes the frame's width for its own.
FRAME = '<iframe src="page{}.html" style="width: {}px; border: 0"></iframe>'
FRAMES = """<!DOCTYPE html><pre id="seen"></pre>{}
<script>
const frames = [...document.querySelectorAll("iframe")], found = [];
addEventListener("message", e => {{
  found[frames.findIndex(frame => frame.contentWindow === e.source)] = JSON.parse(e.data);
  document.getElementById("seen").textContent = JSON.stringify(found);
}});
</script>"""


def seen(pages, folder, widths, dark):
    """What each page is like in the browser at each width, as LOOK measures it: a list, in the order of the pages."""
    for i, path in enumerate(pages):
        text = path.read_text(encoding="utf-8").replace("<head>", f"<head>{ERRORS}").replace("</body>", LOOK)
        (folder / f"page{i}.html").write_text(text, encoding="utf-8")
    frames = "".join(FRAME.format(i, width) for i in range(len(pages)) for width in widths)
    (folder / "frames.html").write_text(FRAMES.format(frames), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    options += ["--virtual-time-budget=10000", "--window-size=1500,900", "--blink-settings=preferredColorScheme=0"]
    asked = [BROWSER, *options[: 6 + dark], "--dump-dom", (folder / "frames.html").as_uri()]
    out = subprocess.run(asked, capture_output=True, text=True, timeout=100, check=True).stdout
    return json.loads(html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', out, re.DOTALL)[1]))


def check(found, width, dark):
    """Nothing failed, is cut off, too small or without a name; headings descend one by one; the script works."""
    assert found["width"] == width
    assert found["errors"] == []
    assert found["beyond"] <= 0
    assert found["cut"] == []
    assert found["least"] >= 9
    assert min(found["pictures"]) > 100
    assert found["unnamed"] == 0
    assert found["headings"][0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(found["headings"]))
    assert found["paper"] == ("rgb(22, 22, 22)" if dark else "rgb(255, 255, 255)")
    assert found["large"]
    assert found["after"] == sorted(found["before"], reverse=True)
