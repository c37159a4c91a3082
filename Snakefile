"""promptflux: prompts to images to tensors to predictions, in Python and in Julia."""

from snakemake.utils import min_version

min_version("9.27")


report: "captions/study.rst"


include: "rules/common.smk"  # reads config.yaml, checks it, and has what the rules share
include: "rules/fetch.smk"
include: "rules/generate.smk"
include: "rules/preprocess.smk"
include: "rules/models.smk"
include: "rules/infer.smk"
include: "rules/explain.smk"
include: "rules/parity.smk"
include: "rules/map.smk"
include: "rules/figures.smk"
include: "rules/metrics.smk"
include: "rules/variants.smk"
include: "rules/explorer.smk"
include: "rules/compare.smk"
include: "rules/report.smk"
include: "rules/record.smk"


rule all:
    default_target: True
    input:
        RESULTS.report,
        RESULTS.manifest,
        EXPORTED,
        LOST_IMAGES,
