"use strict";
(() => {
  const body = document.querySelector("tbody");
  const rows = Array.from(body.rows);
  const search = document.querySelector("input");
  const buttons = Array.from(document.querySelectorAll(".counts button"));
  const heads = Array.from(document.querySelectorAll("thead th"));
  let outcome = "";

  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = (outcome && row.dataset.outcome !== outcome) || !words.every((word) => text.includes(word));
    }
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.outcome === outcome));
    }
  };

  for (const button of buttons) {
    button.addEventListener("click", () => {
      outcome = outcome === button.dataset.outcome ? "" : button.dataset.outcome;
      show();
    });
  }
  search.addEventListener("input", show);

  const factor = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
  const value = (text) => {
    const found = /^(-?[\d.,]+(?:e[+-]?\d+)?)(?: (B|kB|MB|GB|TB))?$/.exec(text.trim());
    return found ? parseFloat(found[1].replaceAll(",", "")) * (factor[found[2]] || 1) : NaN;
  };
  const compare = (one, other) => {
    const [x, y] = [value(one), value(other)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return one.localeCompare(other, undefined, { numeric: true });
  };
  heads.forEach((head, at) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const sign = up ? 1 : -1;
      rows.sort((one, other) => sign * compare(one.cells[at].textContent, other.cells[at].textContent));
      body.append(...rows);
    });
  });
  show();
})();
