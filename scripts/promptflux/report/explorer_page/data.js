// The study: the block of JSON, with its columns unpacked. An image is a number, its row in the columns.

const KINDS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };

function unpacked(column) {
  const [[kind, text]] = Object.entries(column);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = binary.charCodeAt(place);
  return new KINDS[kind](bytes.buffer);
}

const study = JSON.parse(document.getElementById("data").textContent);
const COUNT = study.images.count;
const columns = Object.fromEntries(
  Object.entries(study.images.columns).map(([key, column]) => [key, unpacked(column)]),
);
const FIRST_OWN = COUNT - study.own.length;
const isOwn = (image) => image >= FIRST_OWN;
const promptOf = (image) => study.prompts[columns.prompt[image] - 1] ?? null;
const variantOf = (image) => study.variants[columns.variant[image] - 1] ?? null;
const hasVariants = study.variants.length > 1;

function nameOf(image) {
  if (isOwn(image)) return study.own[image - FIRST_OWN].name;
  const variant = variantOf(image).name;
  return `${variant}${variant && "/"}${promptOf(image).name}_${columns.number[image]}`;
}

// The images of a prompt and number in each variant, and the image of a name.
const keyOf = (variant, prompt, number) => (variant * (study.prompts.length + 1) + prompt) * 65536 + number;
const byKey = new Map();
for (let image = 0; image < FIRST_OWN; image += 1) {
  byKey.set(keyOf(columns.variant[image], columns.prompt[image], columns.number[image]), image);
}
const ownByName = new Map(study.own.map((own, place) => [own.name, FIRST_OWN + place]));
const promptPlaces = new Map(study.prompts.map((prompt, place) => [prompt.name, place + 1]));
const variantPlaces = new Map(study.variants.map((variant, place) => [variant.name, place + 1]));

function imageNamed(name) {
  if (ownByName.has(name)) return ownByName.get(name);
  const [, variant, prompt, number] = /^(?:(.*)\/)?(.*)_(\d+)$/s.exec(name) ?? [];
  return byKey.get(keyOf(variantPlaces.get(variant ?? ""), promptPlaces.get(prompt), Number(number))) ?? null;
}

/** The images of the same prompt and number in the other variants, and the other numbers in the same. */
function relatives(image) {
  if (isOwn(image)) return { variants: [], numbers: [] };
  const [variant, prompt, number] = [columns.variant[image], columns.prompt[image], columns.number[image]];
  const variants = study.variants.map((_, place) => byKey.get(keyOf(place + 1, prompt, number)));
  const numbers = [];
  for (let other = 1; byKey.has(keyOf(variant, prompt, other)); other += 1) {
    numbers.push(byKey.get(keyOf(variant, prompt, other)));
  }
  const others = (found) => found.filter((it) => it !== undefined && it !== image);
  return { variants: others(variants), numbers: others(numbers) };
}

// Files, relative to this page. A name is data: each of its parts is encoded.
const encoded = (name) => name.split("/").map(encodeURIComponent).join("/");
const urlOf = (pattern, names) => pattern.replace(/\{(\w+)\}/g, (_, key) => encoded(names[key]));
const imageUrl = (image) => urlOf(study.paths.image, { image: nameOf(image) });
const preprocessedUrl = (image, input) =>
  urlOf(study.paths.preprocessed, { input_name: input, image: nameOf(image) });
const figureUrl = (classifier, image, file) =>
  urlOf(study.paths.figure, { classifier, image: nameOf(image), name: file });

// What a classifier said in an engine: for each image the label that it saw and how sure it was.
const answersOf = (() => {
  const known = new Map();
  return (classifier, engine) => {
    const key = `${classifier} ${engine}`;
    if (!known.has(key)) known.set(key, readAnswers(study.classifiers[classifier], engine));
    return known.get(key);
  };
})();

function readAnswers(classifier, engine) {
  const packed = classifier.answers[study.engines[engine].name];
  const labels = packed.labels && unpacked(packed.labels);
  const probabilities = unpacked(packed.probabilities);
  const seen = unpacked(packed.seen);
  const { shown } = classifier;
  const confidence = new Float32Array(COUNT);
  for (let image = 0; image < COUNT; image += 1) {
    confidence[image] = probabilities[image * shown + (labels ? 0 : seen[image])];
  }
  /** [label, probability] of what is known of an image, the most probable first. */
  const ranked = (image) => {
    const found = [];
    for (let place = image * shown; place < (image + 1) * shown; place += 1) {
      found.push([labels ? labels[place] : place - image * shown, probabilities[place]]);
    }
    return found.sort((a, b) => b[1] - a[1]);
  };
  return { seen, confidence, ranked };
}

for (const classifier of study.classifiers) {
  classifier.asked = unpacked(classifier.asked);
  classifier.difference = classifier.difference && unpacked(classifier.difference);
}

const drawn = new Set(study.drawn);
const explained = new Set(study.explained);

/** The place of the label that is asked of an image, for a classifier; less than 0 if none is known. */
const askedOf = (image, classifier) => classifier.asked[image] - study.no_truth.length;

/** The images that are alike by a classifier's features, nearest first: image -> [image, distance]. kind: "duplicates" or "nearest". */
function alikeOf(classifier, kind) {
  const table = classifier.alike[kind];
  if (table instanceof Map || !table) return table ?? new Map();
  const [one, other, distance] = ["one", "other", "distance"].map((key) => unpacked(table[key]));
  const found = new Map();
  const add = (image, to, apart) => {
    if (!found.has(image)) found.set(image, []);
    found.get(image).push([to, apart]);
  };
  distance.forEach((apart, row) => {
    add(one[row], other[row], apart);
    if (kind === "duplicates") add(other[row], one[row], apart);
  });
  for (const images of found.values()) images.sort((a, b) => a[1] - b[1]);
  classifier.alike[kind] = found;
  return found;
}

/** "right", "wrong" or "not asked": whether a classifier saw the label that was asked for. */
function verdictOf(image, classifier, engine) {
  const asked = askedOf(image, study.classifiers[classifier]);
  if (asked < 0) return "not asked";
  return answersOf(classifier, engine).seen[image] === asked ? "right" : "wrong";
}

/** What is to be known of an image before anything that is said of it: sentences, of most none. */
function warningsOf(image) {
  const found = [];
  const problem = study.images.problems[columns.problem[image]];
  const mark = study.images.marks[columns.mark[image]];
  if (problem) found.push(`A test pattern stands in for it, since ${problem}`);
  if (mark?.safety) found.push("The model's safety checker blacked it out.");
  if (mark?.problem) found.push(`It is no picture of the prompt: ${mark.problem}`);
  return found;
}

/** A share of 1 in percent: not 100.0 % for what is less than 1. */
function percent(share) {
  if (share >= 0.9995 && share < 1) return ">99.9%";
  return `${(100 * share).toFixed(1)}%`;
}

const number = (value) => value.toLocaleString("en-US");
const counted = (value, word) => `${number(value)} ${word}${value === 1 ? "" : "s"}`;

// What an image was made with, as text to be copied.

const quotedCell = (text) => (text.startsWith('"') ? `"${text.replaceAll('"', '""')}"` : text);

/** The line of a prompts table that has this image, under its header; null if no line stands for such a prompt. */
function rowOf(image) {
  const prompt = promptOf(image);
  if (!prompt || prompt.cell === null || prompt.negative_cell === null) return null;
  const cells = {
    name: prompt.name,
    prompt: prompt.cell ?? prompt.text,
    negative_prompt: prompt.negative_cell ?? prompt.negative ?? "",
    images: columns.number[image],
    seed: prompt.seed,
    ...(prompt.label && { label: prompt.label }),
  };
  const line = Object.values(cells).map((cell) => quotedCell(String(cell)));
  return `${Object.keys(cells).join("\t")}\n${line.join("\t")}\n`;
}

const configOf = (image) => variantOf(image)?.config ?? null;

/** What the PNG says in the words of AUTOMATIC1111, letter by letter; null if it says nothing. */
function parametersOf(image) {
  const around = study.images.parameters[columns.parameters[image]];
  if (!around) return null;
  if (around.length === 1) return around[0];
  const { text, negative } = promptOf(image);
  const head = negative ? `${text}\nNegative prompt: ${negative}` : text;
  return `${head}\n${around.join(columns.seed[image])}`;
}

/** The recipe of a generated image; null if the file has none. */
function recipeOf(image) {
  const recipe = study.images.recipes[columns.recipe[image]];
  if (!recipe) return null;
  const { text, negative } = promptOf(image);
  return {
    prompt: text,
    ...(negative && { negative_prompt: negative }),
    seed: columns.seed[image],
    ...recipe,
  };
}

const madeWith = (image) => study.images.made[columns.made[image]] ?? {};
