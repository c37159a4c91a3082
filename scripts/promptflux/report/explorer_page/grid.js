// The grid: of all rows of images only those that are seen, and some around them, are in the page.

const GAP = 10;
const CAPTION = 42; // pixels under an image
const AROUND = 3; // rows above and below that are ready
const FAST = 4; // rows a frame; files are asked for when it gets slower than that
const layout = { columns: 1, width: 148, height: 200, top: 0 };
const rowsShown = new Map(); // the number of a row -> its element
const rowsFree = [];
let active = 0; // the place in the grid that the keys move
let picked = []; // the names of the images to be compared, two at most

const grid = byId("grid");
const rowsElement = byId("rows");
const rowCount = () => Math.ceil(found.images.length / layout.columns);

function measureGrid() {
  const style = getComputedStyle(grid);
  const room = grid.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const size = Number(state.size);
  layout.columns = Math.max(1, Math.floor((room + GAP) / (size + GAP)));
  layout.width = Math.floor((room - GAP * (layout.columns - 1)) / layout.columns);
  layout.height = layout.width + (size >= 96 ? CAPTION : 0) + GAP;
  grid.classList.toggle("bare", size < 96);
  grid.style.setProperty("--width", `${layout.width}px`);
  grid.style.setProperty("--height", `${layout.height - GAP}px`);
}

/** Show the images anew, for others, another order or another size. */
function showGrid(keepPlace) {
  const first = Math.floor(grid.scrollTop / layout.height) * layout.columns;
  measureGrid();
  for (const row of rowsShown.keys()) freeRow(row);
  for (const row of rowsFree.splice(0)) row.remove();
  active = Math.min(active, Math.max(0, found.images.length - 1));
  rowsElement.style.blockSize = `${Math.max(0, rowCount() * layout.height - GAP)}px`;
  grid.setAttribute("aria-rowcount", rowCount());
  grid.setAttribute("aria-colcount", layout.columns);
  grid.scrollTop = keepPlace ? Math.floor(first / layout.columns) * layout.height : 0;
  layout.top = grid.scrollTop;
  grid.hidden = !found.images.length;
  showRows();
}

function rowsSeen() {
  const first = Math.floor(grid.scrollTop / layout.height);
  const last = Math.ceil((grid.scrollTop + grid.clientHeight) / layout.height);
  return [Math.max(0, first - AROUND), Math.min(rowCount(), last + AROUND)];
}

/** Bring the rows that are seen into the page, and take the others out. */
function showRows() {
  const [first, last] = rowsSeen();
  const fast = Math.abs(grid.scrollTop - layout.top) > FAST * layout.height;
  layout.top = grid.scrollTop;
  for (const row of rowsShown.keys()) if (row < first || row >= last) freeRow(row);
  for (let row = first; row < last; row += 1) if (!rowsShown.has(row)) takeRow(row);
  clearTimeout(showRows.later);
  if (fast) showRows.later = setTimeout(showPictures, 90);
  else showPictures();
  showActive();
}

function freeRow(at) {
  const row = rowsShown.get(at);
  if (row.contains(document.activeElement)) grid.focus({ preventScroll: true });
  row.classList.add("free");
  rowsShown.delete(at);
  rowsFree.push(row);
}

function takeRow(at) {
  const row = rowsFree.pop() ?? makeRow();
  row.classList.remove("free");
  row.style.transform = `translateY(${at * layout.height}px)`;
  row.setAttribute("aria-rowindex", at + 1);
  rowsShown.set(at, row);
  [...row.children].forEach((cell, column) => fillCell(cell, at * layout.columns + column));
}

function makeRow() {
  const cells = Array.from({ length: layout.columns }, (_, column) => {
    const cell = make("div", { role: "gridcell", class: "cell", tabindex: -1, "aria-colindex": column + 1 }, [
      make("img", { alt: "", decoding: "async", draggable: "false" }),
      make("span", { class: "sign", "aria-hidden": "true" }),
      make("span", { class: "answer" }, [
        said("span", "", { class: "label" }),
        make("span", { class: "number" }),
      ]),
      said("span", "", { class: "name" }),
      make("span", { class: "pick", "aria-hidden": "true", title: "Mark it to compare (Space)" }),
    ]);
    return cell;
  });
  const row = make("div", { role: "row", class: "row" }, cells);
  rowsElement.append(row);
  return row;
}

/** Write into a cell what is said of the image at a place; its picture follows in `showPictures`. */
function fillCell(cell, place) {
  const image = found.images[place];
  cell.hidden = image === undefined;
  cell.place = place;
  cell.image = image;
  const [picture, sign, answer, name] = cell.children;
  picture.onload = null;
  picture.onerror = null;
  picture.removeAttribute("src");
  picture.className = "";
  cell.waiting = image !== undefined;
  if (image === undefined) return;
  const facts = factsOf(image);
  cell.className = `cell ${facts.verdict.replace(" ", "-")}${facts.warnings.length ? " marked" : ""}`;
  sign.textContent = facts.sign;
  answer.firstChild.textContent = facts.label;
  answer.lastChild.textContent = facts.share;
  name.textContent = facts.name;
  cell.title = [facts.name, promptOf(image)?.text.slice(0, 300) ?? "", ...facts.warnings].join("\n");
  cell.setAttribute("aria-label", facts.sentence);
  cell.setAttribute("aria-selected", String(picked.includes(facts.name)));
}

function factsOf(image) {
  const name = nameOf(image);
  const warnings = warningsOf(image);
  const facts = { name, verdict: "not asked", sign: "", label: "", share: "", sentence: name, warnings };
  if (study.classifiers.length) {
    const { seen, confidence } = answers();
    facts.verdict = verdictOf(image, chosenClassifier(), chosenEngine());
    facts.sign = { right: "✓", wrong: "✗" }[facts.verdict] ?? "";
    facts.label = classifierNow().labels[seen[image]];
    facts.share = percent(confidence[image]);
    facts.sentence += `: ${facts.label} ${facts.share}${facts.sign && `, ${facts.verdict}`}`;
  }
  if (!warnings.length) return facts;
  facts.sign = "!";
  facts.sentence += `. ${warnings.join(" ")}`;
  return facts;
}

function showPictures() {
  for (const row of rowsShown.values()) {
    for (const cell of row.children) {
      if (!cell.waiting) continue;
      cell.waiting = false;
      showFile(cell.firstChild, smallSourcesOf(cell.image), () => cell.classList.add("gone"));
    }
  }
}

const cellAt = (place) =>
  rowsShown.get(Math.floor(place / layout.columns))?.children[place % layout.columns] ?? null;

/** One cell can be reached by Tab: the active one, or the first if that is not in the page. */
function showActive() {
  const wanted = cellAt(active) ?? rowsShown.get(Math.min(...rowsShown.keys()))?.firstChild;
  for (const cell of rowsElement.querySelectorAll('[tabindex="0"]')) if (cell !== wanted) cell.tabIndex = -1;
  if (wanted) wanted.tabIndex = 0;
}

function moveTo(place) {
  active = Math.max(0, Math.min(found.images.length - 1, place));
  const top = Math.floor(active / layout.columns) * layout.height;
  const bottom = top + layout.height;
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (bottom > grid.scrollTop + grid.clientHeight) grid.scrollTop = bottom - grid.clientHeight;
  showRows();
  cellAt(active)?.focus({ preventScroll: true });
}

function gridKey(event) {
  const page = Math.max(1, Math.floor(grid.clientHeight / layout.height)) * layout.columns;
  const moves = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -layout.columns,
    ArrowDown: layout.columns,
    PageUp: -page,
    PageDown: page,
    Home: -Infinity,
    End: Infinity,
  };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in moves) {
    const place = active + moves[event.key];
    // Up and down stay in their column.
    const stays = Math.abs(moves[event.key]) >= layout.columns && Number.isFinite(place);
    moveTo(stays && (place < 0 || place >= found.images.length) ? active : place);
  } else if (event.key === "Enter") openImage(found.images[active]);
  else if (event.key === " ") pick(found.images[active]);
  else return;
  event.preventDefault();
}

/** Mark an image to be compared, or no more; of three the oldest is let go. */
function pick(image) {
  const name = nameOf(image);
  const names = new Set(picked);
  if (!names.delete(name)) names.add(name);
  picked = [...names].slice(-2);
  showPicked();
}

function showPicked() {
  for (const row of rowsShown.values()) {
    for (const cell of row.children) {
      if (cell.image !== undefined)
        cell.setAttribute("aria-selected", String(picked.includes(nameOf(cell.image))));
    }
  }
  const tray = byId("tray");
  tray.hidden = !picked.length;
  const pictures = picked.map((name) => {
    const image = imageNamed(name);
    const away = button("", () => pick(image), {
      class: "small-picture",
      "aria-label": `Compare without ${name}`,
    });
    away.append(pictureOf(image, smallSourcesOf(image), ""), said("span", name));
    return away;
  });
  const compare = button("Compare", () => openCompare(...picked), { class: "main" });
  compare.disabled = picked.length < 2;
  const hint = picked.length < 2 ? make("span", { class: "quiet", text: "Mark one more to compare" }) : null;
  tray.replaceChildren(...[...pictures, hint, compare].filter(Boolean));
}

function startGrid() {
  grid.addEventListener(
    "scroll",
    () => {
      if (!layout.asked) {
        layout.asked = requestAnimationFrame(() => {
          layout.asked = 0;
          showRows();
        });
      }
    },
    { passive: true },
  );
  grid.addEventListener("keydown", gridKey);
  grid.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    active = cell.place;
    if (event.target.classList.contains("pick") || event.shiftKey) pick(cell.image);
    else openImage(cell.image);
  });
  new ResizeObserver(() => {
    if (grid.clientWidth !== layout.seen) showGrid(true);
    else showRows();
    layout.seen = grid.clientWidth;
  }).observe(grid);
}
