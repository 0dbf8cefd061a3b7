// Draws a table whose rows may be links. Recorded text enters the page as text only, never as markup.
const cellOf = (column, value) => {
  const cell = document.createElement("td");
  if (column.kind === "word") {
    if (value) {
      const word = document.createElement("span");
      word.className = `word ${value[1]}`;
      word.textContent = value[0];
      cell.append(word);
    }
    return cell;
  }
  cell.className = column.kind;
  cell.textContent = value;
  cell.title = value;
  return cell;
};

const rowOf = (columns, row) => {
  const line = document.createElement("tr");
  columns.forEach((column, index) => {
    const cell = cellOf(column, row.cells[index]);
    if (row.href && column.kind === "link") {
      // One link covers the whole row: a click anywhere opens it, and Tab stops once.
      const link = document.createElement("a");
      link.href = row.href;
      link.textContent = cell.textContent;
      cell.replaceChildren(link);
    }
    line.append(cell);
  });
  return line;
};

const headOf = (columns) => {
  const head = document.createElement("tr");
  for (const column of columns) {
    const cell = document.createElement("th");
    cell.className = column.kind;
    cell.textContent = column.label;
    cell.title = column.help;
    if (column.width) cell.style.width = column.width;
    head.append(cell);
  }
  return head;
};

export default function ({ parentElement, data }) {
  let frame = parentElement.querySelector(".frame");
  const shown = JSON.stringify(data);
  if (frame && frame.shown === shown) return;
  if (!frame) {
    // The container is kept when rows change, so that its scroll position is kept too.
    frame = document.createElement("div");
    frame.className = "frame";
    frame.innerHTML = "<table><thead></thead><tbody></tbody></table>";
    parentElement.append(frame);
  }
  frame.shown = shown;
  frame.querySelector("thead").replaceChildren(headOf(data.columns));
  frame.querySelector("tbody").replaceChildren(...data.rows.map((row) => rowOf(data.columns, row)));
}
