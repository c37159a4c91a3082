# The drawn world: what everything learns from.
#
# in:  nothing but training/world
# out: results/trained/drawings.npy and held_out.npy, which take 3 GB, and a contact sheet to look at


rule draw_scenes:
    output:
        sheet=f"{TRAINED}/contact_sheet.png",
    log:
        log_of("draw_scenes"),
    conda:
        ENVS["train"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        disk_mb=100,
    params:
        code=code_of("draw_scenes.py"),
    message:
        "Drawing the contact sheet of the drawn world"
    script:
        "../scripts/draw_scenes.py"


rule draw_dataset:
    output:
        drawings=f"{TRAINED}/{{part}}.npy",
    log:
        log_of("draw_{part}"),
    benchmark:
        benchmark_of("draw_{part}")
    wildcard_constraints:
        part="|".join(DRAWINGS),
    conda:
        ENVS["train"]
    threads: THREADS
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
        disk_mb=4000,
    params:
        code=code_of("draw_dataset.py"),
        number=lambda wildcards: scaled(DRAWINGS[wildcards.part]["count"]),
        first_seed=lambda wildcards: DRAWINGS[wildcards.part]["first_seed"],
        size=128,
    message:
        "Drawing {params.number} scenes ({wildcards.part})"
    script:
        "../scripts/draw_dataset.py"
