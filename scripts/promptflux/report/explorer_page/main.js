// All of it together.

let found = { images: [], counts: {}, histogram: [] };
const shown = { matching: null, size: null, engine: null };

/** Show what is chosen. */
function show() {
  const views = { image: "", compare: new Set(), mode: "", size: "" };
  const matchingNow = hashOf({ ...state, ...views });
  if (matchingNow !== shown.matching) {
    const first = shown.matching === null;
    shown.matching = matchingNow;
    found = matching();
    byId("search").value = state.q;
    byId("sort").value = state.sort in ORDERS ? state.sort : TEXTS.sort;
    byId("none").textContent = "No image matches. Take a filter away, or look for other words.";
    byId("none").hidden = found.images.length > 0;
    showSummary();
    showFilters();
    if (!first) active = 0;
    showGrid(false);
  } else if (state.size !== shown.size) showGrid(true);
  shown.size = state.size;
  byId("size").value = state.size;
  showCompare();
  showImage();
  showPicked();
}

function showSummary() {
  const all =
    found.images.length === COUNT
      ? counted(COUNT, "image")
      : `${number(found.images.length)} of ${counted(COUNT, "image")}`;
  const left = study.total - COUNT;
  byId("summary").textContent = left
    ? `${all}; ${number(left)} more of this study are not in this page`
    : all;
}

function makeSort() {
  const there = Object.entries(ORDERS).filter(
    ([, order]) => (!order.ofAnswers || study.classifiers.length) && (order.there?.() ?? true),
  );
  byId("sort").append(...there.map(([value, order]) => make("option", { value, text: order.title })));
  byId("sort").addEventListener("change", (event) => change({ sort: event.target.value }));
}

const KEYS = {
  "/": "search",
  "← ↑ ↓ →": "from image to image; in full or compared: to the one before or the next",
  Enter: "show the image in full",
  Space: "mark the image; two marked ones can be compared",
  c: "compare the marked ones",
  "v, V": "in full: the same image in the next variant, in the one before",
  "1, 2, 3": "compared: slider, side by side, difference",
  Esc: "close",
  "?": "these keys",
};

function makeKeys() {
  const rows = Object.entries(KEYS).flatMap(([key, text]) => [
    make("dt", {}, [make("kbd", { text: key })]),
    make("dd", { text }),
  ]);
  byId("keys").append(
    make("h2", { id: "keys-title", text: "Keys" }),
    make("dl", {}, rows),
    button("Close", () => byId("keys").close(), { class: "main" }),
  );
}

function pageKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox], [type=range]), select, textarea")) return;
  if (byId("keys").open) return;
  if (byId("compare").open) {
    const mode = Object.keys(MODES)[Number(event.key) - 1];
    if (mode) change({ mode });
    else compareKey(event);
  } else if (byId("image").open) imageKey(event);
  else if (event.key === "/") {
    byId("search").focus();
    event.preventDefault();
  } else if (event.key === "c") openCompare(...picked);
  else if (event.key === "?") byId("keys").showModal();
}

function start() {
  byId("title").textContent = study.title;
  makeSort();
  makeFilters();
  makeKeys();
  startGrid();
  byId("search").addEventListener("input", (event) => change({ q: event.target.value }));
  byId("size").addEventListener("input", (event) => change({ size: event.target.value }));
  byId("filters-button").addEventListener("click", () =>
    openFilters(!document.body.classList.contains("filtering")),
  );
  byId("variants-button").hidden = !hasVariants;
  byId("variants-button").addEventListener("click", compareVariants);
  byId("keys-button").addEventListener("click", () => byId("keys").showModal());
  for (const [id, close] of [
    ["image", closeDialogs],
    ["compare", closeCompare],
  ]) {
    byId(id).addEventListener("cancel", (event) => {
      event.preventDefault();
      close();
    });
    // A browser closes it by a second Esc, whatever the page does with the first.
    byId(id).addEventListener("close", () => {
      if (id === "compare" ? isOpen(state.compare) : state.image !== "" && !isOpen(state.compare)) close();
    });
  }
  addEventListener("keydown", pageKey);
  byId("app").hidden = false;
  show();
}

start();
