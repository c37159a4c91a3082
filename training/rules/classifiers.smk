# The classifiers of scenes.
#
# in:  the drawings, the autoencoder, the specs in models/classifiers; with from_embedded their weights
# out: results/trained/classifiers/{classifier}.h5, with figures (.json) and the loss curve

CLASSIFIERS = ("cnn28", "cnn32", "cnn224")
DECODED_DRAWINGS = 4_000


rule classifiers:
    input:
        expand(f"{TRAINED}/classifiers/{{classifier}}.h5", classifier=CLASSIFIERS),
    message:
        "The classifiers are in results/trained/classifiers; copy them to models/classifiers to use them"


rule decode_drawings:
    input:
        drawings=f"{TRAINED}/drawings.npy",
        autoencoder=AUTOENCODER,
    output:
        decoded=f"{TRAINED}/decoded.npy",
    log:
        log_of("decode_drawings"),
    conda:
        ENVS["train"]
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        disk_mb=4000,
        gpu=GPU,
    params:
        code=code_of("decode_drawings.py"),
        number=scaled(DECODED_DRAWINGS),
    message:
        "Sending {params.number} drawings through the autoencoder"
    script:
        "../scripts/decode_drawings.py"


rule train_classifier:
    input:
        spec=MODELS / "classifiers/{classifier}.yaml",
        drawings=f"{TRAINED}/drawings.npy",
        held_out=f"{TRAINED}/held_out.npy",
        decoded=f"{TRAINED}/decoded.npy",
        start=MODELS / "classifiers/{classifier}.h5" if FROM_EMBEDDED else [],
    output:
        weights=f"{TRAINED}/classifiers/{{classifier}}.h5",
        figures=f"{TRAINED}/classifiers/{{classifier}}.json",
        curve=f"{TRAINED}/classifiers/{{classifier}}_loss.png",
    log:
        log_of("{classifier}"),
    benchmark:
        benchmark_of("{classifier}")
    wildcard_constraints:
        classifier="|".join(CLASSIFIERS),
    conda:
        ENVS["train"]
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
        disk_mb=4000,
        gpu=GPU,
    params:
        code=code_of("train_classifier.py"),
        first_seeds=FIRST_SEEDS,
        scale=SCALE,
    message:
        "Training {wildcards.classifier}"
    script:
        "../scripts/train_classifier.py"
