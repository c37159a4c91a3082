// Which images match, how many would with another choice, and the form that chooses.

const MOST_CHOICES = 200; // of a filter, in its list; the others are found by their names
const LONG = 8; // choices from which on a list can be searched
const BINS = 20;
const ASCII = new Intl.Collator("en", { numeric: true });

const chosenClassifier = () =>
  Math.max(
    0,
    study.classifiers.findIndex((it) => it.name === state.classifier),
  );
const chosenEngine = () =>
  Math.max(
    0,
    study.engines.findIndex((it) => it.name === state.engine),
  );
const answers = () => (study.classifiers.length ? answersOf(chosenClassifier(), chosenEngine()) : null);
const classifierNow = () => study.classifiers[chosenClassifier()];

const OWN = "(own images)";

// A filter. values: what it tells apart; of: an image -> a place in these. A flag is one box for its second value.
const ALL_FILTERS = [
  {
    key: "verdict",
    title: "Answer",
    values: () => ["right", "wrong", "not asked"],
    of: () => {
      const classifier = classifierNow();
      const { seen } = answers();
      return (image) => {
        const asked = askedOf(image, classifier);
        if (asked < 0) return 2;
        return asked === seen[image] ? 0 : 1;
      };
    },
    ofAnswers: true,
  },
  {
    key: "asked",
    title: "Label asked",
    values: () => [...study.no_truth, ...classifierNow().labels],
    of: () => {
      const { asked } = classifierNow();
      return (image) => asked[image];
    },
    ofAnswers: true,
  },
  {
    key: "seen",
    title: "Label seen",
    values: () => classifierNow().labels,
    of: () => {
      const { seen } = answers();
      return (image) => seen[image];
    },
    ofAnswers: true,
  },
  {
    key: "engines",
    title: "Engines",
    values: () => ["agree", "differ"],
    of: () => {
      const differ = enginesDiffer();
      return (image) => Number(differ(image));
    },
    ofAnswers: true,
    there: () => study.engines.length > 1,
  },
  {
    key: "variant",
    title: study.axes === "variant" ? "Variant" : `Variant: ${study.axes}`,
    values: () => [OWN, ...study.variants.map((variant) => variant.name)],
    labels: () => [OWN, ...study.variants.map((variant) => variant.label)],
    of: () => (image) => columns.variant[image],
    there: () => hasVariants,
  },
  {
    key: "prompt",
    title: "Prompt",
    values: () => [OWN, ...study.prompts.map((prompt) => prompt.name)],
    of: () => (image) => columns.prompt[image],
    hints: () => ["", ...study.prompts.map((prompt) => prompt.text.slice(0, 300))],
    there: () => study.prompts.length > 0,
  },
  {
    key: "alike",
    title: "Nearly the same as another",
    values: () => ["no", "yes"],
    of: () => {
      const alike = alikeOf(classifierNow(), "duplicates");
      return (image) => Number(alike.has(image));
    },
    flag: true,
    ofAnswers: true,
    there: () => study.classifiers.some((it) => it.alike.duplicates),
  },
  {
    key: "pattern",
    title: "A test pattern stands in",
    values: () => ["no", "yes"],
    of: () => (image) => Number(columns.problem[image] > 0),
    flag: true,
  },
  {
    key: "safety",
    title: "Blacked out by the safety checker",
    values: () => ["no", "yes"],
    of: () => (image) => Number(Boolean(study.images.marks[columns.mark[image]]?.safety)),
    flag: true,
  },
  {
    key: "problem",
    title: "No picture of its prompt",
    values: () => ["no", "yes"],
    of: () => (image) => Number(Boolean(study.images.marks[columns.mark[image]]?.problem)),
    flag: true,
  },
];
const FILTERS = ALL_FILTERS.filter(
  (filter) => (!filter.ofAnswers || study.classifiers.length > 0) && (filter.there?.() ?? true),
);
FILTERS.forEach((filter, place) => (filter.bit = 4 << place));
const [BIT_TEXT, BIT_CONFIDENCE] = [1, 2];

/** Whether the engines see other labels in an image, or differ in a probability by more than rounding. */
function enginesDiffer() {
  const { difference } = classifierNow();
  const seen = study.engines.map((_, engine) => answersOf(chosenClassifier(), engine).seen);
  return (image) =>
    difference[image] > study.tolerance || seen.some((labels) => labels[image] !== seen[0][image]);
}

// Search: every word must be in the prompt's texts or in the image's name.

const folded = (text) => text.normalize("NFKC").toLowerCase();
const textsOfPrompts = study.prompts.map((prompt) =>
  folded([prompt.name, prompt.text, prompt.negative ?? "", prompt.template ?? ""].join("\n")),
);

function textMatcher(query) {
  const words = folded(query).split(/\s+/).filter(Boolean);
  const inPrompt = textsOfPrompts.map((text) => words.map((word) => text.includes(word)));
  return (image) => {
    const known = isOwn(image) ? null : inPrompt[columns.prompt[image] - 1];
    if (known?.every(Boolean)) return true;
    const name = folded(nameOf(image));
    return words.every((word, place) => known?.[place] || name.includes(word));
  };
}

const shares = () => [Number(state.low) / 100, Number(state.high) / 100];
const binOf = (confidence) => Math.min(BINS - 1, Math.floor(confidence * BINS));

/** The images that match, in their order, and for each filter how many match by all others and have each value. */
function matching() {
  const tests = FILTERS.map((filter) => {
    const values = filter.values();
    const wanted = Uint8Array.from(values, (value) => Number(state[filter.key].has(value)));
    const place = filter.of();
    const any = wanted.some(Boolean);
    return { bit: filter.bit, wanted, place, any, counts: new Uint32Array(values.length) };
  });
  const text = state.q.trim() ? textMatcher(state.q) : null;
  const [low, high] = shares();
  const confidence = answers()?.confidence;
  const histogram = new Uint32Array(BINS);
  const found = [];
  for (let image = 0; image < COUNT; image += 1) {
    let failed = text && !text(image) ? BIT_TEXT : 0;
    if (confidence && (confidence[image] < low || confidence[image] > high)) failed |= BIT_CONFIDENCE;
    for (const test of tests) {
      test.now = test.place(image);
      if (test.any && !test.wanted[test.now]) failed |= test.bit;
    }
    if (!failed) found.push(image);
    for (const test of tests) if ((failed | test.bit) === test.bit) test.counts[test.now] += 1;
    if (confidence && (failed | BIT_CONFIDENCE) === BIT_CONFIDENCE) histogram[binOf(confidence[image])] += 1;
  }
  const counts = Object.fromEntries(FILTERS.map((filter, place) => [filter.key, tests[place].counts]));
  return { images: sorted(found), counts, histogram };
}

// Sorting. Images that are equal stay in the order of the study.

const ORDERS = {
  study: { title: "As asked" },
  name: { title: "Name", by: () => (a, b) => ASCII.compare(nameOf(a), nameOf(b)) },
  sure: { title: "Most confident", by: () => descending(answers().confidence), ofAnswers: true },
  unsure: { title: "Least confident", by: () => ascending(answers().confidence), ofAnswers: true },
  asked: { title: "Label asked", by: () => ascending(classifierNow().asked), ofAnswers: true },
  seen: { title: "Label seen", by: () => ascending(answers().seen), ofAnswers: true },
  differ: {
    title: "Engines differ most",
    by: () => descending(classifierNow().difference),
    ofAnswers: true,
    there: () => study.engines.length > 1,
  },
};
const ascending = (values) => (a, b) => values[a] - values[b];
const descending = (values) => (a, b) => values[b] - values[a];

function sorted(images) {
  const order = ORDERS[state.sort];
  return order?.by && !(order.ofAnswers && !study.classifiers.length) ? images.sort(order.by()) : images;
}

// The form

const form = { lists: new Map() };

function makeFilters() {
  const parts = [];
  const choice = (label, key, entries) => {
    const options = entries.map((entry) =>
      make("option", { value: entry.name, text: entry.title ?? entry.name }),
    );
    const select = make("select", { onchange: () => change({ [key]: select.value }) }, options);
    form[key] = select;
    return make("label", { class: "field" }, [make("span", { text: label }), select]);
  };
  if (study.classifiers.length > 1) parts.push(choice("Seen by", "classifier", study.classifiers));
  if (study.engines.length > 1 && study.classifiers.length) {
    parts.push(choice(study.classifiers.length > 1 ? "in" : "Seen in", "engine", study.engines));
  }
  for (const filter of FILTERS.filter((it) => !it.flag)) parts.push(makeList(filter));
  if (study.classifiers.length)
    parts.splice(parts.length - (study.prompts.length ? 1 : 0), 0, makeConfidence());
  const flags = FILTERS.filter((it) => it.flag).map(makeFlag);
  parts.push(fieldset("Marked images", [make("ul", { class: "choices flags" }, flags)]));
  form.clear = button("Clear all filters", clearFilters, { class: "wide" });
  parts.push(form.clear);
  const close = button("Show the images", () => openFilters(false), { class: "close-filters main" });
  byId("filters").append(...parts, close);
}

const fieldset = (title, children) => make("fieldset", {}, [make("legend", { text: title }), ...children]);

/** A list of boxes, one for each value that occurs. */
function makeList(filter) {
  const list = make("ul", { class: "choices" });
  const more = make("p", { class: "quiet small" });
  const search = make("input", {
    type: "search",
    "aria-label": `Find in: ${filter.title}`,
    placeholder: "Find",
  });
  search.addEventListener("input", () => fillList(filter));
  form.lists.set(filter.key, { list, more, search });
  return fieldset(filter.title, [search, list, more]);
}

function fillList(filter) {
  const { list, more, search } = form.lists.get(filter.key);
  const counts = found.counts[filter.key];
  const labels = filter.labels?.() ?? filter.values();
  const wanted = folded(search.value);
  const values = filter.values();
  const hints = filter.hints?.();
  const there = values
    .map((value, place) => ({ value, label: labels[place], count: counts[place], hint: hints?.[place] }))
    .filter((it) => it.count || state[filter.key].has(it.value));
  search.hidden = there.length < LONG && !search.value;
  const fitting = there.filter((it) => !wanted || folded(`${it.label} ${it.hint ?? ""}`).includes(wanted));
  const shown = fitting.slice(0, MOST_CHOICES);
  const most = Math.max(1, ...shown.map((it) => it.count));
  const focused = list.contains(document.activeElement) ? document.activeElement.value : null;
  list.replaceChildren(...shown.map((it) => choiceOf(filter, it, most)));
  if (focused !== null) [...list.querySelectorAll("input")].find((box) => box.value === focused)?.focus();
  const left = fitting.length - shown.length;
  more.textContent = left ? `and ${number(left)} more; find them by name` : "";
  more.hidden = !left;
}

function choiceOf(filter, { value, label, count, hint }, most) {
  const box = make("input", { type: "checkbox", value });
  box.checked = state[filter.key].has(value);
  box.addEventListener("change", () => toggle(filter.key, value, box.checked));
  const weight = make("i", { "aria-hidden": "true" });
  weight.style.inlineSize = `${(100 * count) / most}%`;
  const line = [
    box,
    said("span", label, { class: "name" }),
    make("span", { class: "number", text: number(count) }),
  ];
  return make("li", { class: count ? "" : "empty", title: hint || null }, [make("label", {}, line), weight]);
}

function makeFlag(filter) {
  const box = make("input", { type: "checkbox", value: "yes" });
  box.addEventListener("change", () => toggle(filter.key, "yes", box.checked));
  const count = make("span", { class: "number" });
  form.lists.set(filter.key, { box, count });
  return make("li", {}, [
    make("label", {}, [box, make("span", { class: "name", text: filter.title }), count]),
  ]);
}

function makeConfidence() {
  const bars = Array.from({ length: BINS }, () => make("i"));
  const limits = ["low", "high"].map((key) => {
    const range = make("input", { type: "range", min: 0, max: 100, step: 1 });
    range.setAttribute("aria-label", key === "low" ? "At least so confident" : "At most so confident");
    range.addEventListener("input", () => {
      const other = Number(state[key === "low" ? "high" : "low"]);
      const value = key === "low" ? Math.min(other, range.value) : Math.max(other, range.value);
      range.value = value;
      change({ [key]: String(value) });
    });
    form[key] = range;
    return range;
  });
  form.histogram = bars;
  form.limits = make("output", { class: "quiet small" });
  const histogram = make("div", { class: "histogram", "aria-hidden": "true" }, bars);
  return fieldset("Confidence", [histogram, make("div", { class: "ranges" }, limits), form.limits]);
}

function showFilters() {
  for (const key of ["classifier", "engine"]) if (form[key]) form[key].value = state[key];
  for (const filter of FILTERS) {
    if (!filter.flag) fillList(filter);
    else {
      const { box, count } = form.lists.get(filter.key);
      box.checked = state[filter.key].has("yes");
      count.textContent = number(found.counts[filter.key][1]);
    }
  }
  if (form.histogram) {
    const most = Math.max(1, ...found.histogram);
    const [low, high] = shares();
    form.histogram.forEach((it, place) => {
      it.style.blockSize = found.histogram[place] ? `${2 + (98 * found.histogram[place]) / most}%` : "0";
      it.className = (place + 1) / BINS <= low || place / BINS >= high ? "out" : "";
    });
    form.low.value = state.low;
    form.high.value = state.high;
    form.limits.textContent = `${state.low} to ${state.high}%`;
  }
  form.clear.disabled = !chips().length;
  byId("chips").replaceChildren(...chips());
}

function toggle(key, value, wanted) {
  const values = new Set(state[key]);
  if (wanted) values.add(value);
  else values.delete(value);
  change({ [key]: values });
}

/** What is filtered by, each a button that takes it away. */
function chips() {
  const found = [];
  const chip = (text, changes) =>
    found.push(
      button(text, () => change(changes()), { class: "chip", dir: "auto", title: "Take this filter away" }),
    );
  if (state.q) chip(`“${state.q}”`, () => ({ q: "" }));
  if (state.low !== TEXTS.low || state.high !== TEXTS.high) {
    chip(`${state.low} to ${state.high}% sure`, () => ({ low: TEXTS.low, high: TEXTS.high }));
  }
  for (const filter of FILTERS) {
    for (const value of state[filter.key]) {
      const without = () => ({ [filter.key]: new Set([...state[filter.key]].filter((it) => it !== value)) });
      chip(filter.flag ? filter.title : `${filter.title}: ${value}`, without);
    }
  }
  return found;
}

function clearFilters() {
  const lists = Object.fromEntries(FILTERS.map((filter) => [filter.key, new Set()]));
  change({ q: "", low: TEXTS.low, high: TEXTS.high, ...lists });
}

/** On a narrow window the filters lie over the images, or are away. */
function openFilters(wanted) {
  document.body.classList.toggle("filtering", wanted);
  byId("images").inert = wanted; // it lies under them
  byId("filters-button").setAttribute("aria-expanded", String(wanted));
  if (wanted) byId("filters").querySelector("input, select")?.focus();
  else byId("filters-button").focus();
}
