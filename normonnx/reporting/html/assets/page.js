"use strict";
(() => {
  const CHUNK = 80;
  const PRINTED = 300;
  const SHORT = 30;
  const number = new Intl.NumberFormat("en-US");

  const make = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  };

  // An error, as everywhere in normonnx: two digits that count.
  const shown = (cell) => {
    if (cell === null) return "–";
    if (typeof cell !== "number") return cell;
    const size = Math.abs(cell);
    if (cell === 0 || Number.isInteger(cell)) return number.format(cell);
    if (size >= 10000 || size < 0.01) return cell.toExponential(1).replace(/e([+-])(\d)$/, "e$10$2");
    if (size >= 10) return number.format(Math.round(cell));
    return size < 1 ? String(Number(cell.toPrecision(2))) : cell.toFixed(1);
  };

  const order = (cell) => {
    if (cell === "inf") return Infinity;
    if (cell === "-inf") return -Infinity;
    return cell;
  };

  const compare = (one, other) => {
    const [a, b] = [order(one), order(other)];
    if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
  };

  class Listing {
    constructor(place) {
      const found = JSON.parse(place.querySelector("script").textContent);
      Object.assign(this, { place, noun: found.noun, columns: found.columns, rows: found.rows });
      this.visible = this.columns.flatMap((column, index) => (column.folded ? [] : [index]));
      this.folded = this.columns.flatMap((column, index) => (column.folded ? [index] : []));
      this.text = this.rows.map((row) =>
        row.filter((cell) => typeof cell === "string").join("\n").toLowerCase());
      this.chosen = new Map();
      this.sorted = { column: null, down: false };
      this.build();
      this.filter();
    }

    build() {
      const id = this.place.id;
      this.search = make("input", { type: "search", id: `${id}-search`, autocomplete: "off", spellcheck: "false" });
      this.search.addEventListener("input", () => this.filter());
      const tools = make("div", { class: "tools", role: "search" },
        make("label", { class: "search", for: `${id}-search` }, `Search ${this.noun}s`, this.search));
      this.columns.forEach((column, index) => {
        if (column.choice) tools.append(this.selector(column, index));
      });
      this.count = make("p", { class: "count", role: "status" });
      this.head = make("tr");
      for (const index of this.visible) this.head.append(this.heading(index));
      this.body = make("tbody");
      this.end = make("div");
      this.scroller = make("div", { class: "rows", tabindex: "0", role: "region", "aria-label": `${this.noun}s` },
        make("table", {}, make("thead", {}, this.head), this.body), this.end);
      this.place.replaceChildren(tools, this.count, this.scroller);
      new IntersectionObserver((entries) => {
        if (entries.some((entry) => entry.isIntersecting)) this.grow(CHUNK);
      }, { root: this.scroller, rootMargin: "400px" }).observe(this.end);
    }

    selector(column, index) {
      const counts = new Map();
      for (const row of this.rows) counts.set(row[index], (counts.get(row[index]) || 0) + 1);
      const id = `${this.place.id}-choice-${index}`;
      const select = make("select", { id }, make("option", { value: "" }, "all"));
      const values = [...counts].sort((one, other) => other[1] - one[1]);
      values.forEach(([value, count], place) => {
        select.append(make("option", { value: String(place + 1) }, `${shown(value)} (${number.format(count)})`));
      });
      select.addEventListener("change", () => {
        if (select.value === "") this.chosen.delete(index);
        else this.chosen.set(index, values[Number(select.value) - 1][0]);
        this.filter();
      });
      return make("label", { for: id }, column.title, select);
    }

    heading(index) {
      const column = this.columns[index];
      const button = make("button", { type: "button" }, column.title);
      const cell = make("th", { scope: "col", class: column.numeric ? "number" : null, "aria-sort": "none" }, button);
      button.addEventListener("click", () => {
        const again = this.sorted.column === index;
        this.sorted = { column: index, down: again ? !this.sorted.down : column.numeric };
        for (const [place, other] of [...this.head.children].entries()) {
          const own = this.visible[place] === index;
          other.setAttribute("aria-sort", own ? (this.sorted.down ? "descending" : "ascending") : "none");
          const title = this.columns[this.visible[place]].title;
          other.firstChild.textContent = own ? `${title} ${this.sorted.down ? "↓" : "↑"}` : title;
        }
        this.filter();
      });
      return cell;
    }

    filter() {
      const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kept = [];
      for (let index = 0; index < this.rows.length; index += 1) {
        const row = this.rows[index];
        if (!words.every((word) => this.text[index].includes(word))) continue;
        let fits = true;
        for (const [column, value] of this.chosen) if (row[column] !== value) fits = false;
        if (fits) kept.push(index);
      }
      const { column, down } = this.sorted;
      if (column !== null) {
        kept.sort((one, other) => {
          const found = compare(this.rows[one][column], this.rows[other][column]);
          return down ? -found : found;
        });
      }
      this.kept = kept;
      this.drawn = 0;
      this.body.replaceChildren();
      this.scroller.scrollTop = 0;
      this.grow(CHUNK);
      this.say();
    }

    say(printed) {
      const all = `${number.format(this.rows.length)} ${this.noun}${this.rows.length === 1 ? "" : "s"}`;
      const some = this.kept.length === this.rows.length ? all : `${number.format(this.kept.length)} of ${all}`;
      this.count.textContent = printed ? `${some}; the first ${number.format(printed)} are printed` : some;
    }

    grow(by) {
      const rows = document.createDocumentFragment();
      for (const index of this.kept.slice(this.drawn, this.drawn + by)) rows.append(this.row(index));
      this.drawn = Math.min(this.kept.length, this.drawn + by);
      this.body.append(rows);
    }

    row(index) {
      const row = make("tr", { class: "row" });
      this.visible.forEach((column, place) => {
        const text = shown(this.rows[index][column]);
        const kind = this.columns[column].numeric ? "number" : String(text).length <= SHORT ? "short" : null;
        const opener = place === 0 && this.folded.length > 0;
        const button = opener && make("button", { type: "button", class: "open", "aria-expanded": "false" }, text);
        row.append(make("td", { class: kind }, button || text));
      });
      if (this.folded.length > 0) row.addEventListener("click", () => this.toggle(row, index));
      return row;
    }

    toggle(row, index) {
      if (String(getSelection())) return;
      const button = row.querySelector(".open");
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) {
        row.nextSibling.remove();
        return;
      }
      const list = make("dl");
      for (const column of this.folded) {
        const cell = this.rows[index][column];
        if (cell === null || cell === "") continue;
        list.append(make("div", {}, make("dt", {}, this.columns[column].title), make("dd", {}, shown(cell))));
      }
      row.after(make("tr", { class: "more" }, make("td", { colspan: String(this.visible.length) }, list)));
    }

    print() {
      this.grow(Math.max(0, PRINTED - this.drawn));
      while (this.body.children.length > PRINTED) this.body.lastChild.remove();
      this.say(this.kept.length > PRINTED ? PRINTED : 0);
    }
  }

  const listings = [...document.querySelectorAll(".listing")].map((place) => new Listing(place));
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = true;
    for (const listing of listings) listing.print();
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
    for (const listing of listings) listing.filter();
  });
  const follow = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target && target.closest("details");
    if (details) details.open = true;
  };
  addEventListener("hashchange", follow);
  follow();
})();
