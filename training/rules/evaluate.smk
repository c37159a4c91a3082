# The judge of generated images, and its sentence on a diffusion model.
#
# in:  the drawings, training/judged_prompts.tsv, models/scenes or results/trained/pipeline
# out: results/trained/evaluated/{embedded or trained}.json, .png and _samples.png


rule evaluate:
    input:
        expand(f"{TRAINED}/evaluated/embedded{{end}}", end=(".json", ".png", "_samples.png")),
    message:
        "What models/scenes draws was judged: results/trained/evaluated/embedded.json"


rule train_judge:
    input:
        drawings=f"{TRAINED}/drawings.npy",
        held_out=f"{TRAINED}/held_out.npy",
    output:
        judge=f"{TRAINED}/judge.safetensors",
        figures=f"{TRAINED}/judge.json",
    log:
        log_of("judge"),
    benchmark:
        benchmark_of("judge")
    conda:
        ENVS["train"]
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        disk_mb=4000,
        gpu=GPU,
    params:
        code=code_of("train_judge.py"),
        first_seeds=FIRST_SEEDS,
        scale=SCALE,
    message:
        "Training the judge of generated images on drawings"
    script:
        "../scripts/train_judge.py"


rule evaluate_pipeline:
    input:
        model=lambda wildcards: {
            "embedded": MODELS / "scenes",
            "trained": f"{TRAINED}/pipeline",
        }[wildcards.which],
        prompts=TRAINING / "judged_prompts.tsv",
        judge=f"{TRAINED}/judge.safetensors",
        judge_figures=f"{TRAINED}/judge.json",
        held_out=f"{TRAINED}/held_out.npy",
    output:
        figures=f"{TRAINED}/evaluated/{{which}}.json",
        plot=f"{TRAINED}/evaluated/{{which}}.png",
        samples=f"{TRAINED}/evaluated/{{which}}_samples.png",
    log:
        log_of("evaluate_{which}"),
    wildcard_constraints:
        which="embedded|trained",
    conda:
        ENVS["train"]
    threads: THREADS
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
        disk_mb=1000,
        gpu=GPU,
    params:
        code=code_of("evaluate_scenes.py"),
        first_seed=DRAWINGS["held_out"]["first_seed"],
        scale=SCALE,
    message:
        "Judging what the {wildcards.which} model draws"
    script:
        "../scripts/evaluate_scenes.py"
