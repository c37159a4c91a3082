# The study: read and checked here, before any rule. What the rules ask of it is defined in
# scripts/promptflux/study/study.py.

import re
import sys
import tempfile
from functools import cache
from pathlib import Path

# The folder of this workflow, which another one may use as a module.
PROMPTFLUX = Path(str(workflow.current_basedir)).resolve().parent
# The one place where the package is put on a path: for planning, and for every job.
sys.path.insert(0, str(PROMPTFLUX / "scripts"))

from promptflux.errors import StudyError
from promptflux.files.digests import Digests, remember, remembered
from promptflux.files.made import bring_up_to_date
from promptflux.files.whole import clear_partial_files, sha256_of_text
from promptflux.generation.context import prompt_warnings
from promptflux.generation.generator import hub_name
from promptflux.paths import Results
from promptflux.report.sections import (
    benchmarks,
    classifier_sections,
    comparison_sections,
    explored_classifiers,
    files_of,
    files_of_variants,
    gallery_rows,
    variants_section,
)
from promptflux.runtime.code import Sources, julia_digest, python_digest
from promptflux.runtime.gpu import visible_gpus
from promptflux.study.changes import changes, listed
from promptflux.study.conda import FOUND, find_flux_in_conda
from promptflux.study.config import CONFIG, user_config
from promptflux.study.disk import check_free_disk
from promptflux.study.engines import ENGINES, REFERENCE, choose_engines, find_flux, flux_of_run
from promptflux.study.exports import EXPORTS, asks_for_flux, check_exports
from promptflux.study.jobs import jobs_of
from promptflux.study.resources import (
    PREPROCESS_THREADS,
    explain_needs,
    features_mb,
    figures_needs,
    generate_needs,
    infer_needs,
    map_needs,
    metrics_needs,
    model_needs,
    opening_mb,
    preprocess_needs,
)
from promptflux.study.stages import compared
from promptflux.study.study import load_study
from promptflux.study.umap import check_umap

JULIA = PROMPTFLUX / "julia"

# The conda environments, in one place: Snakemake 10 will change how they are named.
ENVS = {path.stem: f"../envs/{path.name}" for path in (PROMPTFLUX / "envs").glob("*.yaml")}


def read_config():
    """What the user wants other than the defaults, as `configfile:` lays it over each other.

    Snakemake itself would run what a `config.yaml` has under `__use_yte__`, keep the last of a
    key given twice, and end with a traceback in some that are no config.
    """
    if workflow.modifier.skip_configfile:
        return config  # of the workflow that has this one as a module
    settings = workflow.config_settings
    given, has_own = user_config(settings.configfiles, settings.config, settings.replace_workflow_config)
    if has_own:
        workflow.configfiles.append(CONFIG)  # for Snakemake's report, and for jobs on other machines
    return given


def read_study():
    """The study that the config asks for; a mistake in it ends the run with its sentences."""
    try:
        study = load_study(read_config(), [Path("."), PROMPTFLUX])
        check_umap(study.config["map"], WITH_CONDA)
        return study
    except StudyError as error:
        sys.exit(f"The study cannot start.\n{error}")


WITH_CONDA = "CONDA" in {method.name for method in workflow.deployment_settings.deployment_method}
if WITH_CONDA:
    # What `pip install --user` left in ~/.local would come before the packages of a job's environment.
    # Set for the commands of jobs alone, as Snakemake and its plugins may lie there themselves.
    shell.prefix(f"{shell._get_process_prefix()}export PYTHONNOUSERSITE=1; ")


def read_engines():
    """The engines that run, and a sentence on them."""
    threads = STUDY.config["inference"]["threads"]

    def find():
        if not asks_for_flux(STUDY.config["engines"], STUDY.config["export"]):
            return False, "no engine is asked for that needs Julia"
        if not WITH_CONDA:
            return find_flux(JULIA)
        if not workflow.is_main_process:
            return FOUND  # a job elsewhere, of a run that found it
        prefix = workflow.deployment_settings.conda_prefix
        return find_flux_in_conda(JULIA, PROMPTFLUX / "envs/julia.yaml", prefix)

    try:
        paths = [tempfile.gettempdir(), LYING(), workflow.storage_settings.default_storage_prefix or ""]
        flux = flux_of_run(JULIA, workflow.is_main_process, threads, paths, find)
        check_exports(STUDY.config["export"], flux)
        return choose_engines(STUDY.config["engines"], {"flux": flux})
    except StudyError as error:
        sys.exit(f"The study cannot start.\n{error}")


STUDY = read_study()
# The rules' files; a module statement may put a prefix before them, which is where they lie.
RESULTS = Results()
LYING = Results.of(workflow.modifier.path_modifier.replace_prefix(RESULTS("x")))
RUNNING, ENGINE_NOTE = read_engines()

# Snakemake writes `config` into the text of every Julia script, where a `$` is code. What
# the rules need of it is in STUDY, so nothing of it stays.
config = {}


# With a remote storage Snakemake brings to a job what is declared, and knows what was made for what
# by its own records. Without, the results themselves say so: see scripts/promptflux/files/made.py.
REMOTE_STORAGE = workflow.storage_settings.default_storage_provider is not None
DIGESTS = Digests(".snakemake/promptflux_digests.json")
LOST, EDITED = STUDY.lost_and_edited(LYING, DIGESTS)
GENERATED = {batch: STUDY.image_batches[batch] for batch in STUDY.prompts_of}
# The images that generate declares, batch by batch, and those that jobs are brought. See rules/generate.smk.
DECLARED_IMAGES = GENERATED if REMOTE_STORAGE else LOST
BROUGHT_IMAGES = RESULTS.images(STUDY.prompt_of_image) if REMOTE_STORAGE else []
LOST_IMAGES = [file for names in LOST.values() for file in RESULTS.images(names)]

# A study of the user's own images alone has no table.
PROMPTS_TABLES = [str(STUDY.prompts_path)] if STUDY.prompts_path else []
PREDICTION_TABLES = [
    RESULTS.predictions_table(classifier, engine.name)
    for classifier in STUDY.classifiers
    for engine in RUNNING
]
EXPORTED = [
    EXPORTS[name].file(RESULTS, classifier)
    for classifier in STUDY.classifiers
    for name in STUDY.config["export"]
]
IMAGES = sum(map(len, STUDY.image_batches.values()))

FIGURE_ENGINE = RUNNING[0].name  # that the figures show; its files are like the others'
EXPLAINED = [batch for batch in STUDY.image_batches if STUDY.explained_in(batch)]


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


def model_resource(resource):
    """What the job that writes a classifier's model file needs of a resource."""
    return growing(lambda wildcards: model_needs(STUDY, wildcards.classifier)[resource])


def infer_resource(resource):
    """A resource of the job that runs a classifier on a batch."""
    return growing(lambda wildcards: infer_needs(STUDY, wildcards.classifier, wildcards.batch)[resource])


def explain_resource(resource):
    """A resource of the job in which a classifier says why, on a batch."""
    return growing(lambda wildcards: explain_needs(STUDY, wildcards.classifier, wildcards.batch)[resource])


def rule_name(*parts):
    """What a rule is called that is there for a batch, `generate_prompts01`, `generate_weak_prompts01`."""
    name = "/".join(parts)
    plain = re.sub(r"\W", "_", name)
    # The name of a variant may hold other characters, and one of a classifier and of a variant may run together.
    words = name.split("/")
    same = len(parts) + len(words) <= 4 and plain == "_".join(words)
    return plain if same else f"{plain}_{sha256_of_text(name)[:6]}"


# What each job is asked: a param of its rule, and the request that it is given.

CODE = {
    "explorer": {"data": sorted(PROMPTFLUX.glob("scripts/promptflux/report/explorer_page/*"))},
    "report": {
        "data": [f"scripts/promptflux/report/{name}.html.j2" for name in ("page", "numbers", "comparison")]
    },
    "export_bson": {"script": "julia/export_bson.jl"},
    **{engine.stage: {"script": engine.script} for engine in ENGINES.values()},
    **{engine.explain: {"script": engine.explains} for engine in ENGINES.values()},
}


KNOWN_CODE = ".snakemake/promptflux_code.json"
SOURCES = Sources(remembered(KNOWN_CODE))


@cache
def code_of(rule_name):
    """A digest of the code that a rule runs, so that its results follow it."""
    script = PROMPTFLUX / CODE.get(rule_name, {}).get("script", f"scripts/{rule_name}.py")
    if script.suffix == ".jl":  # it runs with the whole package
        package = [*JULIA.glob("src/**/*.jl"), *JULIA.glob("ext/*.jl")]
        return julia_digest([script, JULIA / "activate.jl", *package])
    data = CODE.get(rule_name, {}).get("data", [])
    return python_digest(script, [PROMPTFLUX / "scripts"], [PROMPTFLUX / path for path in data], SOURCES)


JOBS = jobs_of(
    STUDY,
    RUNNING,
    code_of,
    gallery_rows(STUDY),
    ENGINE_NOTE,
    {batch: LYING.images(names) for batch, names in EDITED.items()},
)


def asked_of(job):
    """What a job is asked; `job` may have wildcards."""
    return lambda wildcards: JOBS[job.format(**wildcards)].asked


def request_of(job):
    """The file with what a job is asked, which is new if it was made for something else."""
    return [] if REMOTE_STORAGE else RESULTS.request(job)


def check_disk():
    """End the run if what is still to be made does not fit on the disk."""
    try:
        check_free_disk(STUDY, RUNNING, LYING)
    except StudyError as error:
        sys.exit(f"The study cannot start.\n{error}")


DAMAGED = {}
if workflow.is_main_process and SOURCES.is_new:
    remember(KNOWN_CODE, SOURCES.to_know())
if workflow.is_main_process and not REMOTE_STORAGE:
    DAMAGED = bring_up_to_date({name: job.request(DIGESTS) for name, job in JOBS.items()}, LYING, DIGESTS)
    DIGESTS.save()
    STUDY.write_generators(LYING)
    check_disk()


# What the study reads is local(): it lies where the config says, also if the results go to
# object storage, or to a folder that a module statement puts before them. What counts is its content, which
# the request of a job has, not its time.


def users(files):
    """Input files of the user's own."""
    return local(files) if REMOTE_STORAGE else ancient(local(files))


def sources_of(images):
    """The input files that stand for images: the checksums of their batches, and the user's own files.

    With remote storage also the images themselves, as Snakemake brings only what is declared.
    """
    generated = [image for image in images if image not in STUDY.own_images]
    own = users([STUDY.source(image) for image in images if image in STUDY.own_images])
    batches = [batch for batch, names in GENERATED.items() if not set(names).isdisjoint(generated)]
    brought = RESULTS.images(generated) if REMOTE_STORAGE else []
    return [RESULTS.checksums(batch) for batch in batches] + own + brought


def fetched_for(generator):
    """The lists of what a generator has of the hub. With remote storage jobs share no cache, and each fetches for itself."""
    return [] if REMOTE_STORAGE else [RESULTS.fetched(hub_name(wanted)) for wanted in generator.of_the_hub()]


def spec_of(wildcards):
    """The spec of a classifier."""
    return users(str(STUDY.classifiers[wildcards.classifier].path))


def layers_of(wildcards):
    """The files that a classifier's spec is read from beside itself: an architecture, the weights beside a model."""
    return users([str(path) for path in STUDY.classifiers[wildcards.classifier].files[1:]])


def labels_of(wildcards):
    """The file with the labels of a classifier, where its spec names one."""
    path = STUDY.classifiers[wildcards.classifier].labels_file
    return users(str(path)) if path else []


def weights_of(wildcards):
    """The file with the weights of a classifier; none if they come from a seed."""
    path = STUDY.classifiers[wildcards.classifier].weights_path
    return users(str(path)) if path else []


def tensors_of(wildcards):
    """The tensors of a batch as a classifier wants them."""
    return RESULTS.tensors(STUDY.classifiers[wildcards.classifier].input.name, wildcards.batch)


def warnings():
    """What the model will not see in the prompts."""
    prompts = {prompt.name: prompt.prompt for prompt in STUDY.prompts}
    prompts |= {
        f"{prompt.name} (negative)": prompt.negative_prompt
        for prompt in STUDY.prompts
        if prompt.negative_prompt
    }
    models = {
        variant.settings.get("model", STUDY.config["generator"]["model"]): STUDY.generators[name]
        for name, variant in STUDY.grid.variants.items()
        if name in STUDY.generators
    }
    found = [
        prompt_warnings(prompts, model, generator.model if generator.is_folder else None)
        for model, generator in models.items()
    ]
    return list(dict.fromkeys(sentence for sentences in found for sentence in sentences))


def changes_since_last_run():
    """What differs from the last complete run, and from the images that it made, one sentence each."""
    found = changes(STUDY.config, STUDY.prompts, LYING.study)
    for images, what in (
        (LOST, ("is gone and is made again", "are gone and are made again")),
        (EDITED, ("was edited and is taken as it is", "were edited and are taken as they are")),
    ):
        if names := [name for batch in images.values() for name in batch]:
            found.append(f"results/images: {listed(names)} {what[len(names) > 1]}.")
    if files := [LYING(name) for names in DAMAGED.values() for name in names]:
        what = "is gone or damaged and is" if len(files) == 1 else "are gone or damaged and are"
        found.append(f"{listed(files)} {what} made again.")
    return found


# A dry-run shows this before Snakemake's own plan.
if workflow.is_main_process and (sentences := changes_since_last_run()):
    print(
        "Since the last complete run:",
        *(f"  {sentence}" for sentence in sentences),
        sep="\n",
        file=sys.stderr,
    )


# What the study does not have is no target; Snakemake says so.
def predictions_by_engine(batches):
    """The predictions files of some batches, classifier by classifier, of each engine by engine."""
    return [
        RESULTS.predictions(classifier, engine.name, batch)
        for classifier in STUDY.classifiers
        for engine in RUNNING
        for batch in batches
    ]


wildcard_constraints:
    batch="|".join(map(re.escape, STUDY.image_batches)),
    classifier="|".join(STUDY.classifiers),
    engine="|".join(ENGINES),
    input_name="|".join(STUDY.inputs),
    other="|".join(STUDY.compared),
    model="|".join(map(re.escape, STUDY.of_the_hub)),


onstart:
    clear_partial_files(LYING())
    print(ENGINE_NOTE, *warnings(), sep="\n", file=sys.stderr)


onsuccess:
    print(ENGINE_NOTE, file=sys.stderr)
    if Path(LYING.report).is_file():
        print(f"The report is {Path(LYING.report).resolve()}", file=sys.stderr)
