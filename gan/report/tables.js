// Tables: a click on a heading sorts by it, a second one the other way round.
for (const heading of document.querySelectorAll("table.sortable thead th:not(:first-child)")) {
  const button = document.createElement("button");
  button.className = "sort";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const order = heading.ariaSort === "descending" ? "ascending" : "descending";
    for (const other of heading.parentElement.cells) other.ariaSort = null;
    heading.ariaSort = order;
    const sign = order === "descending" ? -1 : 1;
    const value = (row) => parseFloat(row.cells[heading.cellIndex].dataset.value);
    for (const body of heading.closest("table").tBodies) {
      const rows = [...body.rows].filter((row) => row.cells.length > 1);
      body.append(...rows.sort((a, b) =>
        isNaN(value(a)) - isNaN(value(b)) || sign * (value(a) - value(b)) || 0));
    }
  });
}
