"use strict";
// Search, sort and page through the rows that stand as JSON beside each table. Nothing is loaded from anywhere.
(function () {
  const PAGE = 25;
  const compare = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;

  function shown(text, kind) {
    if (kind === "text" || text === "") return text;
    const parts = kind === "int" ? text.replace(/\B(?=(\d{3})+(?!\d))/g, ",") : text;
    return parts.replace(/-/g, "\u2212");
  }

  function start(section) {
    const data = JSON.parse(section.querySelector("script[type='application/json']").textContent);
    const body = section.querySelector("tbody");
    const [previous, next] = section.querySelectorAll(".pager button");
    const where = section.querySelector(".pager [aria-live]");
    const search = section.querySelector("input[type='search']");
    const group = section.querySelector("select");
    const only = section.querySelector("input[type='checkbox']");
    const headings = [...section.querySelectorAll("thead th")];
    const texts = data.rows.map((row) => row.filter((_, i) => data.columns[i].kind === "text").join(" ").toLowerCase());
    const all = data.rows.map((_, i) => i);
    let order = all, found = all, page = 0;

    function sortBy(column, down) {
      const kind = data.columns[column].kind;
      const numbers = kind === "text" ? null : data.rows.map((row) => (row[column] === "" ? NaN : Number(row[column])));
      order = [...all].sort((a, b) => {
        if (numbers === null) return (down ? -1 : 1) * compare(data.rows[a][column], data.rows[b][column]) || a - b;
        const x = numbers[a], y = numbers[b];
        // What is missing comes last in either direction.
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
        return (x === y ? 0 : (x < y ? -1 : 1) * (down ? -1 : 1)) || a - b;
      });
      headings.forEach((heading, i) => {
        if (i === column) heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        else heading.removeAttribute("aria-sort");
      });
      filter();
    }

    function filter() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const name = group ? group.value : "";
      found = order.filter(
        (i) => words.every((word) => texts[i].includes(word)) && (name === "" || data.rows[i][0] === name)
          && !(only && only.checked && i >= data.called));
      page = 0;
      draw();
    }

    function draw() {
      const first = page * PAGE, part = found.slice(first, first + PAGE);
      const rows = part.map((i) => {
        const row = document.createElement("tr");
        if (i < data.called) row.className = "called";
        data.columns.forEach((column, c) => {
          const cell = row.insertCell();
          cell.textContent = shown(data.rows[i][c], column.kind);
          cell.className = column.cell;
          // Cut off where it is too long.
          if (column.cell === "cut") cell.title = data.rows[i][c];
        });
        return row;
      });
      if (!rows.length) {
        const row = document.createElement("tr"), cell = row.insertCell();
        cell.colSpan = data.columns.length;
        cell.textContent = "No row matches.";
        rows.push(row);
      }
      body.replaceChildren(...rows);
      const number = (n) => n.toLocaleString("en");
      where.textContent = found.length
        ? `rows ${number(first + 1)} to ${number(first + part.length)} of ${number(found.length)}` : "no rows";
      previous.disabled = page === 0;
      next.disabled = first + PAGE >= found.length;
    }

    headings.forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => {
        const kind = data.columns[column].kind, now = heading.getAttribute("aria-sort");
        // Names, p-values and rates are looked for from the small end, effects from the large one.
        const downFirst = kind === "num" || kind === "int";
        sortBy(column, now === null ? downFirst : now === "ascending");
      });
    });
    search.addEventListener("input", filter);
    if (group) group.addEventListener("change", filter);
    if (only) only.addEventListener("change", filter);
    previous.addEventListener("click", () => { page -= 1; draw(); });
    next.addEventListener("click", () => { page += 1; draw(); });
    section.querySelectorAll("[data-script]").forEach((part) => { part.hidden = false; });
    section.querySelectorAll("[data-plain]").forEach((part) => { part.hidden = true; });
    draw();
  }

  document.querySelectorAll("[data-table]").forEach(start);
})();
