# Everything that a study made, in one page.
#
# in:  the gallery, predictions, parity tables and figures
# out: results/report.html


def predictions_of(classifier):
    return {engine: f"results/predictions/{classifier}/{engine}.tsv" for engine in ENGINES}


def parity_of(classifier, suffix):
    """The parity table or figure of a classifier, if both engines run."""
    return f"results/parity/{classifier}.{suffix}" if len(ENGINES) == 2 else None


def classifier_section(classifier):
    """What the report shows of one classifier: texts, and the paths of its files."""
    spec = STUDY.classifiers[classifier]
    suffix = "architecture" if "flux" in ENGINES else "architecture_torch"
    return {
        "name": classifier,
        "description": spec.description,
        "input": spec.input.as_dict(),
        "architecture": f"results/models/{classifier}_{suffix}.txt",
        "predictions": predictions_of(classifier),
        "parity": parity_of(classifier, "tsv"),
        "parity_figure": parity_of(classifier, "png"),
        "confusion": f"results/figures/{classifier}/confusion.png",
        "figures": [{"image": image, "paths": figures_of(classifier, image)} for image in STUDY.chosen],
    }


def files_of_sections(wildcards):
    """Every file that the sections of the classifiers name."""
    files = []
    for section in map(classifier_section, STUDY.classifiers):
        single = (section[key] for key in ("architecture", "parity", "parity_figure", "confusion"))
        files += filter(None, single)
        files += section["predictions"].values()
        files += [path for figure in section["figures"] for path in figure["paths"]]
    return files


def benchmarks():
    """The benchmark files of the study's jobs, by stage."""
    found = {
        "generate": [f"generate/{batch}" for batch in STUDY.prompts_of],
        "preprocess": [f"preprocess/{name}/{batch}" for name in STUDY.inputs for batch in STUDY.image_batches],
    }
    for engine in ENGINES:
        found[f"infer_{engine}"] = [
            f"infer_{engine}/{classifier}/{batch}"
            for classifier in STUDY.classifiers
            for batch in STUDY.image_batches
        ]
    found["figures"] = ["gallery"] + [
        f"figures/{classifier}_{batch}"
        for classifier in STUDY.classifiers
        for batch in STUDY.image_batches
        if STUDY.chosen_in(batch)
    ]
    return {stage: [f"results/benchmarks/{job}.tsv" for job in jobs] for stage, jobs in found.items()}


rule report:
    message:
        "Writing the report"
    input:
        files_of_sections,
        gallery="results/figures/gallery.png",
        images=lambda wildcards: [STUDY.source(image) for batch in STUDY.image_batches.values() for image in batch],
        tensors=expand("results/tensors/{input_name}/{batch}.h5", input_name=STUDY.inputs, batch=STUDY.image_batches),
    output:
        "results/report.html",
    params:
        study=lambda wildcards: {"config": STUDY.config, "engines": ENGINES, "engine_note": ENGINE_NOTE},
        prompts=lambda wildcards: prompt_sections(),
        classifiers=lambda wildcards: [classifier_section(classifier) for classifier in STUDY.classifiers],
        benchmarks=lambda wildcards: benchmarks(),
    log:
        "results/logs/report.log",
    resources:
        mem_mb=2000,
        runtime=10,
    conda:
        ENVS["figures"]
    script:
        "../scripts/report.py"
