"use strict";
// Tables: a click on a heading sorts, a word filters. Pictures: a click, Enter or space shows one large. Nothing here is
// needed to read the page.
const value = (row, i) => row.cells[i]?.textContent.trim().replace("−", "-") ?? "";
const compare = (a, b) => {
  const [x, y] = [parseFloat(a), parseFloat(b)];
  if (isNaN(x) || isNaN(y)) return isNaN(x) === isNaN(y) ? a.localeCompare(b) : isNaN(x) ? 1 : -1;
  return x - y;
};
for (const table of document.querySelectorAll("table.sorted")) {
  const body = table.tBodies[0];
  for (const head of table.tHead.querySelectorAll("th")) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      table.querySelectorAll("[aria-sort]").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => down * compare(value(a, head.cellIndex), value(b, head.cellIndex)));
      body.append(...rows);
    });
  }
  if (body.rows.length > 8) {
    const input = Object.assign(document.createElement("input"), { type: "search", placeholder: "Show rows with …" });
    input.setAttribute("aria-label", "Show rows with");
    input.addEventListener("input", () => {
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(input.value.toLowerCase());
    });
    table.before(input);
  }
}
const large = document.createElement("dialog");
large.addEventListener("click", () => large.close());
document.body.append(large);
for (const panel of document.querySelectorAll(".panel")) {
  Object.assign(panel, { tabIndex: 0, title: "Show it large" });
  panel.setAttribute("role", "button");
  const open = () => {
    const close = Object.assign(document.createElement("button"), { textContent: "Close" });
    large.setAttribute("aria-label", panel.getAttribute("aria-label"));
    large.replaceChildren(close, panel.firstElementChild.cloneNode(true));
    large.showModal();
  };
  panel.addEventListener("click", open);
  panel.addEventListener("keydown", event => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
  });
}
