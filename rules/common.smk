# The study: read and checked here, before any rule. What the rules ask of it is defined in
# scripts/promptflux/study/study.py.

import os
import sys

# The folder of this workflow, which another one may use as a module.
PROMPTFLUX = Path(str(workflow.current_basedir)).resolve().parent
# The one place where the package is put on a path: for planning, and for every job.
sys.path.insert(0, str(PROMPTFLUX / "scripts"))

from promptflux.errors import StudyError
from promptflux.generation.context import context_warnings, unknown_words, unknown_words_warning
from promptflux.paths import Results
from promptflux.report.sections import benchmarks, classifier_sections, figures_of, files_of, gallery_rows
from promptflux.runtime.code import julia_digest, python_digest
from promptflux.runtime.gpu import visible_gpus
from promptflux.study.changes import changes, listed
from promptflux.study.engines import ENGINES, REFERENCE, choose_engines, flux_of_run
from promptflux.study.resources import figures_needs, generate_needs, infer_needs, preprocess_needs
from promptflux.study.stages import compared
from promptflux.study.study import load_study

JULIA = PROMPTFLUX / "julia"

# The conda environments, in one place: Snakemake 10 will change how they are named.
ENVS = {path.stem: f"../envs/{path.name}" for path in (PROMPTFLUX / "envs").glob("*.yaml")}


def read_study():
    """The study that the config asks for; a mistake in it ends the run with its sentences."""
    try:
        return load_study(config, [Path("."), PROMPTFLUX])
    except StudyError as error:
        sys.exit(f"The study cannot start.\n{error}")


def read_engines():
    """The engines that run, and a sentence on them."""
    with_conda = "CONDA" in {method.name for method in workflow.deployment_settings.deployment_method}
    threads = STUDY.config["inference"]["threads"]
    try:
        flux = flux_of_run(JULIA, workflow.is_main_process, with_conda, threads)
        return choose_engines(STUDY.config["engines"], {"flux": flux})
    except StudyError as error:
        sys.exit(f"The study cannot start.\n{error}")


STUDY = read_study()
# The rules' files; a module statement may put a prefix before them, which is where they lie.
RESULTS = Results()
LYING = Results.of(workflow.modifier.path_modifier.replace_prefix(RESULTS("x")))
RUNNING, ENGINE_NOTE = read_engines()
INFERENCE = STUDY.config["inference"]

# Snakemake writes `config` into the text of every Julia script, where a `$` is code. What
# the rules need of it is in STUDY, so nothing of it stays.
config = {}


# The images that generate declares, and those that preprocess takes one by one, batch by batch;
# and those that Snakemake brings to the jobs that look at all. See rules/generate.smk.
REMOTE_STORAGE = workflow.storage_settings.default_storage_provider is not None
LOST, EDITED = STUDY.lost_and_edited(LYING)
GENERATED = {batch: STUDY.image_batches[batch] for batch in STUDY.prompts_of}
DECLARED_IMAGES, SEEN_IMAGES = [GENERATED] * 2 if REMOTE_STORAGE else (LOST, EDITED)
BROUGHT_IMAGES = RESULTS.images(STUDY.prompt_of_image) if REMOTE_STORAGE else []
LOST_IMAGES = [file for names in LOST.values() for file in RESULTS.images(names)]

# A study of the user's own images alone has no table.
PROMPTS_TABLES = [str(STUDY.prompts_path)] if STUDY.prompts_path else []
PREDICTION_TABLES = [
    RESULTS.predictions_table(classifier, engine.name)
    for classifier in STUDY.classifiers
    for engine in RUNNING
]
IMAGES = sum(map(len, STUDY.image_batches.values()))

# The engine that the figures show (its files are like the others'), and how they look.
FIGURE_ENGINE = RUNNING[0].name
FIGURE_STYLE = {key: STUDY.config["figures"][key] for key in ("colormap", "dpi")}


def gpu_of_a_job():
    """1 if jobs of this run can have a GPU, else 0.

    How many GPUs are used at once is set by `--resources gpu=N`, or else by the number in this machine.
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


def infer_resource(resource):
    """A resource of the job that runs a classifier on a batch."""
    return growing(lambda wildcards: infer_needs(STUDY, wildcards.classifier, wildcards.batch)[resource])


# A param of every rule, so that results follow the code that makes them.


def code_of(script, *data):
    """A digest of what runs with a script of scripts/. data: files that it reads, relative to the workflow."""
    roots = [PROMPTFLUX / "scripts"]
    return python_digest(PROMPTFLUX / "scripts" / script, roots, [PROMPTFLUX / path for path in data])


def julia_code_of(script):
    """The same of a script of julia/, which runs with the whole package."""
    package = [*JULIA.glob("src/**/*.jl"), *JULIA.glob("ext/*.jl")]
    return julia_digest([JULIA / script, JULIA / "activate.jl", *package])


def code_of_engine(engine):
    """The same of the script that runs an engine."""
    script = Path(engine.script)
    return julia_code_of(script.name) if script.suffix == ".jl" else code_of(script.name)


# What the study reads is local(): it lies where the config says, also if the results go to
# object storage, or to a folder that a module statement puts before them.


def sources_of(images):
    """The input files that stand for images: the checksums of their batches, and the user's own files.

    With remote storage also the images themselves, as Snakemake brings only what is declared.
    """
    generated = [image for image in images if image not in STUDY.own_images]
    own = local([STUDY.source(image) for image in images if image in STUDY.own_images])
    batches = [batch for batch, names in GENERATED.items() if not set(names).isdisjoint(generated)]
    brought = RESULTS.images(generated) if REMOTE_STORAGE else []
    return [RESULTS.checksums(batch) for batch in batches] + own + brought


def spec_of(wildcards):
    """The spec of a classifier."""
    return local(str(STUDY.classifiers[wildcards.classifier].path))


def weights_of(wildcards):
    """The file with the weights of a classifier; none if they come from a seed."""
    path = STUDY.classifiers[wildcards.classifier].weights_path
    return local(str(path)) if path else []


def tensors_of(wildcards):
    """The tensors of a batch as a classifier wants them."""
    return RESULTS.tensors(STUDY.classifiers[wildcards.classifier].input.name, wildcards.batch)


def prompt_warnings():
    """Warnings on prompts that are too long for the model or have words that it never learnt, where that can be told."""
    if STUDY.generator is None or not STUDY.generator.is_folder:
        return []
    folder, prompts = STUDY.generator.model, {prompt.name: prompt.prompt for prompt in STUDY.prompts}
    unknown = unknown_words(folder, prompts.values())
    found = [unknown_words_warning(STUDY.config["generator"]["model"], unknown)] if unknown else []
    return found + context_warnings(folder, prompts)


def changes_since_last_run():
    """What differs from the last complete run, and from the images that it made, one sentence each."""
    found = changes(STUDY.config, STUDY.prompts, LYING.study)
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
    engine="|".join(ENGINES),
    image="[A-Za-z0-9][A-Za-z0-9_.-]*",
    input_name="[A-Za-z0-9][A-Za-z0-9_-]*",


onstart:
    print(ENGINE_NOTE, *prompt_warnings(), sep="\n", file=sys.stderr)


onsuccess:
    print(ENGINE_NOTE, file=sys.stderr)
    if Path(LYING.report).is_file():
        print(f"The report is {Path(LYING.report).resolve()}", file=sys.stderr)
