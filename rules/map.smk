# Where the images lie: what the layer before the last of each classifier gives of them, compared and drawn (config: map).
#
# in:  results/tensors/{input}/{batch}.h5, results/models/{classifier}.h5; the images, and a table of predictions
# out: results/features/{classifier}/{batch}.h5      the input of the last layer with weights, float16, an image a row. In
#                                                    PyTorch whichever engines run, as it reads the weights anyway
#      results/map/{classifier}_duplicates.tsv       the pairs of near-duplicates among the generated images
#      results/map/{classifier}_nearest.tsv          the user's own images nearest to each generated one
#      results/map/{classifier}_map.tsv and .png     all images on a plane


if STUDY.config["map"]:

    rule features:
        input:
            tensors=tensors_of,
            model=RESULTS.model("{classifier}", ENGINES["torch"].model),
            request=request_of("features/{classifier}/{batch}"),
        output:
            features=RESULTS.features("{classifier}", "{batch}"),
        log:
            RESULTS.log("features/{classifier}/{batch}"),
        benchmark:
            RESULTS.benchmark("features/{classifier}/{batch}")
        conda:
            ENVS["torch"]
        threads: STUDY.config["inference"]["threads"]
        resources:
            mem_mb=infer_resource("mem_mb"),
            runtime=infer_resource("runtime"),
            disk_mb=growing(lambda wildcards: features_mb(STUDY, wildcards.classifier, wildcards.batch)),
            gpu=GPU,
        params:
            asked=asked_of("features/{classifier}/{batch}"),
        message:
            "Keeping what the layer before the last of {wildcards.classifier} gives of {wildcards.batch}"
        script:
            "../scripts/features.py"

    rule map:
        input:
            features=[RESULTS.features("{classifier}", batch) for batch in STUDY.image_batches],
            predictions=RESULTS.predictions_table("{classifier}", FIGURE_ENGINE),
            truth=RESULTS.truth("{classifier}"),
            generated=sources_of(STUDY.prompt_of_image),
            own_images=users([str(STUDY.own_images[name].path) for name in sorted(STUDY.own_images)]),
            request=request_of("map/{classifier}"),
        output:
            places=RESULTS.map_table("{classifier}"),
            figure=report(
                RESULTS.map_figure("{classifier}"),
                caption="../captions/map.rst",
                category="Where the images lie",
                labels={"classifier": "{classifier}", "what": "map"},
            ),
            duplicates=(
                report(
                    RESULTS.duplicates_table("{classifier}"),
                    caption="../captions/map.rst",
                    category="Where the images lie",
                    labels={"classifier": "{classifier}", "what": "near-duplicates"},
                )
                if STUDY.prompts_of
                else []
            ),
            nearest_own=(
                RESULTS.nearest_table("{classifier}") if STUDY.prompts_of and STUDY.own_images else []
            ),
        log:
            RESULTS.log("map/{classifier}"),
        benchmark:
            RESULTS.benchmark("map/{classifier}")
        conda:
            ENVS["map"]
        threads: 1  # the same sums whatever the cores, so that the places are the same bytes
        resources:
            mem_mb=growing(lambda wildcards: map_needs(STUDY, wildcards.classifier)["mem_mb"]),
            runtime=growing(lambda wildcards: map_needs(STUDY, wildcards.classifier)["runtime"]),
            disk_mb=growing(lambda wildcards: map_needs(STUDY, wildcards.classifier)["disk_mb"]),
        params:
            asked=asked_of("map/{classifier}"),
        message:
            "Mapping the images as {wildcards.classifier} sees them"
        script:
            "../scripts/map.py"
