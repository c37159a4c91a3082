# What is compiled when the package is installed, instead of at the start of every job: two
# networks, with a layer of each kind, go the way of the scripts in a temporary folder.

@setup_workload begin
    activations = ("relu", "gelu", "sigmoid", "tanh", "leaky_relu", "identity")
    plain_layers = ["conv: {out: 9, kernel: 3, activation: relu}", "maxpool: 2", "flatten", "dense: 3", "softmax"]
    all_layers = [
        "conv: {out: 9, kernel: 3, padding: 1, activation: relu}", "maxpool: 2",
        "conv: {out: 9, kernel: 3, activation: relu}",
        ("conv: {out: 2, kernel: 3, padding: 1, activation: $name}" for name in activations)...,
        "conv: {out: 2, kernel: [2, 1], stride: 2, bias: false}", "maxpool: {kernel: 2, stride: 1}",
        "batchnorm", "batchnorm: {activation: relu}", "meanpool: {kernel: 2, stride: 1}",
        "dropout: 0.5", activations..., "leaky_relu: {slope: 0.1}",
        "flatten", ("dense: {out: 3, activation: $name}" for name in activations)...,
        "dropout: 0.5", "batchnorm", "dense: 3", "softmax",
    ]
    mapping = "{name: tiny, size: [32, 36], channels: rgb, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}"
    text(input, layers) = "input: $input\nlayers:\n" * join("  - $layer\n" for layer in layers) *
                          "labels: [a, b, c]\nweights: {file: tiny.h5, sha256: \"\"}\n"

    @compile_workload begin
        claim_gpu(0)
        for content in (text("gray28", plain_layers), text(mapping, all_layers)), keep in (String[], ["b"])
            mktempdir() do folder
                at(name) = joinpath(folder, name)
                write(at("tiny.yaml"), content)
                spec = load_spec(at("tiny.yaml"))
                network = Network(spec)
                save_weights(at("tiny.h5"), weights(network), spec.name)
                save_network(at("tiny.bson"), network; weights_sha256=weights_digest(weights(network)))
                picture = upright(rgb(zeros(UInt8, 40, 45, 3)), exif_orientation(nothing))
                images = stack([image_tensor(picture, spec.input) for _ in 1:2])
                write_tensors(at("tensors.h5"), spec.input, images, ["a", "b"])
                redirect_stderr(devnull) do
                    job(at("log.txt")) do
                        # Printing a chain is compiled for each new one; one small one is enough of it.
                        length(spec.layers) > 5 ||
                            export_bson(; spec=spec.path, weights=at("tiny.h5"), model=at("tiny.bson"), architecture=at("tiny.txt"))
                        infer(; tensors=at("tensors.h5"), spec=spec.path, model=at("tiny.bson"), output=at("p.h5"),
                              layers_of=keep, threads=2)
                    end
                end
                redirect_stdout(devnull) do
                    run, _ = runner(load_weights_of(spec, at("tiny.h5")), "auto", 1)
                    print_best(["a", "b"], softmax(predict(run, images)), spec.labels, 3)
                end
            end
        end
    end
end
