# The diffusion model: autoencoder, text model and U-Net, put together and described.
#
# in:  the drawings; with from_embedded models/scenes
# out: results/trained/scenes, as from_pretrained loads it, with its model card


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
        settings=SETTINGS["autoencoder"],
        checkpoints=CHECKPOINTS,
        scale=SCALE,
    message:
        "Training the autoencoder"
    script:
        "../scripts/train_autoencoder.py"


rule train_text_model:
    input:
        start=MODELS / "scenes" if FROM_EMBEDDED else [],
    output:
        model=directory(f"{TRAINED}/text_model"),
        curve=f"{TRAINED}/text_model_loss.png",
    log:
        log_of("text_model"),
    benchmark:
        benchmark_of("text_model")
    conda:
        ENVS["train"]
    threads: THREADS
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
        disk_mb=1000,
        gpu=GPU,
    params:
        code=code_of("train_text_model.py"),
        settings=SETTINGS["text_model"],
        checkpoints=CHECKPOINTS,
        scale=SCALE,
    message:
        "Training the text model"
    script:
        "../scripts/train_text_model.py"


rule train_denoiser:
    input:
        drawings=f"{TRAINED}/drawings.npy",
        autoencoder=ENCODER,
        text_model=f"{TRAINED}/text_model",
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
        settings=SETTINGS["denoiser"],
        number=min(scaled(SETTINGS["denoiser"]["drawings"]), scaled(DRAWINGS["drawings"]["count"])),
        first_seed=DRAWINGS["drawings"]["first_seed"],
        latents=TRAINED,
        checkpoints=CHECKPOINTS,
        scale=SCALE,
    message:
        "Training the U-Net"
    script:
        "../scripts/train_denoiser.py"


rule train_decoder:
    input:
        drawings=f"{TRAINED}/drawings.npy",
        held_out=f"{TRAINED}/held_out.npy",
        autoencoder=f"{TRAINED}/autoencoder",
        text_model=f"{TRAINED}/text_model",
        denoiser=f"{TRAINED}/denoiser",
    output:
        model=directory(f"{TRAINED}/sharp_autoencoder"),
        curve=f"{TRAINED}/decoder_loss.png",
    log:
        log_of("decoder"),
    benchmark:
        benchmark_of("decoder")
    conda:
        ENVS["train"]
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
        disk_mb=4000,
        gpu=GPU,
    params:
        code=code_of("train_decoder.py"),
        settings=SETTINGS["decoder"],
        first_seed=DRAWINGS["drawings"]["first_seed"],
        checkpoints=CHECKPOINTS,
        scale=SCALE,
    message:
        "Training the decoder alone, for sharper pictures"
    script:
        "../scripts/train_decoder.py"


rule assemble_scenes:
    input:
        autoencoder=AUTOENCODER,
        text_model=f"{TRAINED}/text_model",
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
