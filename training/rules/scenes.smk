# The diffusion model: autoencoder, then text model and U-Net, put together and described.
#
# in:  the drawings; with from_embedded models/scenes
# out: results/trained/scenes, as from_pretrained loads it, with its model card

ENCODED_DRAWINGS = 20_000  # for the denoiser, which learns none by heart: its loss on unseen ones is as low


rule scenes:
    input:
        f"{TRAINED}/scenes",
        f"{TRAINED}/contact_sheet.png",
    message:
        "The diffusion model is in results/trained/scenes; copy it and scenes.sha256 to models/ to use it"


rule train_autoencoder:
    input:
        drawings=f"{TRAINED}/drawings.npy",
        held_out=f"{TRAINED}/held_out.npy",
    output:
        model=directory(f"{TRAINED}/autoencoder"),
        curve=f"{TRAINED}/autoencoder_loss.png",
    log:
        log_of("autoencoder"),
    benchmark:
        benchmark_of("autoencoder")
    conda:
        ENVS["train"]
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
        disk_mb=4000,
        gpu=GPU,
    params:
        code=code_of("train_autoencoder.py"),
        checkpoints=CHECKPOINTS,
        scale=SCALE,
    message:
        "Training the autoencoder"
    script:
        "../scripts/train_autoencoder.py"


rule train_denoiser:
    input:
        drawings=f"{TRAINED}/drawings.npy",
        autoencoder=AUTOENCODER,
        start=MODELS / "scenes" if FROM_EMBEDDED else [],
    output:
        model=directory(f"{TRAINED}/denoiser"),
        curve=f"{TRAINED}/denoiser_loss.png",
    log:
        log_of("denoiser"),
    benchmark:
        benchmark_of("denoiser")
    conda:
        ENVS["train"]
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=growing(600),
        disk_mb=4000,
        gpu=GPU,
    params:
        code=code_of("train_denoiser.py"),
        number=scaled(ENCODED_DRAWINGS),
        first_seed=DRAWINGS["drawings"]["first_seed"],
        latents=TRAINED,
        checkpoints=CHECKPOINTS,
        scale=SCALE,
    message:
        "Training the text model and the U-Net"
    script:
        "../scripts/train_denoiser.py"


rule assemble_scenes:
    input:
        autoencoder=AUTOENCODER,
        denoiser=f"{TRAINED}/denoiser",
    output:
        pipeline=directory(f"{TRAINED}/pipeline"),
    log:
        log_of("assemble_scenes"),
    conda:
        ENVS["train"]
    resources:
        mem_mb=growing(3000),
        runtime=growing(10),
        disk_mb=1000,
    params:
        code=code_of("assemble_scenes.py"),
    message:
        "Putting the pipeline together"
    script:
        "../scripts/assemble_scenes.py"


rule describe_scenes:
    input:
        pipeline=f"{TRAINED}/pipeline",
        evaluation=f"{TRAINED}/evaluated/trained.json",
        plot=f"{TRAINED}/evaluated/trained.png",
        samples=f"{TRAINED}/evaluated/trained_samples.png",
    output:
        scenes=directory(f"{TRAINED}/scenes"),
        sums=f"{TRAINED}/scenes.sha256",
    log:
        log_of("describe_scenes"),
    conda:
        ENVS["train"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        disk_mb=1000,
    params:
        code=code_of("describe_scenes.py"),
    message:
        "Writing the model card"
    script:
        "../scripts/describe_scenes.py"
