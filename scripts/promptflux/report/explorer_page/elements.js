// Elements. Text becomes text: nothing here reads markup.

/** An element: `make("p", { class: "quiet", text: "..." }, children)`. Other keys are attributes, `on...` listeners. */
function make(tag, settings = {}, children = []) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(settings)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "text") element.textContent = value;
    else if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const byId = (id) => document.getElementById(id);

/** Text of others: in its own direction, and unable to turn that of what stands beside it. */
const said = (tag, text, settings = {}) => make(tag, { dir: "auto", text, ...settings });

const button = (text, onclick, settings = {}) =>
  make("button", { type: "button", text, onclick, ...settings });

/** Buttons of which one is pressed. choices: value -> text. */
function segments(label, choices, chosen, choose) {
  const buttons = Object.entries(choices).map(([value, text]) =>
    button(text, () => choose(value), { "aria-pressed": String(value === chosen), "data-value": value }),
  );
  return make("div", { class: "segments", role: "group", "aria-label": label }, buttons);
}

/** A button that copies a text, and says so. */
function copying(text, what, label) {
  const copy = button(label, async () => {
    copy.textContent = (await copied(text)) ? "Copied" : "Select and copy it below";
    setTimeout(() => (copy.textContent = label), 1600);
  });
  copy.title = `Copy ${what}`;
  copy.dataset.copies = what;
  return copy;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // a browser that lets no page from a disk do so
  }
}

/** A bar of a share of 1, and the share in percent. */
function bar(share, settings = {}) {
  const filled = make("i");
  filled.style.inlineSize = `${100 * share}%`;
  return make("span", { class: "share", ...settings }, [
    make("span", { class: "bar" }, [filled]),
    make("span", { class: "number", text: percent(share) }),
  ]);
}
