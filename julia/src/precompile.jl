# What is compiled when the package is installed, instead of at the start of every job: two
# networks, with a layer of each kind, go the way of the scripts in a temporary folder.

"""
    described(input, layers...; name = "tiny", labels)

A description of layers, each `(kind, settings, branches...)` with sizes as (width, height), a branch being a vector of
layers; Flux works out the sizes. Descriptions come from Python; this one is for the workload here, and for the tests.
"""
described(input::InputSpec, given...; name="tiny", labels) =
    Description(name, "$name.h5", "0"^64, input, described_layers(given, size(input)), labels)

function described_layers(given, insize, prefix="", numbers=Dict{Symbol,Int}())
    layers = LayerDescription[]
    for (kind, settings, branches...) in given
        numbers[kind] = get(numbers, kind, 0) + 1
        name = "$prefix$kind$(numbers[kind])"
        numbers_inside = Dict{Symbol,Int}()
        inner = [described_layers(branch, insize, "$name.", numbers_inside) for branch in branches]
        make(outsize, parameters) = LayerDescription(name, kind, settings, insize, outsize, parameters, inner)
        # The number of outputs must be known before the layer is made.
        out = haskey(settings, :out) ? (insize[1:end-1]..., settings[:out]) : insize
        layer = flux_layer(make(out, Pair{String,Dims}[]))
        parameters = [
            parameter => size(array) for
            (parameter, array) in torch_weights(typeof(layer), state_of(layer)) if array isa Array
        ]
        push!(layers, make(size(layer(zeros(Float32, insize..., 1)))[1:end-1], parameters))
        insize = last(layers).outsize
    end
    return layers
end

conv_settings(out, kernel; stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, bias=true, activation="identity") =
    Dict{Symbol,Any}(pairs((; out, kernel, stride, padding, dilation, groups, bias, activation)))
pool_settings(kernel; stride=kernel, padding=(0, 0), more...) =
    Dict{Symbol,Any}(pairs((; kernel, stride, padding, more...)))
settings(; given...) = Dict{Symbol,Any}(pairs((; given...)))

"The workload: a run of everything that a job calls."
function workload()
    activations = ("relu", "gelu", "sigmoid", "tanh", "leaky_relu", "identity")
    gray = InputSpec("gray28", 28, 28, "gray", "crop", "bilinear", [0], [1])
    color = InputSpec("tiny", 36, 32, "rgb", "crop", "bilinear", fill(0.5, 3), fill(0.5, 3))
    dense(out, activation="identity") = (:dense, settings(; out, activation))
    plain_layers = [
        (:conv, conv_settings(9, (3, 3); activation="relu")), (:maxpool, pool_settings((2, 2))),
        (:flatten, settings()),
        dense(3), (:softmax, settings()),
    ]
    all_layers = [
        (:conv, conv_settings(9, (3, 3); padding=(1, 1), activation="relu")), (:maxpool, pool_settings((2, 2))),
        (:conv, conv_settings(9, (3, 3); activation="relu")),
        ((:conv, conv_settings(2, (3, 3); padding=(1, 1), activation)) for activation in activations)...,
        (:conv, conv_settings(2, (1, 2); stride=(2, 2), bias=false)),
        (:maxpool, pool_settings((2, 2); stride=(1, 1))),
        (:batchnorm, settings(; eps=1e-5, activation="identity")),
        (:batchnorm, settings(; eps=1e-5, activation="relu")),
        (:meanpool, pool_settings((2, 2); stride=(1, 1))), (:dropout, settings(; p=0.5)),
        ((Symbol(name), settings()) for name in activations if name != "leaky_relu")...,
        (:leaky_relu, settings(; slope=0.1)),
        (:flatten, settings()), (dense(3, name) for name in activations)...,
        (:dropout, settings(; p=0.5)), (:batchnorm, settings(; eps=1e-5, activation="identity")), dense(3),
        (:softmax, settings()),
    ]

    claim_gpu(0)
    for (input, layers) in ((gray, plain_layers), (color, all_layers)), keep in (String[], ["b"]),
        kernels in ("fast", "plain")

        mktempdir() do folder
            at(name) = joinpath(folder, name)
            description = described(input, layers...; labels=["a", "b", "c"])
            network = Network(description)
            save_model(at("tiny.h5"), description, weights(network))
            save_network(at("tiny.bson"), network; weights_sha256=weights_digest(weights(network)))
            picture = upright(rgb(zeros(UInt8, 40, 45, 3)), exif_orientation(nothing))
            images = stack([image_tensor(picture, input) for _ in 1:2])
            write_tensors(at("tensors.h5"), input, images, ["a", "b"])
            redirect_stderr(devnull) do
                job(at("log.txt")) do
                    # Printing a chain is compiled for each new one; one small one is enough of it.
                    length(layers) > 5 ||
                        export_bson(; weights=at("tiny.h5"), model=at("tiny.bson"), architecture=at("tiny.txt"))
                    load_model(at("tiny.h5"))
                    infer(; tensors=at("tensors.h5"), model=at("tiny.bson"), output=at("p.h5"), layers_of=keep,
                        micro_batch=16, kernels, threads=2)
                    explain(; tensors=at("tensors.h5"), model=at("tiny.bson"), output=at("e.h5"), images=keep,
                        asked_labels=zeros(Int, length(keep)), patch=(18, 16), stride=(9, 8), micro_batch=16, kernels,
                        threads=2)
                end
            end
            redirect_stdout(devnull) do
                print_best(["a", "b"], softmax(predict(network, images; micro_batch=2)), description.labels, 3)
            end
        end
    end
end

"Compile the tiles of all shapes, so that no network waits for its own."
compile_tiles() =
    for (V, S, Q) in tile_shapes(REGISTERS), step in (1, FLOATS)
        precompile(run!, (BlockConv, Vector{Vector{Float32}}, UnitRange{Int}, Val{V}, Val{S}, Val{Q}, Val{step}))
    end

@compile_workload (workload(); compile_tiles())
