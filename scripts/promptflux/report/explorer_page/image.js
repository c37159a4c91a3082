// One image in full.

const MOST_RELATIVES = 60;

function openImage(image) {
  if (image === undefined) return;
  active = Math.max(0, found.images.indexOf(image));
  change({ image: nameOf(image) });
}

/** Show the image that is open, or none. */
function showImage() {
  const dialog = byId("image");
  const image = state.image === "" ? null : imageNamed(state.image);
  if (image === null || isOpen(state.compare)) {
    if (dialog.open) dialog.close();
    if (state.image !== "" && image === null) showMissing(state.image);
    return;
  }
  if (dialog.shown !== hashOf({ ...state, size: "" }) || !dialog.open) {
    dialog.shown = hashOf({ ...state, size: "" });
    const focused = dialog.contains(document.activeElement) ? document.activeElement.dataset.keeps : null;
    dialog.replaceChildren(imageHead(image), imageBody(image));
    if (!dialog.open) dialog.showModal();
    (
      dialog.querySelector(`[data-keeps="${focused ?? "close"}"]:enabled`) ??
      dialog.querySelector("button:enabled")
    )?.focus();
  }
}

/** A link to an image that this study does not have is said, and leads to the images. */
function showMissing(name) {
  byId("none").textContent = `This study has no image ${name}.`;
  byId("none").hidden = false;
}

function imageHead(image) {
  const place = found.images.indexOf(image);
  const step = (by, text, label) => {
    const to = place < 0 ? undefined : found.images[place + by];
    const go = button(text, () => openImage(to), { "aria-label": label, title: label, "data-keeps": label });
    go.disabled = to === undefined;
    return go;
  };
  const mark = button(picked.includes(nameOf(image)) ? "Marked" : "Mark to compare", () => {
    pick(image);
    mark.textContent = picked.includes(nameOf(image)) ? "Marked" : "Mark to compare";
    mark.setAttribute("aria-pressed", String(picked.includes(nameOf(image))));
  });
  mark.setAttribute("aria-pressed", String(picked.includes(nameOf(image))));
  const where =
    place < 0 ? "not among the images that match" : `${number(place + 1)} of ${number(found.images.length)}`;
  return make("header", { class: "bar-of-dialog" }, [
    said("h2", nameOf(image), { id: "image-title" }),
    make("span", { class: "quiet", text: where }),
    make("span", { class: "buttons" }, [
      mark,
      step(-1, "‹", "The image before (←)"),
      step(1, "›", "The next image (→)"),
      button("×", closeDialogs, { "aria-label": "Close (Esc)", title: "Close (Esc)", "data-keeps": "close" }),
    ]),
  ]);
}

function imageBody(image) {
  const prompt = promptOf(image);
  const warnings = warningsOf(image).map((text) => said("p", text, { class: "alarm" }));
  const size = `${columns.width[image]} × ${columns.height[image]} pixels`;
  const facts = [
    ...warnings,
    ...(prompt ? promptFacts(prompt) : [make("p", { class: "quiet", text: "An image of your own." })]),
    hasVariants && prompt
      ? make("p", { class: "quiet" }, ["Variant ", said("bdi", variantOf(image).label)])
      : null,
    ...study.classifiers.map((classifier) => answerTable(classifier, [image])),
    ...relativesOf(image),
    ...preprocessedOf(image),
    ...recipeFacts(image),
    ...figuresOf(image),
  ];
  const caption = columns.width[image] ? make("figcaption", { class: "quiet small", text: size }) : null;
  return make("div", { class: "whole-image" }, [
    make("figure", { class: "stage" }, [pictureOf(image), caption].filter(Boolean)),
    make(
      "div",
      { class: "facts", tabindex: 0, role: "region", "aria-label": "What is known of it" },
      facts.filter(Boolean),
    ),
  ]);
}

function promptFacts(prompt) {
  const part = (label, text) =>
    make("p", { class: "part" }, [make("span", { class: "quiet small", text: label }), said("span", text)]);
  return [
    said("p", prompt.text, { class: "prompt" }),
    prompt.negative ? part("negative prompt", prompt.negative) : null,
    prompt.template ? part("one of", prompt.template) : null,
  ];
}

const RARE = 0.01; // labels that are less probable are folded, after the first FEW
const FEW = 3;
let unfolded = false;

/** What a classifier says: of one image in each engine, of two beside each other in the engine that is chosen. */
function answerTable(classifier, images) {
  const place = study.classifiers.indexOf(classifier);
  const engines = [...study.engines.keys()];
  const shown = images.length > 1 ? [chosenEngine()] : engines;
  const title = shown.length < engines.length ? ` in ${study.engines[shown[0]].title}` : "";
  // A column of shares, label -> probability, for each image and engine.
  const shares = shown.flatMap((engine) => images.map((it) => new Map(answersOf(place, engine).ranked(it))));
  const heads = images.length > 1 ? images.map(nameOf) : shown.map((engine) => study.engines[engine].title);
  const most = (label) => Math.max(...shares.map((it) => it.get(label) ?? 0));
  const asked = new Set(images.map((image) => askedOf(image, classifier)).filter((label) => label >= 0));
  const labels = [...new Set([...shares.flatMap((it) => [...it.keys()]), ...asked])];
  labels.sort((a, b) => most(b) - most(a));
  const isRare = (label, at) => at >= FEW && most(label) < RARE && !asked.has(label);
  const rows = labels.map((label, at) => {
    const row = answerRow(
      classifier.labels[label],
      asked.has(label),
      shares.map((it) => it.get(label)),
    );
    row.classList.toggle("rare", isRare(label, at));
    return row;
  });
  const table = make("table", {}, [
    make("thead", {}, [
      make("tr", {}, [
        make("th", { scope: "col", text: "Label" }),
        ...heads.map((head) => said("th", head, { scope: "col" })),
      ]),
    ]),
    make("tbody", {}, rows),
  ]);
  return make("section", { class: "answers" }, [
    said("h3", `${classifier.name}${title}`),
    make("div", { class: "scroll" }, [table]),
    foldButton(labels.filter(isRare).length),
    ...notesOf(classifier, images).map((text) => make("p", { class: "quiet small", text })),
  ]);
}

function answerRow(label, isAsked, shares) {
  const title = said("th", label, { scope: "row", class: isAsked ? "asked" : "" });
  if (isAsked) title.append(" ", make("span", { class: "tag", text: "asked" }));
  const cell = (share) => (share === undefined ? make("span", { class: "quiet", text: "less" }) : bar(share));
  return make("tr", {}, [title, ...shares.map((share) => make("td", {}, [cell(share)]))]);
}

/** A button that shows the rare labels of all tables, or hides them. */
function foldButton(rare) {
  if (!rare) return null;
  const text = (count) => (unfolded ? "Fewer labels" : `and ${counted(Number(count), "label")} below 1%`);
  const fold = button(text(rare), () => {
    unfolded = !unfolded;
    document.body.classList.toggle("unfolded", unfolded);
    for (const it of document.querySelectorAll("button.more")) it.textContent = text(it.dataset.rare);
  });
  fold.className = "more";
  fold.dataset.rare = rare;
  return fold;
}

function notesOf(classifier, images) {
  const notes = [];
  if (classifier.shown < classifier.labels.length) {
    const all = counted(classifier.labels.length, "label");
    notes.push(`The ${classifier.shown} most probable of ${all}; the tables have all.`);
  }
  if (images.length === 1 && classifier.difference) {
    const difference = classifier.difference[images[0]];
    if (difference > study.tolerance) {
      notes.push(
        `The engines differ by ${difference.toPrecision(2)} in a probability, which is more than rounding.`,
      );
    } else {
      const most = difference
        ? `no probability differs by more than ${difference.toExponential(0)}`
        : "to the last bit";
      notes.push(`The engines agree: ${most}.`);
    }
  }
  return notes;
}

/** The same prompt and number in the other variants, the other images of the prompt, and those that are alike. */
function relativesOf(image) {
  const { variants, numbers } = relatives(image);
  const strip = (title, images, caption, open) => {
    if (!images.length) return null;
    const shown = images.slice(0, MOST_RELATIVES).map((other) => {
      const small = button("", () => open(other), { class: "small-picture" });
      small.append(pictureOf(other, smallSourcesOf(other), ""), said("span", caption(other)));
      small.querySelector("img").loading = "lazy";
      return small;
    });
    const left = images.length - shown.length;
    return make("section", {}, [
      make("h3", { text: title }),
      make("div", { class: "strip" }, shown),
      left ? make("p", { class: "quiet small", text: `and ${number(left)} more` }) : null,
    ]);
  };
  const comparing = (other) => openCompare(nameOf(image), nameOf(other));
  const alike = (kind, title) =>
    study.classifiers.map((classifier) => {
      const others = new Map(alikeOf(classifier, kind).get(image) ?? []);
      const caption = (other) => `${nameOf(other)}, ${others.get(other).toPrecision(2)}`;
      return strip(`${title}, to ${classifier.name}`, [...others.keys()], caption, comparing);
    });
  return [
    strip("Compare with another variant", variants, (it) => variantOf(it).label, comparing),
    strip("Other images of this prompt", numbers, (it) => `${columns.number[it]}`, openImage),
    ...alike("duplicates", "Nearly the same"),
    ...alike("nearest", "The nearest of your own images"),
  ];
}

function preprocessedOf(image) {
  const inputs = Object.entries(study.inputs);
  if (!inputs.length) return [];
  const figures = inputs.map(([input, sentence]) => {
    const users = study.classifiers.filter((it) => it.input === input).map((it) => it.name);
    return make("figure", { class: "preprocessed", title: sentence }, [
      pictureOf(image, [preprocessedUrl(image, input)], `As ${users.join(", ")} gets it: ${sentence}`),
      make("figcaption", {}, [
        said("b", users.join(", ")),
        make("span", { class: "quiet", text: ` ${sentence}` }),
      ]),
    ]);
  });
  return [make("section", {}, [make("h3", { text: "As the classifiers get it" }), ...figures])];
}

function recipeFacts(image) {
  const texts = [
    ["config", "Copy as config", configOf(image)],
    ["row", "Copy as a row of prompts.tsv", rowOf(image)],
    ["parameters", "Copy as parameters", parametersOf(image)],
  ].filter(([, , text]) => text !== null);
  const recipe = recipeOf(image);
  if (!texts.length && !recipe) return [];
  const entries = recipe
    ? Object.entries({ ...recipe, "model digest": recipe.model, ...madeWith(image) })
    : [];
  const list = entries
    .filter(([key]) => !["prompt", "negative_prompt"].includes(key))
    .flatMap(([key, value]) => [
      make("dt", { text: key.replaceAll("_", " ") }),
      said("dd", typeof value === "object" ? JSON.stringify(value) : String(value)),
    ]);
  return [
    make("section", {}, [
      make("h3", { text: "Its recipe" }),
      make(
        "div",
        { class: "buttons" },
        texts.map(([what, label, text]) => copying(text, what, label)),
      ),
      list.length ? make("dl", {}, list) : null,
      ...texts.map(([what, , text]) =>
        make("details", {}, [make("summary", { text: `As ${what}` }), said("pre", text, { tabindex: 0 })]),
      ),
    ]),
  ];
}

function figuresOf(image) {
  if (!drawn.has(image)) return [];
  return study.classifiers.map((classifier) => {
    const those = classifier.drawings.filter((drawing) => !drawing.explains || explained.has(image));
    const figures = those.map(({ file, title, caption }) => {
      const url = figureUrl(classifier.name, image, file);
      const picture = make("img", { src: url, alt: title, loading: "lazy", decoding: "async" });
      return make("figure", { class: "drawing" }, [
        make("a", { href: url }, [picture]),
        make("figcaption", { class: "small", text: caption }),
      ]);
    });
    return make("section", {}, [said("h3", `What ${classifier.name} sees`), ...figures]);
  });
}

function closeDialogs() {
  change({ image: "", compare: new Set() });
  moveTo(active); // to the image that was seen last
}

function imageKey(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const image = imageNamed(state.image);
  const place = found.images.indexOf(image);
  if (event.target.closest("input, select, .facts pre")) return;
  if (step && place >= 0 && found.images[place + step] !== undefined) openImage(found.images[place + step]);
  else if (event.key === "v" || event.key === "V") openImage(nextVariant(image, event.key === "v" ? 1 : -1));
  else return;
  event.preventDefault();
}

/** The same image in the next variant, after the last one in the first. */
function nextVariant(image, by) {
  if (!hasVariants || isOwn(image)) return image;
  const all = study.variants.length;
  const place = (columns.variant[image] - 1 + by + all) % all;
  return byKey.get(keyOf(place + 1, columns.prompt[image], columns.number[image])) ?? image;
}
