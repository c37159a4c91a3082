# The embedded models, trained from nothing: the drawn world to models/scenes and models/classifiers.
#
#   snakemake --cores all train_scenes        results/trained/scenes: the diffusion model, as from_pretrained loads it
#   snakemake --cores all train_classifiers   results/trained/classifiers: the weights of cnn28, cnn32 and cnn224
#   snakemake --cores all evaluate_scenes     results/trained/evaluated: what the embedded models/scenes draws, judged
#
# in:  nothing but the rules of scripts/promptflux/scenes.py, and the classifier specs
# out: results/trained/..., which takes 6 GB; to use a model, copy it to models/
#
# A killed training goes on from its last checkpoint. `--config training='{scale: 0.01}'` trains
# a hundredth of the steps on a hundredth of the drawings, to see the rules at work;
# `training='{from_embedded: true}'` goes on from the weights in models/ instead of from nothing, with the autoencoder
# as it is.

TRAINED_CLASSIFIERS = ("cnn28", "cnn32", "cnn224")
TRAINING_SCALE = STUDY.config["training"]["scale"]
FROM_EMBEDDED = STUDY.config["training"]["from_embedded"]
DRAWINGS = {
    "drawings": {"first_seed": 0, "count": 60_000},
    "held_out": {"first_seed": 1_000_000, "count": 2_000},
}
ENCODED_DRAWINGS = 20_000  # for the denoiser, which learns none by heart: its loss on unseen ones is as low
DECODED_DRAWINGS = 4_000
EMBEDDED_SCENES = local(f"{PROMPTFLUX}/models/scenes")
AUTOENCODER = local(f"{PROMPTFLUX}/models/scenes/vae") if FROM_EMBEDDED else "results/trained/autoencoder"


rule train_scenes:
    input:
        "results/trained/scenes",
        "results/trained/contact_sheet.png",
    message:
        "The diffusion model is in results/trained/scenes; copy it to models/scenes to use it"


rule train_classifiers:
    input:
        expand("results/trained/classifiers/{classifier}.h5", classifier=TRAINED_CLASSIFIERS),
    message:
        "The classifiers are in results/trained/classifiers; copy them to models/classifiers to use them"


rule evaluate_scenes:
    input:
        expand("results/trained/evaluated/embedded{end}", end=(".json", ".png", "_samples.png")),
    message:
        "What models/scenes draws was judged: results/trained/evaluated/embedded.json"


rule draw_scenes:
    output:
        "results/trained/contact_sheet.png",
    log:
        "results/logs/train/draw_scenes.log",
    conda:
        ENVS["train"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        disk_mb=100,
    message:
        "Drawing the contact sheet of the drawn world"
    script:
        "../scripts/draw_scenes.py"


rule draw_dataset:
    output:
        "results/trained/{part}.npy",
    log:
        "results/logs/train/draw_{part}.log",
    benchmark:
        "results/benchmarks/train/draw_{part}.tsv"
    wildcard_constraints:
        part="|".join(DRAWINGS),
    conda:
        ENVS["train"]
    threads: 8
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
        disk_mb=4000,
    params:
        drawings=lambda wildcards: max(64, round(DRAWINGS[wildcards.part]["count"] * TRAINING_SCALE)),
        first_seed=lambda wildcards: DRAWINGS[wildcards.part]["first_seed"],
        size=128,
    message:
        "Drawing {params.drawings} scenes ({wildcards.part})"
    script:
        "../scripts/draw_dataset.py"


rule train_autoencoder:
    input:
        drawings="results/trained/drawings.npy",
        held_out="results/trained/held_out.npy",
    output:
        model=directory("results/trained/autoencoder"),
        curve="results/trained/autoencoder_loss.png",
    log:
        "results/logs/train/autoencoder.log",
    benchmark:
        "results/benchmarks/train/autoencoder.tsv"
    conda:
        ENVS["train"]
    threads: 8
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
        disk_mb=4000,
        gpu=GPU,
    params:
        checkpoint="results/trained/autoencoder_checkpoint.pt",
        scale=TRAINING_SCALE,
    message:
        "Training the autoencoder"
    script:
        "../scripts/train_autoencoder.py"


rule train_denoiser:
    input:
        drawings="results/trained/drawings.npy",
        autoencoder=AUTOENCODER,
        start=EMBEDDED_SCENES if FROM_EMBEDDED else [],
    output:
        model=directory("results/trained/denoiser"),
        curve="results/trained/denoiser_loss.png",
    log:
        "results/logs/train/denoiser.log",
    benchmark:
        "results/benchmarks/train/denoiser.tsv"
    conda:
        ENVS["train"]
    threads: 8
    resources:
        mem_mb=growing(6000),
        runtime=growing(600),
        disk_mb=4000,
        gpu=GPU,
    params:
        drawings=max(64, round(ENCODED_DRAWINGS * TRAINING_SCALE)),
        first_seed=DRAWINGS["drawings"]["first_seed"],
        latents="results/trained/latents.npy",
        checkpoint="results/trained/denoiser_checkpoint.pt",
        scale=TRAINING_SCALE,
    message:
        "Training the text model and the U-Net"
    script:
        "../scripts/train_denoiser.py"


rule train_judge:
    input:
        drawings="results/trained/drawings.npy",
        held_out="results/trained/held_out.npy",
    output:
        judge="results/trained/judge.safetensors",
        figures="results/trained/judge.json",
    log:
        "results/logs/train/judge.log",
    benchmark:
        "results/benchmarks/train/judge.tsv"
    conda:
        ENVS["train"]
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        disk_mb=4000,
        gpu=GPU,
    params:
        first_seeds=[DRAWINGS[part]["first_seed"] for part in ("drawings", "held_out")],
        scale=TRAINING_SCALE,
    message:
        "Training the judge of generated images on drawings"
    script:
        "../scripts/train_judge.py"


rule assemble_scenes:
    input:
        autoencoder=AUTOENCODER,
        denoiser="results/trained/denoiser",
    output:
        directory("results/trained/pipeline"),
    log:
        "results/logs/train/assemble_scenes.log",
    conda:
        ENVS["train"]
    resources:
        mem_mb=growing(3000),
        runtime=growing(10),
        disk_mb=1000,
    message:
        "Putting the pipeline together"
    script:
        "../scripts/assemble_scenes.py"


rule evaluate_pipeline:
    input:
        model=lambda wildcards: {
            "embedded": EMBEDDED_SCENES,
            "trained": "results/trained/pipeline",
        }[wildcards.which],
        prompts=local(f"{PROMPTFLUX}/scripts/promptflux/judged_prompts.tsv"),
        judge="results/trained/judge.safetensors",
        judge_figures="results/trained/judge.json",
        held_out="results/trained/held_out.npy",
    output:
        figures="results/trained/evaluated/{which}.json",
        plot="results/trained/evaluated/{which}.png",
        samples="results/trained/evaluated/{which}_samples.png",
    log:
        "results/logs/train/evaluate_{which}.log",
    wildcard_constraints:
        which="embedded|trained",
    conda:
        ENVS["train"]
    threads: 8
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
        disk_mb=1000,
        gpu=GPU,
    params:
        first_seed=DRAWINGS["held_out"]["first_seed"],
        scale=TRAINING_SCALE,
    message:
        "Judging what the {wildcards.which} model draws"
    script:
        "../scripts/evaluate_scenes.py"


rule describe_scenes:
    input:
        pipeline="results/trained/pipeline",
        evaluation="results/trained/evaluated/trained.json",
        plot="results/trained/evaluated/trained.png",
        samples="results/trained/evaluated/trained_samples.png",
    output:
        directory("results/trained/scenes"),
    log:
        "results/logs/train/describe_scenes.log",
    conda:
        ENVS["train"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        disk_mb=1000,
    message:
        "Writing the model card"
    script:
        "../scripts/describe_scenes.py"


rule decode_drawings:
    input:
        drawings="results/trained/drawings.npy",
        autoencoder=AUTOENCODER,
    output:
        "results/trained/decoded.npy",
    log:
        "results/logs/train/decode_drawings.log",
    conda:
        ENVS["train"]
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        disk_mb=4000,
    params:
        drawings=lambda wildcards: max(64, round(DECODED_DRAWINGS * TRAINING_SCALE)),
    message:
        "Sending {params.drawings} drawings through the autoencoder"
    script:
        "../scripts/decode_drawings.py"


rule train_classifier:
    input:
        spec=lambda wildcards: local(f"{PROMPTFLUX}/models/classifiers/{wildcards.classifier}.yaml"),
        drawings="results/trained/drawings.npy",
        held_out="results/trained/held_out.npy",
        decoded="results/trained/decoded.npy",
        start=lambda wildcards: (
            local(f"{PROMPTFLUX}/models/classifiers/{wildcards.classifier}.h5") if FROM_EMBEDDED else []
        ),
    output:
        weights="results/trained/classifiers/{classifier}.h5",
        figures="results/trained/classifiers/{classifier}.json",
        curve="results/trained/classifiers/{classifier}_loss.png",
    log:
        "results/logs/train/{classifier}.log",
    benchmark:
        "results/benchmarks/train/{classifier}.tsv"
    conda:
        ENVS["train"]
    threads: 8
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
        disk_mb=4000,
        gpu=GPU,
    params:
        first_seeds=[DRAWINGS[part]["first_seed"] for part in ("drawings", "held_out")],
        scale=TRAINING_SCALE,
    message:
        "Training {wildcards.classifier}"
    script:
        "../scripts/train_classifier.py"
