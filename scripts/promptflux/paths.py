"""Every file below `results/`, a function each: what rules, scripts and the report say of places comes from here."""

from collections.abc import Iterable
from pathlib import Path


class Results:
    """The results of a study, where `root` stands before `results/`.

    root: "" in the working folder; in a copy of an object storage, or where a module statement
    has a prefix, the path up to the folder `results`, with a slash at its end. The rules
    ask with wildcards in place of names: `Results().image("{image}")`.
    """

    def __init__(self, root: str = ""):
        self.root = root

    @classmethod
    def of(cls, file: str | Path) -> "Results":
        """The results that `file` lies in."""
        return cls(str(file)[: f"/{file}".rindex("/results/")])

    def __call__(self, name: str = "") -> str:
        """The file `name`, relative to the folder of the results; that folder itself without a name."""
        return f"{self.root}results/{name}" if name else f"{self.root}results"

    def name(self, file: str | Path) -> str:
        """The inverse of a call: what `file` is called in these results."""
        return str(file).removeprefix(f"{self.root}results/")

    # What is made, in the order of the flow

    def fetched(self, model: str) -> str:
        """What was fetched of the hub, as JSON; the files are in the cache of Hugging Face."""
        return self(f"fetched/{model}.json")

    @property
    def generators(self) -> str:
        """The settings of each variant, for the jobs that hold all of them to the prompts."""
        return self("requests/generators.json")

    def image(self, image: str) -> str:
        return self(f"images/{image}.png")

    def images(self, names: Iterable[str]) -> list[str]:
        return [self.image(name) for name in names]

    @property
    def metadata(self) -> str:
        """What was asked of each generated image: makes their folder a data set."""
        return self("images/metadata.jsonl")

    def checksums(self, batch: str) -> str:
        """The SHA-256 of each generated image of a batch; it stands for them in the rules."""
        return self(f"checksums/{batch}.sha256")

    def costs(self, batch: str) -> str:
        """What each generated image of a batch cost, in a study with variants."""
        return self(f"benchmarks/images/{batch}.tsv")

    def preprocessed(self, input_name: str, image: str) -> str:
        return self(f"preprocessed/{input_name}/{image}.png")

    def tensors(self, input_name: str, batch: str) -> str:
        return self(f"tensors/{input_name}/{batch}.h5")

    def model(self, classifier: str, suffix: str) -> str:
        """A classifier's description and weights, as an engine loads them (`Engine.model`)."""
        return self(f"models/{classifier}{suffix}")

    def export(self, classifier: str, suffix: str) -> str:
        """A classifier for others."""
        return self(f"exports/{classifier}.{suffix}")

    def predictions(self, classifier: str, engine: str, batch: str) -> str:
        return self(f"predictions/{classifier}/{engine}/{batch}.h5")

    def predictions_table(self, classifier: str, engine: str) -> str:
        return self(f"predictions/{classifier}/{engine}.tsv")

    def activations(self, classifier: str, engine: str, batch: str) -> str:
        """What each channel of each layer gave for the images of a batch."""
        return self(f"explanations/{classifier}/activations/{engine}/{batch}.h5")

    def activations_table(self, classifier: str) -> str:
        """The same over all images of the study."""
        return self(f"explanations/{classifier}/activations.tsv")

    def activations_figure(self, classifier: str) -> str:
        return self(f"figures/{classifier}/activations.png")

    def explanations(self, classifier: str, engine: str, batch: str) -> str:
        """Maps of why a classifier says what it says of some images."""
        return self(f"explanations/{classifier}/maps/{engine}/{batch}.h5")

    def parity_table(self, classifier: str, engine: str) -> str:
        """`engine` beside the reference."""
        return self(f"parity/{classifier}/{engine}.tsv")

    def parity_figure(self, classifier: str, engine: str) -> str:
        return self(f"parity/{classifier}/{engine}.png")

    def truth(self, classifier: str) -> str:
        """What is asked of each image: one of the classifier's labels, or none that is known."""
        return self(f"truth/{classifier}.tsv")

    def features(self, classifier: str, batch: str) -> str:
        """What the layer before the last of a classifier gives."""
        return self(f"features/{classifier}/{batch}.h5")

    def map_table(self, classifier: str) -> str:
        """Where each image lies."""
        return self(f"map/{classifier}_map.tsv")

    def map_figure(self, classifier: str) -> str:
        return self(f"map/{classifier}_map.png")

    def duplicates_table(self, classifier: str) -> str:
        """The pairs of generated images that are nearly the same."""
        return self(f"map/{classifier}_duplicates.tsv")

    def nearest_table(self, classifier: str) -> str:
        """The user's own images nearest to each generated one."""
        return self(f"map/{classifier}_nearest.tsv")

    def metrics(self, classifier: str) -> str:
        """How well a classifier sees what is asked, a row for each number."""
        return self(f"metrics/{classifier}.tsv")

    def reliability_figure(self, classifier: str) -> str:
        return self(f"figures/{classifier}/reliability.png")

    def confusion_table(self, classifier: str) -> str:
        return self(f"figures/{classifier}/confusion.tsv")

    def confusion_figure(self, classifier: str) -> str:
        return self(f"figures/{classifier}/confusion.png")

    def figure(self, classifier: str, image: str, name: str) -> str:
        """A figure of one image as one classifier sees it."""
        return self(f"figures/{classifier}/{image}/{name}.png")

    def sheet(self, prompt: str) -> str:
        """An image of a prompt as each variant makes it."""
        return self(f"figures/sheets/{prompt}.png")

    def axis_figure(self, axis: str) -> str:
        """What changes along a numeric axis of the variants."""
        return self(f"figures/axes/{axis}.png")

    def variants_table(self, classifier: str) -> str:
        """What a classifier says, a row for each variant."""
        return self(f"variants/{classifier}.tsv")

    @property
    def costs_table(self) -> str:
        """What an image costs, a row for each variant."""
        return self("variants.tsv")

    @property
    def gallery(self) -> str:
        return self("figures/gallery.png")

    @property
    def times_figure(self) -> str:
        return self("figures/where_the_time_went.png")

    @property
    def report(self) -> str:
        return self("report.html")

    @property
    def explorer(self) -> str:
        """A page on every image, with links to the files of these results."""
        return self("explorer.html")

    @property
    def manifest(self) -> str:
        """The SHA-256 of each image and table of predictions."""
        return self("manifest.sha256")

    @property
    def study(self) -> str:
        """What was asked: the config and the prompts."""
        return self("study.json")

    @property
    def batches(self) -> str:
        """The images of each batch."""
        return self("batches.tsv")

    def comparison(self, other: str, file: str) -> str:
        """A table or figure of this study beside another one."""
        return self(f"comparison/{other}/{file}")

    @property
    def verified(self) -> str:
        """Each image and table beside those of another run."""
        return self("verify.tsv")

    # What was made for what: see files/made.py

    def request(self, job: str) -> str:
        """What a job is asked."""
        return self(f"requests/{job}.json")

    def job_of(self, request: str | Path) -> str:
        """The job of a request."""
        return self.name(request).removeprefix("requests/").removesuffix(".json")

    def made(self, job: str) -> str:
        """What a job made, and for which request."""
        return self(f"made/{job}.json")

    # What Snakemake writes of the jobs

    def log(self, job: str) -> str:
        return self(f"logs/{job}.log")

    def benchmark(self, job: str) -> str:
        return self(f"benchmarks/{job}.tsv")


HERE = Results()  # those of the working folder, as the rules name them
