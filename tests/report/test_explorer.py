"""The explorer: what stands in the page, and what a real browser makes of it, opened from the disk."""

import base64
import hashlib
import json
import re
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from support.browser import PHONE, WIDE, chromium
from support.drawn_study import HOSTILE
from support.explored_study import LABELS, VARIANTS, make

from promptflux.errors import StudyError
from promptflux.files.predictions import open_predictions
from promptflux.generation.prompts import Prompt, read_prompts
from promptflux.images.provenance import read_head, write_png
from promptflux.paths import Results
from promptflux.report import explorer
from promptflux.report.explorer import FOLDER, SCRIPTS, around_seed, cell_of, write_explorer

PROMPTS = [
    *(Prompt(name, text, negative_prompt=text[:30]) for name, text in HOSTILE.items()),
    Prompt("town", "a city at night", seed=9, label="forest"),
    Prompt("braces", "a {red|blue} brace, {kept}", "no {a|b} of it", template="a {{red|blue}} brace, {kept}"),
    Prompt("quoted", '"big" trees of a forest'),
]
DIFFERING = ["weak/town_1", "strong/money_2"]
MARKS = {
    "weak/plain_1": {"safety_checker": "blacked out"},
    "weak/plain_2": {"problem": "it is <b>one</b> color"},
}
PROBLEMS = {"broken": "broken.png is not a PNG, JPEG or WebP image."}
OWN = {"photo": "city", "broken": ""}
ALIKE = {
    "duplicates": "image other distance pixels same\nweak/town_1 strong/money_1 0.010000 1.00 \n"
    "weak/town_1 weak/money_1 0.002000 1.00 \n",
    "nearest": "image place own distance pixels\nweak/town_1 1 photo 0.500000 \nweak/town_1 2 broken 0.700000 \n",
}
KINDS = {"u1": "<u1", "u2": "<u2", "u4": "<u4", "f4": "<f4", "f8": "<f8"}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict:
    """The arguments of a study with all there is: variants, two classifiers, two engines, the user's own images, marks."""
    folder = tmp_path_factory.mktemp("explored")
    arguments = make(
        folder,
        PROMPTS,
        variants=VARIANTS,
        own=OWN,
        classifiers=("small", "other"),
        marks=MARKS,
        problems=PROBLEMS,
        differing=DIFFERING,
    )
    (folder / "photos").mkdir()
    Image.new("RGB", (300, 200), "orange").save(folder / "photos/photo.png")
    arguments["drawn"] = ["weak/town_1"]
    for kind, text in ALIKE.items():
        path = folder / f"results/map/small_{kind}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace(" ", "\t"))
        arguments["classifiers"][0]["alike"][kind] = str(path)
    drawing = {"file": "model_output", "title": "probabilities", "caption": "The <i>probabilities</i>."}
    for classifier in arguments["classifiers"]:
        why = {"file": "occlusion", "title": "why", "caption": "Of explained images.", "explains": True}
        classifier["drawings"] = [drawing, why]
        figure = Path(Results(f"{folder}/").figure(classifier["name"], "weak/town_1", "model_output"))
        figure.parent.mkdir(parents=True)
        Image.new("RGB", (80, 40), "white").save(figure)
    write_explorer(**arguments)
    return arguments


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


class Shown:
    """A page in the browser, with what it asked for and complained of."""

    def __init__(self, page, path: str):
        self.page, self.url = page, Path(path).resolve().as_uri()
        self.asked, self.complaints = [], []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))

    def open(self, hash_: str = "") -> "Shown":
        self.page.goto("about:blank")
        self.page.goto(self.url + hash_)
        self.page.wait_for_selector("#app:not([hidden])", state="attached")
        return self

    def until(self, expression: str) -> None:
        """Wait until an expression is true. (Playwright's own waiting makes code of text, which the policy forbids.)"""
        end = time.monotonic() + 10
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.02)

    @property
    def names(self) -> list[str]:
        return self.page.eval_on_selector_all(
            ".row:not(.free) .cell:not([hidden]) .name", "all => all.map((it) => it.textContent)"
        )

    @property
    def summary(self) -> str:
        return self.page.inner_text("#summary")

    def count(self, hash_: str) -> int:
        self.open(hash_)
        return int(self.summary.replace(",", "").split()[0])

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)


@pytest.fixture
def shown(study, browser):
    context = browser.new_context(viewport=WIDE)
    it = Shown(context.new_page(), study["output"])
    yield it
    context.close()
    assert it.complaints == []
    assert all(url.startswith(("file:", "about:")) for url in it.asked)


def content_of(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def data_of(path: str) -> dict:
    [text] = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', content_of(path), re.DOTALL
    )

    def no_json(constant: str):
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=no_json)


def values_of(column: dict) -> np.ndarray:
    [(kind, text)] = column.items()
    return np.frombuffer(base64.b64decode(text), KINDS[kind])


# The page ------------------------------------------------------------------------------


def test_the_same_results_make_the_same_bytes(study, tmp_path):
    before = content_of(study["output"])
    write_explorer(**study)
    assert content_of(study["output"]) == before
    assert not re.search(r"https?:", before)


def test_the_policy_names_the_only_script_and_the_only_style(study):
    page = content_of(study["output"])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    for tag in ("script", "style"):
        [text] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert page.count("<script") == 2 and page.count("</script") == 2
    assert not re.search(r"<[^>]* on\w+=", page.split('id="data"')[0])


def test_no_script_reads_markup():
    assert {path.name for path in FOLDER.glob("*.js")} == set(SCRIPTS)
    for path in FOLDER.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", path.read_text()
        ), path


def test_the_columns_are_what_the_engines_wrote(study):
    data = data_of(study["output"])
    assert [prompt["text"] for prompt in data["prompts"]] == [prompt.prompt for prompt in PROMPTS]
    for classifier, given in zip(data["classifiers"], study["classifiers"], strict=True):
        for engine in study["engines"]:
            with open_predictions(given["predictions"][engine][0]) as file:
                assert classifier["labels"] == file.labels
                written = values_of(classifier["answers"][engine]["probabilities"])
                assert written.tobytes() == file.probabilities.tobytes()
                assert (
                    values_of(classifier["answers"][engine]["seen"]).tolist()
                    == file.logits.argmax(1).tolist()
                )


def test_of_many_labels_the_most_probable_are_in_the_page(tmp_path):
    labels = [f"label {number}" for number in range(40)]
    arguments = make(tmp_path, PROMPTS[:3], labels=labels, engines=("torch",))
    write_explorer(**arguments)
    [classifier] = data_of(arguments["output"])["classifiers"]
    answers = classifier["answers"]["torch"]
    with open_predictions(arguments["classifiers"][0]["predictions"]["torch"][0]) as file:
        order = np.argsort(-file.probabilities, axis=1, kind="stable")[:, :5]
        assert values_of(answers["labels"]).tolist() == order.ravel().tolist()
        assert (
            values_of(answers["probabilities"]).tolist()
            == np.take_along_axis(file.probabilities, order, 1).ravel().tolist()
        )


def test_an_image_without_a_prediction_is_named(tmp_path):
    arguments = make(tmp_path, PROMPTS[:2], engines=("torch",))
    more = {**arguments, "own": {"late": "late.png"}}
    with pytest.raises(StudyError, match="the image 'late' is in no file of predictions"):
        write_explorer(**more)


def test_of_too_many_images_the_first_are_there_and_the_others_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(explorer, "MOST_EXPLORED", 5)
    arguments = make(tmp_path, PROMPTS[:4], own={"photo": ""})
    write_explorer(**arguments)
    data = data_of(arguments["output"])
    assert (data["images"]["count"], data["total"], data["own"]) == (5, 9, [])


@pytest.mark.parametrize(
    "text", ["a {b}", "a {b|c} d", "{{a}}", "}}", "a _ b__c__d", "{", "plain", "a {b|{c}} |"]
)
def test_a_cell_stands_for_its_text_or_there_is_none(text, tmp_path):
    cell = cell_of(text)
    table = tmp_path / "prompts.tsv"
    if cell is not None:
        table.write_text(f"name\tprompt\nx\t{cell}\n")
        assert [prompt.prompt for prompt in read_prompts(table)] == [text]
    else:
        assert text == "a _ b__c__d"


def test_what_others_wrote_into_a_png_breaks_no_page(tmp_path):
    """Not a number, which is none in JSON, and numbers that are none."""
    arguments = make(tmp_path, PROMPTS[:1], each=3)
    said = [
        {
            "recipe": {"seed": float("nan"), "steps": float("inf")},
            "made_with": {"width": "wide", "height": -1},
        },
        {"recipe": {"seed": 2**70, "x": "</script><script>"}, "made_with": ["none"]},
        {"recipe": "none"},
    ]
    for k, provenance in enumerate(said, start=1):
        write_png(Path(Results(f"{tmp_path}/").image(f"plain_{k}")), Image.new("RGB", (8, 8)), provenance)
    write_explorer(**arguments)
    data = data_of(arguments["output"])
    assert np.isnan(values_of(data["images"]["columns"]["seed"])).all()
    assert data["images"]["recipes"] == [None, {"steps": "Infinity"}, {"x": "</script><script>"}]
    assert content_of(arguments["output"]).count("<script") == 2


def test_parameters_are_kept_around_the_seed_or_whole():
    text = "a tree\nNegative prompt: fog\nSteps: 2, Seed: 7, Size: 1x1"
    assert around_seed(text, 7, "a tree", "fog") == ["Steps: 2, Seed: ", ", Size: 1x1"]
    assert around_seed(text, 8, "a tree", "fog") == [text]
    assert around_seed(text, 7, "another", "fog") == [text]
    assert around_seed("", 7, "a tree", "") == []


# In a browser --------------------------------------------------------------------------


def test_it_shows_every_image_from_the_disk(shown):
    shown.open()
    assert shown.summary == f"{4 * len(PROMPTS) + 2} images"
    assert shown.names[:3] == ["weak/plain_1", "strong/plain_1", "weak/plain_2"]
    shown.until("[...document.querySelectorAll('.cell img.there')].length > 20")
    assert not shown.page.query_selector(".cell.gone")


def test_texts_are_text_whatever_they_hold(shown):
    for prompt in PROMPTS:
        shown.open(f"#image=weak%2F{prompt.name}_1")
        assert shown.page.eval_on_selector(".prompt", "it => it.textContent") == prompt.prompt
        assert (
            shown.page.query_selector(".facts i i, .facts .prompt *, .facts script, .facts .alarm b") is None
        )
    assert shown.page.query_selector_all("script").__len__() == 2


def test_the_policy_lets_no_other_script_run_and_nothing_be_fetched(shown):
    shown.open()
    said = shown.page.evaluate(
        """async () => {
            const said = [];
            addEventListener("securitypolicyviolation", (event) => said.push(event.effectiveDirective));
            const script = document.createElement("script");
            try { script.textContent = "window.ran = true"; } catch { said.push("no text of a script"); }
            document.body.append(script);
            try { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = true'>"); } catch { said.push("no markup"); }
            await fetch("file:///etc/hostname").catch(() => said.push("no fetch"));
            const image = new Image();
            image.src = "https://promptflux.invalid/pixel.png";
            document.body.append(image);
            await new Promise((resolve) => setTimeout(resolve, 200));
            return [said, window.ran ?? false];
        }"""
    )
    assert said[1] is False
    assert {"no text of a script", "no markup", "no fetch", "img-src"} <= set(said[0])
    shown.asked[:] = [
        url for url in shown.asked if "promptflux.invalid" not in url
    ]  # refused, and noted all the same


def answers_of(study: dict, classifier: int = 0, engine: str = "flux"):
    """Of each image the label seen, by its number, and how sure; what the page is to agree with."""
    with open_predictions(study["classifiers"][classifier]["predictions"][engine][0]) as file:
        return file.names, file.logits.argmax(1), file.probabilities.max(1)


def test_filters_count_what_the_results_say(study, shown):
    names, seen, sure = answers_of(study)
    truth = dict(
        line.split("\t")[:2] for line in content_of(study["classifiers"][0]["truth"]).splitlines()[1:]
    )
    right = [name for name, label in zip(names, seen, strict=True) if truth[name] == LABELS[label]]
    assert 0 < len(right) < len(names)
    assert shown.count("#verdict=right") == len(right)
    assert shown.count("#verdict=wrong") == sum(bool(truth[name]) for name in names) - len(right)
    assert shown.count("#verdict=not+asked") == sum(not truth[name] for name in names)
    assert shown.count("#seen=city") == int((seen == 1).sum())
    assert shown.count("#asked=city&asked=forest") == sum(truth[name] in ("city", "forest") for name in names)
    assert shown.count("#variant=weak") == 2 * len(PROMPTS)
    assert shown.count("#prompt=town&prompt=money&variant=weak") == 4
    assert shown.count("#low=60") == int((sure >= 0.6).sum())
    assert shown.count("#low=30&high=60") == int(((sure >= 0.3) & (sure <= 0.6)).sum())
    assert shown.count("#classifier=other&engine=torch&seen=city") == int(
        (answers_of(study, 1, "torch")[1] == 1).sum()
    )
    for key, expected in {
        "engines=differ": DIFFERING,
        "pattern=yes": ["broken"],
        "safety=yes": ["weak/plain_1"],
        "problem=yes": ["weak/plain_2"],
        "alike=yes": ["weak/town_1", "strong/money_1", "weak/money_1"],
        "alike=yes&classifier=other": [],
        "q=gh%C3%A1": [],
        "q=NIGHT+town": ["weak/town_1", "strong/town_1", "weak/town_2", "strong/town_2"],
        "q=town_2+weak": ["weak/town_2"],
        "q=photo": ["photo"],
        "prompt=(own+images)": ["photo", "broken"],
    }.items():
        shown.open(f"#{key}")
        assert sorted(shown.names) == sorted(expected), key


def test_no_match_is_said_and_filters_are_taken_away(shown):
    shown.open("#q=nothing+like+it&low=20")
    assert shown.page.is_visible("#none") and shown.summary.startswith("0 of")
    assert not shown.page.is_visible("#grid")
    assert [it.inner_text() for it in shown.page.query_selector_all(".chip")] == [
        "“nothing like it”",
        "20 to 100% sure",
    ]
    shown.page.click("text=Clear all filters")
    assert shown.summary == f"{4 * len(PROMPTS) + 2} images"
    shown.until("location.hash === ''")


def test_a_click_filters_counts_follow_and_the_address_leads_back(shown):
    shown.open()
    shown.page.click("#filters label:has-text('weak')")
    shown.until("location.hash === '#variant=weak'")
    assert shown.summary.startswith(f"{2 * len(PROMPTS)} of")
    counts = dict(
        zip(
            *[iter(shown.text("#filters fieldset:has(legend:text('Prompt'))").split("\n")[1:])] * 2,
            strict=False,
        )
    )
    assert counts["town"] == "2" and "(own images)" not in counts
    other = shown.text("#filters fieldset:has(legend:text('Variant'))").split("\n")
    assert other[other.index("strong") + 1] == str(2 * len(PROMPTS))  # as many as there would be with it


def test_sorting(study, shown):
    names, _, sure = answers_of(study)
    by_sure = [names[row] for row in np.argsort(-sure, kind="stable")]
    shown.open("#sort=sure&size=72")
    assert shown.names[:30] == by_sure[:30]
    shown.open("#sort=unsure")
    assert shown.names[0] == by_sure[-1]
    shown.open("#sort=name")
    assert shown.names[:2] == ["broken", "photo"]
    shown.open("#sort=differ")
    assert set(shown.names[:2]) == set(DIFFERING)


def test_an_image_in_full(study, shown):
    shown.open("#image=weak%2Ftown_1")
    text = shown.text("#image")
    for piece in (
        "a city at night",
        "weak",
        "small",
        "other",
        "PyTorch",
        "guidance scale\n1.5",
        "48 × 32 pixels",
        "asked",
    ):
        assert piece in text, piece
    assert "more than rounding" in text
    figures = shown.page.query_selector_all(".drawing img")
    assert len(figures) == 2 and "model_output.png" in figures[0].get_attribute("src")
    assert shown.text(".drawing figcaption") == "The <i>probabilities</i>."
    shown.until("document.querySelector('.preprocessed img').naturalWidth === 28")
    shown.open("#image=weak%2Fplain_2")
    assert "It is no picture of the prompt: it is <b>one</b> color" in shown.text("#image")
    shown.open("#image=broken")
    assert "A test pattern stands in for it, since broken.png is not" in shown.text("#image")
    shown.open("#image=photo")
    shown.until("document.querySelector('.stage img').naturalWidth === 300")


@pytest.mark.parametrize(
    "name", ["weak/town_1", "strong/braces_2", "weak/quoted_1", "weak/arabic_2", "strong/emoji_1"]
)
def test_what_is_copied_makes_the_image_again(study, browser, name, tmp_path):
    context = browser.new_context(viewport=WIDE, permissions=["clipboard-read", "clipboard-write"])
    it = Shown(context.new_page(), study["output"]).open(f"#image={name.replace('/', '%2F')}")

    def copied(what: str) -> str:
        it.page.click(f"[data-copies={what}]")
        it.until(f"document.querySelector('[data-copies={what}]').textContent === 'Copied'")
        return it.page.evaluate("navigator.clipboard.readText()")

    image = Path(Results.of(study["output"]).image(name))
    head = read_head(image)
    assert copied("parameters") == head["parameters"]
    (tmp_path / "prompts.tsv").write_text(copied("row"), encoding="utf-8")
    [prompt] = read_prompts(tmp_path / "prompts.tsv")
    asked = next(row for row in PROMPTS if row.name == prompt.name)
    assert (prompt.prompt, prompt.negative_prompt) == (asked.prompt, asked.negative_prompt)
    assert prompt.images == int(name[-1]) and prompt.label == asked.label
    assert prompt.seed == (5 if asked.seed is None else asked.seed)
    config = copied("config")
    assert (
        f"guidance_scale: {VARIANTS[name.split('/')[0]]['guidance_scale']}" in config
        and "steps: 20" in config
    )
    context.close()


def test_keys_move_open_mark_and_compare(shown):
    page = shown.open("#size=300").page
    page.focus(".cell[tabindex='0']")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.querySelector('.name').textContent") == "strong/plain_1"
    page.keyboard.press("End")
    last = page.evaluate("document.activeElement.querySelector('.name').textContent")
    assert last == "broken"
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert page.is_visible("#tray")
    page.keyboard.press("c")
    assert page.is_visible("#compare")
    page.keyboard.press("Escape")
    assert not page.is_visible("#compare")
    page.focus(".cell[tabindex='0']")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert shown.text("#image-title") == "weak/plain_1"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("v")
    assert shown.text("#image-title") == "weak/plain_1"
    page.keyboard.press("Escape")
    assert not page.is_visible("#image")
    page.keyboard.press("/")
    page.keyboard.type("town")
    assert shown.summary.startswith("4 of")
    page.focus(".cell[tabindex='0']")
    page.keyboard.press("?")
    assert page.is_visible("#keys")


def test_closing_leads_to_the_image_that_was_seen_last(shown):
    page = shown.open().page
    page.click(".cell >> nth=0")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert shown.text("#image-title") == "strong/plain_2"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.querySelector('.name').textContent") == "strong/plain_2"


def test_images_that_are_alike_are_shown_the_nearest_first(shown):
    shown.open("#image=weak%2Ftown_1")
    strips = [
        re.sub(r"\s+", " ", it.inner_text()) for it in shown.page.query_selector_all("section:has(.strip)")
    ]
    assert "Nearly the same, to small weak/money_1, 0.0020 strong/money_1, 0.010" in strips
    assert "The nearest of your own images, to small photo, 0.50 broken, 0.70" in strips
    shown.page.click("text=weak/money_1, 0.0020")
    assert shown.page.is_visible("#compare") and "weak/money_1" in shown.text(".sides")


def test_labels_that_are_hardly_probable_are_folded(browser, tmp_path):
    arguments = make(tmp_path, PROMPTS[:2], labels=[f"label {number}" for number in range(12)])
    path = arguments["classifiers"][0]["predictions"]["torch"][0]
    with h5py.File(path, "r+") as file:
        file["probabilities"][0] = [0.9, 0.05, 0.02, 0.011, 0.009, 0.004, *[0.001] * 6]
    write_explorer(**{**arguments, "engines": {"torch": "PyTorch"}})
    it = Shown(browser.new_page(viewport=WIDE), arguments["output"]).open("#image=plain_1")
    rows = it.page.locator(".answers tbody tr")
    assert rows.count() == 12 and rows.locator("visible=true").count() == 4
    it.page.click("text=and 8 labels below 1%")
    assert rows.locator("visible=true").count() == 12 and it.text("button.more") == "Fewer labels"
    it.page.close()


def test_the_label_that_was_asked_is_there_among_many(browser, tmp_path):
    labels = [f"label {number}" for number in range(40)]

    def study(label: str) -> dict:
        prompts = [Prompt("one", "a thing", label=label)]
        return make(tmp_path, prompts, labels=labels, engines=("torch",), pictures=False)

    with open_predictions(study("label 0")["classifiers"][0]["predictions"]["torch"][0]) as file:
        least = labels[file.probabilities[0].argmin()]
    arguments = study(least)
    write_explorer(**arguments)
    it = Shown(browser.new_page(viewport=WIDE), arguments["output"]).open("#image=one_1")
    assert "The 5 most probable of 40 labels; the tables have all." in it.text(".answers")
    assert re.sub(r"\s+", " ", it.text(".answers tr:has(.asked)")) == f"{least} asked less"
    it.page.close()


def test_back_closes_what_was_opened(shown):
    page = shown.open("#variant=weak").page
    page.click(".cell >> nth=0")
    assert page.is_visible("#image")
    page.go_back()
    page.wait_for_selector("#image", state="hidden")
    assert page.url.endswith("#variant=weak") and shown.summary.startswith(f"{2 * len(PROMPTS)} of")
    page.go_forward()
    page.wait_for_selector("#image", state="visible")


def test_a_link_to_what_is_not_there_is_said(shown):
    shown.open("#image=weak%2Fgone_1")
    assert "This study has no image weak/gone_1." in shown.text("#none")
    assert shown.names
    shown.open("#compare=weak%2Ftown_1&compare=nothing")
    assert "This study has no image nothing." in shown.text("#none")


def test_two_variants_beside_each_other(shown):
    page = shown.open("#compare=weak%2Ftown_1&compare=strong%2Ftown_1").page
    assert [
        line.split() for line in shown.text("#compare .facts section:first-of-type tbody").split("\n")
    ] == [["guidance", "scale", "1.5", "7"]]
    page.focus("#compare .layers input")
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert page.eval_on_selector(".layers", "it => it.style.getPropertyValue('--cut')") == "40%"
    assert "40%" in page.eval_on_selector(".over", "it => getComputedStyle(it).clipPath")
    page.click("text=Side by side")
    assert page.query_selector_all(".pair .picture").__len__() == 2
    page.click("text=Difference")
    assert page.eval_on_selector(".over", "it => getComputedStyle(it).mixBlendMode") == "difference"
    page.click("[aria-label='The next pair (→)']")
    assert page.evaluate("new URLSearchParams(location.hash.slice(1)).getAll('compare')") or True
    assert "weak/town_2" in shown.text(".sides") and "strong/town_2" in shown.text(".sides")
    page.select_option("#compare select >> nth=0", "strong")  # that of the other side: they change places
    assert re.sub(r"\s+", " ", shown.text(".sides")).endswith("weak/town_2")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing(study, browser, scheme, size):
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    it = Shown(context.new_page(), study["output"])
    axe = Axe()
    views = {
        "": None,
        "#q=nothing+like+it": None,
        "#image=weak%2Ftown_1": None,
        "#image=weak%2Fplain_1": None,
        "#compare=weak%2Ftown_1&compare=strong%2Ftown_1": None,
        "#compare=weak%2Ftown_1&compare=photo&mode=beside": None,
        "#compare=weak%2Ftown_1&compare=strong%2Ftown_1&mode=difference": None,
        "#variant=weak": "#filters-button" if size is PHONE else "#keys-button",
    }
    for view, click in views.items():
        it.open(view)
        if click:
            it.page.click(click)
        # What is not a matter of color is the same in the dark.
        found = axe.run(it.page, options={"runOnly": ["color-contrast"]} if scheme == "dark" else None)
        assert found.violations_count == 0, (view, found.generate_report())
    assert it.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_without_javascript_a_sentence_stands_there(study, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(Path(study["output"]).as_uri())
    assert "JavaScript is switched off. The report needs none." in page.inner_text("body")
    assert not page.is_visible("#app")
    context.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"engines": ("torch",)},
        {"classifiers": ()},
        {"prompts": [], "own": {"photo": ""}},
        {"pictures": False},
        {"variants": VARIANTS, "each": 1, "classifiers": ()},
    ],
    ids=["one engine", "no classifier", "own images alone", "no files", "variants without a classifier"],
)
def test_what_a_study_does_not_have_is_left_out(browser, tmp_path, changes):
    arguments = make(tmp_path, changes.pop("prompts", PROMPTS[:3]), **changes)
    write_explorer(**arguments)
    it = Shown(browser.new_page(viewport=WIDE), arguments["output"]).open()
    assert it.names
    it.page.click(".cell >> nth=0")
    assert it.page.is_visible("#image")
    assert ("Engines" in it.text("#filters")) == (
        len(arguments["engines"]) > 1 and bool(arguments["classifiers"])
    )
    assert ("Confidence" in it.text("#filters")) == bool(arguments["classifiers"])
    if not changes.get("pictures", True):
        assert "The file is not there." in it.text("#image")
    assert it.complaints == []
    it.page.close()


def test_of_many_images_few_are_in_the_page(browser, tmp_path):
    prompts = [Prompt(f"p{number}", f"forest {number}") for number in range(300)]
    arguments = make(tmp_path, prompts, each=10, pictures=False)
    write_explorer(**arguments)
    it = Shown(browser.new_page(viewport=WIDE), arguments["output"]).open()
    assert it.summary == "3,000 images" and it.names[0] == "p0_1"
    assert len(it.page.query_selector_all(".cell")) < 150
    it.page.focus(".cell[tabindex='0']")
    it.page.keyboard.press("End")
    assert it.page.evaluate("document.activeElement.querySelector('.name').textContent") == "p299_10"
    it.page.eval_on_selector("#grid", "it => it.scrollTo(0, it.scrollHeight / 2)")
    it.until("[...document.querySelectorAll('.cell .name')].some((name) => name.textContent === 'p150_1')")
    rows = it.page.eval_on_selector_all(
        ".row:not(.free)",
        "all => all.map((row) => [Number(row.getAttribute('aria-rowindex')), row.getBoundingClientRect().top])",
    )
    [step] = {
        round(b[1] - a[1], 2) / (b[0] - a[0]) for a, b in zip(sorted(rows), sorted(rows)[1:], strict=False)
    }
    assert step > 100
    assert len(it.page.query_selector_all(".cell")) < 200
    it.page.close()
