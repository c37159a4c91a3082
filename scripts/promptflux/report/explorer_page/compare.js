// Two images beside each other, or over each other with a slider.

const MODES = { slider: "Slider", beside: "Side by side", difference: "Difference" };
const STRONGER = [1, 4, 16];
let cut = 50; // percent of the width at which the left image ends
let stronger = 4;

function openCompare(left, right) {
  if (left !== undefined && right !== undefined && left !== right)
    change({ compare: new Set([left, right]) });
}

function showCompare() {
  const dialog = byId("compare");
  const images = [...state.compare].map(imageNamed);
  if (!isOpen(state.compare) || images.includes(null)) {
    if (dialog.open) dialog.close();
    if (isOpen(state.compare)) showMissing([...state.compare][images.indexOf(null)]);
    return;
  }
  const focused = dialog.contains(document.activeElement) ? document.activeElement.dataset.keeps : null;
  dialog.replaceChildren(compareHead(images), compareBody(images));
  if (!dialog.open) dialog.showModal();
  (
    dialog.querySelector(`[data-keeps="${focused ?? "close"}"]:enabled`) ??
    dialog.querySelector("button:enabled")
  )?.focus();
}

function compareHead(images) {
  const steps = [-1, 1].map((by) => {
    const label = by < 0 ? "The pair before (←)" : "The next pair (→)";
    const next = pairBeside(images, by);
    const go = button(by < 0 ? "‹" : "›", () => openCompare(...next), {
      "aria-label": label,
      title: label,
      "data-keeps": label,
    });
    go.disabled = !next;
    return go;
  });
  return make("header", { class: "bar-of-dialog" }, [
    make("h2", { id: "compare-title", text: "Compare" }),
    segments("How they are shown", MODES, state.mode, (mode) => change({ mode })),
    make("span", { class: "buttons" }, [
      button("Swap", () => openCompare(...[...state.compare].reverse()), { "data-keeps": "swap" }),
      ...steps,
      button("×", closeCompare, { "aria-label": "Close (Esc)", title: "Close (Esc)", "data-keeps": "close" }),
    ]),
  ]);
}

const closeCompare = () => change({ compare: new Set() });

/** The image that is active in the grid, in its variant and in the next. */
function compareVariants() {
  const image = found.images
    .slice(active)
    .concat(found.images)
    .find((it) => !isOwn(it));
  if (image !== undefined) openCompare(nameOf(image), nameOf(nextVariant(image, 1)));
}

/** The images of another prompt or number that lie to each other as these do: a pair of two variants; null if there is none. */
function pairBeside([left, right], by) {
  if (isOwn(left) || isOwn(right)) return null;
  const [first, second] = [columns.variant[left], columns.variant[right]];
  const [apart, prompt] = [columns.number[right] - columns.number[left], columns.prompt[left]];
  if (columns.prompt[right] !== prompt) return null;
  for (let place = prompt; place > 0 && place <= study.prompts.length; place += by) {
    let number = place === prompt ? columns.number[left] + by : by > 0 ? 1 : lastNumber(first, place);
    for (; byKey.has(keyOf(first, place, number)); number += by) {
      const other = byKey.get(keyOf(second, place, number + apart));
      if (other !== undefined) return [nameOf(byKey.get(keyOf(first, place, number))), nameOf(other)];
    }
  }
  return null;
}

function lastNumber(variant, prompt) {
  let number = 1;
  while (byKey.has(keyOf(variant, prompt, number + 1))) number += 1;
  return number;
}

function compareBody(images) {
  const stage = { slider: sliderOf, beside: besideOf, difference: differenceOf }[state.mode] ?? sliderOf;
  const sides = images.map((image, side) => sideOf(images, image, side));
  const same = promptOf(images[0]) && promptOf(images[0]) === promptOf(images[1]);
  return make("div", { class: `compared ${state.mode}` }, [
    make("div", { class: "sides" }, sides),
    stage(images),
    make("div", { class: "facts", tabindex: 0, role: "region", "aria-label": "How they differ" }, [
      ...(same ? promptFacts(promptOf(images[0])).filter(Boolean) : images.flatMap(oneOfTwo)),
      differencesOf(images),
      ...study.classifiers.map((classifier) => answerTable(classifier, images)),
    ]),
  ]);
}

const oneOfTwo = (image) => [
  make("p", { class: "part" }, [
    said("span", nameOf(image), { class: "quiet small" }),
    said("span", promptOf(image)?.text ?? "An image of your own."),
  ]),
];

/** What stands over one of the two: its name, or a choice of the variants. */
function sideOf(images, image, side) {
  const label = side ? "Right" : "Left";
  if (!hasVariants || isOwn(image)) return said("p", nameOf(image), { class: "side" });
  const select = make(
    "select",
    { "aria-label": `${label}: variant`, "data-keeps": label },
    study.variants.map((variant) => make("option", { value: variant.name, text: variant.label })),
  );
  select.value = variantOf(image).name;
  select.addEventListener("change", () => {
    const name = nameOf(
      byKey.get(keyOf(variantPlaces.get(select.value), columns.prompt[image], columns.number[image])),
    );
    const names = images.map(nameOf);
    // The variant of the other side: they change places.
    openCompare(...(name === names[1 - side] ? names.reverse() : names.with(side, name)));
  });
  return make("div", { class: "side" }, [select, said("span", nameOf(image), { class: "quiet small" })]);
}

function layered(images, more) {
  const [left, right] = images.map((image) => pictureOf(image));
  left.classList.add("under");
  right.classList.add("over");
  return make("div", { class: "stage layers" }, [left, right, ...more]);
}

function sliderOf(images) {
  const line = make("span", { class: "cut", "aria-hidden": "true" });
  const range = make("input", {
    type: "range",
    min: 0,
    max: 100,
    step: 0.5,
    "aria-label": "Where the left image ends",
    "data-keeps": "cut",
  });
  const stage = layered(images, [line, range]);
  range.value = cut;
  const move = () => {
    cut = Number(range.value);
    stage.style.setProperty("--cut", `${cut}%`);
  };
  range.addEventListener("input", move);
  move();
  return stage;
}

const besideOf = (images) =>
  make(
    "div",
    { class: "stage pair" },
    images.map((image) => pictureOf(image)),
  );

function differenceOf(images) {
  const stage = layered(images, []);
  const choices = Object.fromEntries(STRONGER.map((times) => [times, `× ${times}`]));
  const strength = segments("How strongly it is shown", choices, String(stronger), (times) => {
    stronger = Number(times);
    showCompare();
  });
  stage.style.setProperty("--stronger", stronger);
  return make("div", { class: "with-strength" }, [
    stage,
    make("div", { class: "strength" }, [
      strength,
      make("span", { class: "quiet small", text: "Black is the same in both." }),
    ]),
  ]);
}

/** The settings of the two recipes that differ. */
function differencesOf(images) {
  const recipes = images.map((image) => ({ ...recipeOf(image), ...sizeOf(image) }));
  const keys = [...new Set(recipes.flatMap(Object.keys))].filter(
    (key) => !["prompt", "negative_prompt"].includes(key),
  );
  const text = (value) =>
    value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
  const differing = keys.filter((key) => text(recipes[0][key]) !== text(recipes[1][key]));
  if (!differing.length) return make("p", { class: "quiet", text: "Their recipes are the same." });
  const rows = differing.map((key) =>
    make("tr", {}, [
      make("th", { scope: "row", text: key.replaceAll("_", " ") }),
      ...recipes.map((recipe) => said("td", text(recipe[key]))),
    ]),
  );
  const head = [
    make("th", { scope: "col", text: "Setting" }),
    ...images.map((image) => said("th", nameOf(image), { scope: "col" })),
  ];
  return make("section", {}, [
    make("h3", { text: "What differs" }),
    make("div", { class: "scroll" }, [
      make("table", {}, [make("thead", {}, [make("tr", {}, head)]), make("tbody", {}, rows)]),
    ]),
  ]);
}

const sizeOf = (image) => ({ pixels: `${columns.width[image]} × ${columns.height[image]}` });

function compareKey(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.target.closest("input, select")) return;
  const next = step && pairBeside([...state.compare].map(imageNamed), step);
  if (!next) return;
  openCompare(...next);
  event.preventDefault();
}
