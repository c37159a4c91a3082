# The settings of the run, where everything lies, and what the rules have in common.

import os
import sys
from pathlib import Path

TRAINING = Path(workflow.basedir).resolve()
REPOSITORY = TRAINING.parent

# The one place where `promptflux` and `training` are put on a path: of the planner, and of the
# jobs, from whose environment Snakemake would take it away where conda makes one.
ROOTS = [str(REPOSITORY / "scripts"), str(REPOSITORY)]
sys.path[:0] = ROOTS
os.environ["PYTHONPATH"] = os.pathsep.join([*ROOTS, *filter(None, [os.environ.get("PYTHONPATH")])])
workflow.deployment_settings.conda_not_block_search_path_envvars = True

from promptflux.runtime.code import python_digest
from promptflux.runtime.gpu import visible_gpus
from promptflux.schema import Schema

# The settings, with numbers and true or false read from the text that --config gives.
SCHEMA = Schema(str(TRAINING / "config"))
SETTINGS = SCHEMA.typed(config)
if problems := SCHEMA.problems(SETTINGS, "config"):
    sys.exit("\n".join(["The training cannot start.", *problems]))
SCALE, FROM_EMBEDDED, THREADS = SETTINGS["scale"], SETTINGS["from_embedded"], SETTINGS["threads"]

# In one place: Snakemake 10 will change how they are named.
ENVS = {"train": "../envs/train.yaml"}
MODELS = REPOSITORY / "models"
TRAINED = "results/trained"
CHECKPOINTS = f"{TRAINED}/checkpoints"

# The drawings, by their seeds: those that all learn from, and those that no training sees.
DRAWINGS = {
    "drawings": {"first_seed": 0, "count": 60_000},
    "held_out": {"first_seed": 1_000_000, "count": 2_000},
}
FIRST_SEEDS = [part["first_seed"] for part in DRAWINGS.values()]
# What makes latents of drawings, and what makes pictures of latents: the same, with a decoder that went on alone.
ENCODER = MODELS / "scenes/vae" if FROM_EMBEDDED else f"{TRAINED}/autoencoder"
AUTOENCODER = MODELS / "scenes/vae" if FROM_EMBEDDED else f"{TRAINED}/sharp_autoencoder"


def scaled(drawings):
    """A number of drawings, at the scale of this run."""
    return max(64, round(drawings * SCALE))


def code_of(script):
    """A digest of a script of this workflow and of all code that it imports from here."""
    return python_digest(TRAINING / "scripts" / script, ROOTS)


def log_of(job):
    return f"results/logs/train/{job}.log"


def benchmark_of(job):
    return f"results/benchmarks/train/{job}.tsv"


def gpu_of_a_job():
    """1 if jobs of this run can have a GPU, else 0; `--resources gpu=N` says how many are used at once."""
    if "gpu" not in workflow.global_resources:
        gpus = len(visible_gpus())
        if not gpus:
            return 0
        workflow.register_resource("gpu", gpus)
    return min(1, workflow.global_resources["gpu"].value)


GPU = gpu_of_a_job()


def growing(amount):
    """A resource of which each further attempt gets more, as after an out-of-memory kill."""
    return lambda wildcards, attempt: attempt * amount
