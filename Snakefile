"""promptflux: prompts to images to tensors to predictions, in Python and in Julia."""

from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

if Path("config.yaml").is_file():

    configfile: "config.yaml"


report: "captions/study.rst"


include: "rules/common.smk"
include: "rules/generate.smk"
include: "rules/preprocess.smk"
include: "rules/models.smk"
include: "rules/infer.smk"
include: "rules/parity.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/record.smk"


rule all:
    default_target: True
    input:
        RESULTS.report,
        RESULTS.manifest,
        LOST_IMAGES,
