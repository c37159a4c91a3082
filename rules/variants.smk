# Variants beside each other, in a study that has some.
#
# in:  the images of all variants; the tables of predictions, what was asked of each image, and what it cost
# out: results/figures/sheets/{prompt}.png  an image of a prompt as each variant makes it
#      results/variants/{classifier}.tsv    what the classifier says, a row for each variant
#      results/variants.tsv                 time and memory of an image, a row for each variant
#      results/figures/axes/{axis}.png      both along each axis that has numbers


for batch, prompts in STUDY.prompt_batches.items() if STUDY.has_variants else ():
    images = [f"{variant}/{prompt.name}_1" for variant in STUDY.generators for prompt in prompts]

    rule:
        name:
            rule_name("sheets", batch)
        input:
            images=sources_of(images),
            request=request_of(f"sheets/{batch}"),
        output:
            sheets=[
                report(
                    RESULTS.sheet(prompt.name),
                    caption="../captions/sheet.rst",
                    category="Variants",
                    labels={"prompt": prompt.name},
                )
                for prompt in prompts
            ],
        log:
            RESULTS.log(f"sheets/{batch}"),
        benchmark:
            RESULTS.benchmark(f"sheets/{batch}")
        conda:
            ENVS["figures"]
        resources:
            mem_mb=growing(lambda wildcards, images=images: 2000 + opening_mb(STUDY, images[:1])),
            runtime=growing(10 + len(images) // 100),
            disk_mb=10 + len(images),
        params:
            asked=asked_of(f"sheets/{batch}"),
        message:
            f"Drawing a sheet of {len(STUDY.generators)} variants for each of {len(prompts)} prompts ({batch})"
        script:
            "../scripts/sheets.py"


if STUDY.has_variants:

    rule variants:
        input:
            predictions=[
                RESULTS.predictions_table(classifier, FIGURE_ENGINE) for classifier in STUDY.classifiers
            ],
            truth=[RESULTS.truth(classifier) for classifier in STUDY.classifiers],
            costs=[RESULTS.costs(batch) for batch in STUDY.prompts_of],
            request=request_of("variants"),
        output:
            answers=report(
                [RESULTS.variants_table(classifier) for classifier in STUDY.classifiers],
                caption="../captions/variants.rst",
                category="Variants",
            ),
            costs_table=report(RESULTS.costs_table, caption="../captions/variants.rst", category="Variants"),
            figures=report(
                [RESULTS.axis_figure(axis.key) for axis in STUDY.grid.axes if axis.numbers],
                caption="../captions/axis.rst",
                category="Variants",
            ),
        log:
            RESULTS.log("variants"),
        conda:
            ENVS["figures"]
        resources:
            mem_mb=growing(1000),
            runtime=growing(10 + IMAGES // 1000),
            disk_mb=100,
        params:
            asked=asked_of("variants"),
        message:
            f"Comparing {len(STUDY.generators)} variants"
        script:
            "../scripts/variants.py"
