// Pictures of images: files beside the page, asked for when they are seen.

const FEW_PIXELS = 64; // an image of so many or fewer is enlarged as pixels, not blurred

/** The files that show an image, the first of them the best. A user's own file may have been moved since. */
function sourcesOf(image) {
  if (!isOwn(image)) return [imageUrl(image)];
  const inputs = Object.keys(study.inputs).map((input) => preprocessedUrl(image, input));
  return [study.own[image - FIRST_OWN].source, ...inputs];
}

/** Files for a small picture: of a user's own image, which may have any size, what a classifier got of it. */
const smallSourcesOf = (image) => (isOwn(image) ? sourcesOf(image).toReversed() : sourcesOf(image));

/** Let an `img` show the first of some files that is there. */
function showFile(picture, sources, onmissing) {
  let next = 0;
  const attempt = () => {
    if (next < sources.length) picture.src = sources[next];
    else onmissing?.();
    next += 1;
  };
  picture.onload = () => {
    const most = Math.max(picture.naturalWidth, picture.naturalHeight);
    picture.classList.toggle("pixels", most <= FEW_PIXELS);
    picture.classList.add("there");
  };
  picture.onerror = attempt;
  attempt();
}

/** An image at any size, with a sentence in its place if its file is gone. */
function pictureOf(image, sources = sourcesOf(image), alt = nameOf(image)) {
  const picture = make("img", { alt, decoding: "async", draggable: "false" });
  const frame = make("span", { class: "picture" }, [picture]);
  showFile(picture, sources, () =>
    frame.replaceChildren(make("span", { class: "absent", text: "The file is not there." })),
  );
  return frame;
}
