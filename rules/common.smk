# The study: read and checked here, before any rule. What the rules ask of it is defined in
# scripts/promptflux/study.py.

import sys

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from promptflux.changes import changes, listed
from promptflux.context import context_warnings, unknown_words, unknown_words_warning
from promptflux.engines import choose_engines, flux_of_run
from promptflux.errors import StudyError
from promptflux.gpu import visible_gpus
from promptflux.resources import figures_needs, generate_needs, infer_needs, preprocess_needs
from promptflux.results import benchmarks, classifier_sections, figures_of, files_of, gallery, sources_of
from promptflux.study import load_study

JULIA = Path(workflow.basedir).resolve() / "julia"

# The conda environment of each stage, in one place: Snakemake 10 will change how they are named.
ENVS = {
    stage: f"../envs/{stage}.yaml"
    for stage in ("generate", "preprocess", "torch", "julia", "figures", "train")
}


def read_study():
    """The study that the config asks for; a mistake in it ends the run with its sentences."""
    try:
        return load_study(config, [Path("."), Path(workflow.basedir)])
    except StudyError as error:
        sys.exit(f"The study cannot start.\n{error}")


def read_engines():
    """The engines that run, and a sentence on them."""
    with_conda = "CONDA" in {method.name for method in workflow.deployment_settings.deployment_method}
    try:
        flux = flux_of_run(JULIA, workflow.is_main_process, with_conda)
        return choose_engines(STUDY.config["engines"], flux)
    except StudyError as error:
        sys.exit(f"The study cannot start.\n{error}")


STUDY = read_study()
ENGINES, ENGINE_NOTE = read_engines()

# Snakemake writes `config` into the text of every Julia script, where a `$` is code. What
# the rules need of it is in STUDY, so nothing of it stays.
config.clear()


def images_of(names):
    """The files of generated images."""
    return [f"results/images/{name}.png" for name in names]


# The images that generate declares, and those that preprocess takes one by one, batch by batch.
# See rules/generate.smk.
REMOTE_STORAGE = workflow.storage_settings.default_storage_provider is not None
LOST, EDITED = STUDY.lost_and_edited(Path("results"))
DECLARED_IMAGES, SEEN_IMAGES = [STUDY.image_batches] * 2 if REMOTE_STORAGE else (LOST, EDITED)
LOST_IMAGES = [file for names in LOST.values() for file in images_of(names)]

# A study of the user's own images alone has no table.
PROMPTS_TABLES = [STUDY.prompts_path] if STUDY.prompts_path else []
PREDICTION_TABLES = expand(
    "results/predictions/{classifier}/{engine}.tsv", classifier=STUDY.classifiers, engine=ENGINES
)
IMAGES = sum(map(len, STUDY.image_batches.values()))

# The engine that the figures show (its files are like the other's), and how they look.
FIGURE_ENGINE = ENGINES[0]
FIGURE_STYLE = {key: STUDY.config["figures"][key] for key in ("colormap", "dpi")}


def gpu_of_a_job():
    """1 if jobs of this run can have a GPU, else 0.

    How many GPUs are used at once says `--resources gpu=N`, or else the count of this machine's.
    """
    if "gpu" not in workflow.global_resources:
        gpus = len(visible_gpus())
        if not gpus:
            return 0
        workflow.register_resource("gpu", gpus)
    return min(1, workflow.global_resources["gpu"].value)


GPU = gpu_of_a_job()


def growing(amount):
    """A resource of which each further attempt gets more, as after an out-of-memory kill.

    amount: a number, or a function of the wildcards.
    """
    return lambda wildcards, attempt: attempt * (amount(wildcards) if callable(amount) else amount)


def tensors_of(wildcards):
    """The tensors of a batch as a classifier wants them."""
    return f"results/tensors/{STUDY.classifiers[wildcards.classifier].input.name}/{wildcards.batch}.h5"


def prompt_warnings():
    """Warnings on prompts that are too long for the model or have words that it never learnt, where that can be told."""
    if STUDY.generator is None or not STUDY.generator.is_folder:
        return []
    folder, prompts = STUDY.generator.model, {prompt.name: prompt.prompt for prompt in STUDY.prompts}
    unknown = unknown_words(folder, prompts.values())
    found = [unknown_words_warning(STUDY.config["generator"]["model"], unknown)] if unknown else []
    return found + context_warnings(folder, prompts)


def changes_since_last_run():
    """What differs from the last complete run, and from the images that it made, a sentence each."""
    found = changes(STUDY.config, STUDY.prompts, "results/study.json")
    for images, what in (
        (LOST, ("is gone and is made again", "are gone and are made again")),
        (EDITED, ("was edited and is preprocessed again", "were edited and are preprocessed again")),
    ):
        if names := [name for batch in images.values() for name in batch]:
            found.append(f"results/images: {listed(names)} {what[len(names) > 1]}.")
    return found


# A dry-run shows this before Snakemake's own plan.
if workflow.is_main_process and (sentences := changes_since_last_run()):
    print(
        "Since the last complete run:",
        *(f"  {sentence}" for sentence in sentences),
        sep="\n",
        file=sys.stderr,
    )


wildcard_constraints:
    batch="[a-z]+[01]*",
    classifier="[A-Za-z0-9][A-Za-z0-9_-]*",
    engine="torch|flux",
    image="[A-Za-z0-9][A-Za-z0-9_.-]*",
    input_name="[A-Za-z0-9][A-Za-z0-9_-]*",


onstart:
    print(ENGINE_NOTE, *prompt_warnings(), sep="\n", file=sys.stderr)


onsuccess:
    print(ENGINE_NOTE, file=sys.stderr)
    if Path("results/report.html").is_file():
        print(f"The report is {Path('results/report.html').resolve()}", file=sys.stderr)
