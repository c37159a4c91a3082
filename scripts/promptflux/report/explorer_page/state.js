// What is chosen, as the part of the address after #, so that a link leads to it and Back goes back.

const TEXTS = {
  classifier: study.classifiers[0]?.name ?? "",
  engine: study.engines[0]?.name ?? "",
  q: "",
  low: "0",
  high: "100",
  sort: "study",
  size: matchMedia("(max-width: 600px)").matches ? "104" : "148",
  image: "",
  mode: "slider",
};
const LISTS = [
  ...["verdict", "asked", "seen", "prompt", "variant", "engines"],
  ...["alike", "pattern", "safety", "problem", "compare"],
];
const VIEWS = ["image", "compare"]; // opening one of these is a step of the history

const state = readState();

function readState() {
  const found = new URLSearchParams(location.hash.slice(1));
  const read = { ...TEXTS };
  for (const key of Object.keys(TEXTS)) if (found.has(key)) read[key] = found.get(key);
  for (const key of LISTS) read[key] = new Set(found.getAll(key));
  return read;
}

function hashOf(it) {
  const written = new URLSearchParams();
  for (const [key, usual] of Object.entries(TEXTS)) if (it[key] !== usual) written.set(key, it[key]);
  for (const key of LISTS) for (const value of it[key]) written.append(key, value);
  return `#${written}`;
}

/** Change what is chosen, write it into the address and show it. */
function change(changes) {
  const step = VIEWS.some((key) => key in changes && isOpen(changes[key]) !== isOpen(state[key]));
  Object.assign(state, changes);
  clearTimeout(change.later);
  if (step) history.pushState(null, "", hashOf(state));
  else change.later = setTimeout(() => history.replaceState(null, "", hashOf(state)), 150); // browsers count them
  show();
}

const isOpen = (view) => (view instanceof Set ? view.size === 2 : view !== "");

addEventListener("popstate", () => {
  clearTimeout(change.later);
  Object.assign(state, readState());
  show();
});
