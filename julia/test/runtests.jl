# Run with: julia --project=julia -e 'using Pkg; Pkg.test()'

using PromptFlux
using PromptFlux: Fields, OnDevice, Predictor
using PromptFlux:
    conv_settings, described, flux_layer, layers, pool_settings, resize, settings, sha256_of_file
using BSON: BSON
using Flux
using HDF5
using PNGFiles: PNGFiles
using Random: Xoshiro
using Test

const FOLDER = mktempdir()
const MICRO_BATCH = 16
const GRAY = InputSpec("gray12x10", 10, 12, "gray", "crop", "bilinear", [0], [1])
const LABELS = ["a", "b", "c"]

dense(out, activation="identity") = (:dense, settings(; out, activation))
batchnorm(activation="identity") = (:batchnorm, settings(; eps=1e-5, activation))
const FLATTEN, SOFTMAX = (:flatten, settings()), (:softmax, settings())

small() = described(
    GRAY,
    (:conv, conv_settings(4, (3, 3); activation="relu")), (:maxpool, pool_settings((2, 2))),
    (:conv, conv_settings(6, (3, 1); padding=(1, 0), bias=false)), batchnorm("relu"),
    (:dropout, settings(; p=0.5)), FLATTEN, dense(8, "gelu"), dense(3), SOFTMAX;
    name="small", labels=LABELS,
)

"Random weights for a description; a variance is positive."
function random_weights(description; rng=Xoshiro(1))
    value(name, size) =
        endswith(name, "running_var") ? rand(rng, Float32, size) .+ 0.5f0 : randn(rng, Float32, size) ./ 3
    return [name => value(name, size) for (name, size) in PromptFlux.parameter_sizes(description)]
end

random_network(description; rng=Xoshiro(1)) = with_weights(description, random_weights(description; rng))
random_images(description, count) = randn(Xoshiro(2), Float32, size(description.input)..., count)

"What the fast kernels give for the feature maps, in place of the layers up to flatten."
function maps_by_kernels(network, images)
    predictor = Predictor(network; micro_batch=size(images, 4), threads=1)
    for row in axes(images, 4)
        PromptFlux.feature_maps!(predictor, only(predictor.lanes), images[:, :, :, row], row)
    end
    return PromptFlux.maps_of(predictor.features, predictor.output, predictor.micro_batch)
end

"Whether the fast kernels and Flux's own layers agree on the feature maps of a network of these layers, with random weights."
function kernels_agree(input, layers...; seed=1)
    network = random_network(described(input, layers..., FLATTEN, dense(3); labels=LABELS); rng=Xoshiro(seed))
    images = random_images(network.description, 2)
    expected = layer_outputs(network, images)[end-2]
    found = maps_by_kernels(network, images)
    return size(found) == size(expected) && maximum(abs, found .- expected) <= 1e-5 * maximum(abs, expected)
end

"The sentence that a block ends with."
function sentence(body)
    try
        body()
    catch error
        error isa StudyError || rethrow()
        return sprint(showerror, error)
    end
    return "no error"
end

@testset "PromptFlux" begin

    @testset "description" begin
        description = small()
        @test [layer.name for layer in description.layers] ==
              ["conv1", "maxpool1", "conv2", "batchnorm1", "dropout1", "flatten1", "dense1", "dense2", "softmax1"]
        @test description.layers[1].outsize == (8, 10, 4)          # width × height × channels
        @test description.layers[2].outsize == (4, 5, 4)
        @test description.layers[6].outsize == (4 * 5 * 6,)
        @test PromptFlux.parameter_sizes(description)[3] == ("conv2/weight" => (3, 1, 4, 6))

        # There and back, as the files hold it: PyTorch's shapes, [height, width].
        fields = PromptFlux.fields(description)
        @test fields[:layers][1][:shape] == [4, 10, 8]
        @test fields[:layers][3][:settings][:kernel] == [1, 3]
        again = Description(fields, "again.h5")
        @test again.source == "again.h5" && again.input == description.input && again.labels == description.labels
        for name in (:name, :kind, :settings, :insize, :outsize, :parameters)
            @test [getfield(layer, name) for layer in again.layers] ==
                  [getfield(layer, name) for layer in description.layers]
        end

        delete!(fields[:layers][1], :kind)
        @test occursin(
            "small.bson: the description of the network is damaged",
            sentence(() -> Description(fields, "small.bson"))
        )
        unknown = PromptFlux.LayerDescription("konv1", :konv, settings(), (1,), (1,), [])
        @test occursin(
            "konv1 is of the kind konv, which this version of PromptFlux does not know",
            sentence(() -> flux_layer(unknown))
        )
    end

    # The definition of PyTorch's Conv2d, with its weight reversed as HDF5.jl gives it.
    function correlate(x, weight, bias; stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1)
        kernel, (inputs, outputs) = size(weight)[1:2], size(weight)[3:4]
        width, height = (size(x)[1:2] .+ 2 .* pad .- dilation .* (kernel .- 1) .- 1) .÷ stride .+ 1
        y = zeros(width, height, outputs, size(x, 4))
        for n in axes(x, 4), o in 1:outputs, j in 1:height, i in 1:width
            total = Float64(bias[o])
            for c in 1:inputs, q in 1:kernel[2], p in 1:kernel[1]
                u = (i - 1) * stride[1] - pad[1] + (p - 1) * dilation[1] + 1
                v = (j - 1) * stride[2] - pad[2] + (q - 1) * dilation[2] + 1
                channel = (o - 1) ÷ (outputs ÷ groups) * inputs + c
                checkbounds(Bool, x, u, v, channel, n) && (total += weight[p, q, c, o] * x[u, v, channel, n])
            end
            y[i, j, o, n] = total
        end
        return y
    end

    @testset "convolution is PyTorch's: stride $stride, pad $pad, dilation $dilation, groups $groups" for (
        stride,
        pad,
        dilation,
        groups
    ) in (
        ((1, 1), (0, 0), (1, 1), 1), ((1, 1), (1, 2), (1, 1), 1),
        ((2, 1), (1, 0), (1, 2), 1), ((1, 1), (2, 1), (2, 3), 1), ((1, 2), (0, 1), (1, 1), 3))
        input = InputSpec("small", 15, 12, "rgb", "crop", "bilinear", zeros(3), ones(3))
        description = described(
            input,
            (:conv, conv_settings(9, (3, 2); stride, padding=pad, dilation, groups)),
            FLATTEN,
            dense(3);
            labels=LABELS
        )
        weights = random_weights(description)
        images = random_images(description, 2)
        expected = correlate(images, weights[1][2], weights[2][2]; stride, pad, dilation, groups)
        network = with_weights(description, weights)
        @test layers(network)[1](images) ≈ expected rtol = 1e-5
        @test maps_by_kernels(network, images) ≈ expected rtol = 1e-5
    end

    @testset "kernels of random layers, $seed" for seed in 1:40
        rng = Xoshiro(seed)
        input = InputSpec("random", rand(rng, 6:45), rand(rng, 6:45), "rgb", "crop", "bilinear", zeros(3), ones(3))
        activation() = rand(rng, ("relu", "relu6", "identity", "identity", "silu", "sigmoid", "leaky_relu"))
        # The first convolution reads an image, the second what the first wrote.
        channels, size_of = 3, size(input)[1:2]
        given = Any[]
        for _ in 1:2
            kernel, stride = Tuple(rand(rng, 1:5, 2)), Tuple(rand(rng, (1, 1, 1, 2, 3), 2))
            dilation, padding = Tuple(rand(rng, (1, 1, 2), 2)), Tuple(rand(rng, 0:3, rand(rng, (2, 4))))
            out = rand(rng, (1, 3, 8, 15, 16, 17, 24, 32, 40, 64))
            groups = rand(rng, filter(groups -> channels % groups == out % groups == 0, (1, 1, 1, 2, 3, 4, 8, 16, 32)))
            rand(rng) < 0.3 && (out = groups = channels)
            all(dilation .* (kernel .- 1) .< size_of .- 2) || (kernel = dilation = (1, 1))
            push!(
                given,
                (
                    :conv,
                    conv_settings(
                        out,
                        kernel;
                        stride,
                        padding,
                        dilation,
                        groups,
                        bias=rand(rng, Bool),
                        activation=activation()
                    )
                )
            )
            rand(rng) < 0.6 && push!(given, batchnorm(activation()))
            rand(rng) < 0.2 && push!(given, (:dropout, settings(; p=0.5)), (:relu6, settings()))
            size_of = last(PromptFlux.described_layers(given, size(input))).outsize[1:2]
            if all(size_of .>= 4) && rand(rng) < 0.5
                pool = (
                    pool_settings((2, 2)),
                    pool_settings((3, 2); stride=(2, 1), padding=(1, 1)),
                    pool_settings((2, 3); stride=(1, 2))
                )
                push!(given, (rand(rng, (:maxpool, :meanpool)), rand(rng, pool)))
                size_of = last(PromptFlux.described_layers(given, size(input))).outsize[1:2]
            end
            channels = out
        end
        rand(rng) < 0.2 && push!(given, (rand(rng, (:globalmeanpool, :globalmaxpool)), settings()))
        @test kernels_agree(input, given...; seed)
    end

    @testset "kernels of blocks, on $width×$height" for (width, height) in ((9, 7), (28, 14), (33, 40))
        input = InputSpec("blocks", width, height, "rgb", "crop", "bilinear", zeros(3), ones(3))
        conv(out, kernel=3; kw...) =
            (:conv, conv_settings(out, (kernel, kernel); padding=(kernel ÷ 2, kernel ÷ 2), kw...))
        residual(activation, branches...) = (:residual, settings(; activation), branches...)
        joined(join, branches...; activation="identity") = (:parallel, settings(; join, activation), branches...)
        gate(out) = (
            :scale,
            settings(; activation="identity"),
            [(:globalmeanpool, settings()), conv(4, 1; activation="silu"), conv(out, 1; activation="hardsigmoid")],
            []
        )
        pool = (:meanpool, pool_settings((3, 3); stride=(1, 1), padding=(1, 1)))
        largest = (:maxpool, pool_settings((3, 3); stride=(1, 1), padding=(1, 1)))
        for network in (
            [conv(16), residual("relu", [conv(16), batchnorm("relu"), conv(16), batchnorm()], [])],
            [
                conv(20),
                residual(
                    "silu",
                    [conv(40; stride=(2, 2)), batchnorm("relu"), conv(40)],
                    [conv(40, 1; stride=(2, 2)), batchnorm()]
                )
            ],
            # The activation before the sum, pooling, or nothing, at the end of a body.
            [conv(16), residual("relu", [conv(16; activation="relu")], []), conv(8)],
            [residual("identity", [conv(3), batchnorm("relu6"), pool], []), conv(8)],
            # Inverted residuals, with and without squeeze and excitation.
            [
                conv(24),
                residual(
                    "identity",
                    [conv(72, 1; activation="relu6"), conv(72, 5; groups=72), batchnorm("relu6"), conv(24, 1)],
                    []
                )
            ],
            [
                conv(24),
                residual(
                    "relu",
                    [conv(40, 1; activation="hardswish"), conv(40; groups=40), gate(40), conv(24, 1), batchnorm()],
                    []
                ),
                gate(24)
            ],
            # One in the other; what comes in is needed until the end.
            [
                conv(16),
                residual(
                    "relu",
                    [residual("relu", [conv(16)], []), conv(16)],
                    [residual("gelu", [conv(16, 1), conv(16)], [])]
                )
            ],
            [
                conv(16),
                joined(
                    "concat",
                    [conv(16)],
                    [pool, conv(7, 1)],
                    [],
                    [conv(9, 1; activation="relu"), conv(33; activation="tanh")]
                ),
                batchnorm("relu"),
                conv(8)
            ],
            [conv(16), joined("sum", [], [conv(16)], [conv(16, 1), pool]; activation="relu6"), conv(12; stride=(2, 2))],
            [conv(16), joined("sum", [conv(16, 5), largest], []; activation="gelu")],
            [
                joined("concat", [conv(5; stride=(2, 2))], [conv(2, 5; stride=(2, 2))]; activation="relu"),
                (:elu, settings(; alpha=0.7))
            ],
        )
            @test kernels_agree(input, network...)
        end
    end

    @testset "the bits do not depend on the shape of tiles, those of other CPUs among them" begin
        floats, border = PromptFlux.FLOATS, PromptFlux.Border(1, 2, 1, 1, 1)
        layer = Conv(randn(Xoshiro(1), Float32, 3, 3, 5, 4floats + 3), randn(Xoshiro(2), Float32, 4floats + 3); pad=1)
        from = PromptFlux.Maps(1, (9, 7, 5), PromptFlux.wanted(layer), floats)
        image = randn(Xoshiro(3), Float32, PromptFlux.room(from))
        function output(shape, pool)
            to = PromptFlux.Maps(2, ((9, 7) .÷ pool..., 4floats + 3), border, floats)
            add = pool == 1 ? PromptFlux.Maps(3, size(to), PromptFlux.PLAIN, floats) : nothing
            summand = randn(Xoshiro(4), Float32, PromptFlux.room(to))
            buffers = [image, zeros(Float32, PromptFlux.room(to)), summand]
            PromptFlux.run!(PromptFlux.BlockConv(layer, from, to; add, pool, shape, limits=(0.0f0, Inf32)), buffers)
            return buffers[2]
        end
        for (shape, pool) in
            (((2, 2, 3), 1), ((1, 2, 7), 1), ((2, 6, 1), 1), ((3, 4, 1), 1), ((3, 2, 2), 1), ((3, 2, 2), 2))
            @test shape in PromptFlux.tile_shapes(16)
            @test output(shape, pool) == output((1, 2, 2), pool)
        end
    end

    @testset "what no kernel knows is run by Flux, also inside of blocks" begin
        input = InputSpec("dilated", 19, 11, "rgb", "crop", "bilinear", zeros(3), ones(3))
        conv = (:conv, conv_settings(3, (3, 3); padding=(1, 1)))
        unknown = (:maxpool, pool_settings((2, 2); stride=(1, 1), padding=(1, 0, 1, 0), dilation=(1, 1)))
        @test flux_layer(only(PromptFlux.described_layers([unknown], size(input)))) isa PromptFlux.Bordered
        @test kernels_agree(input, unknown, conv, unknown)
        @test kernels_agree(
            input,
            conv,
            (:residual, settings(; activation="relu"), [unknown, conv], [conv, unknown]),
            conv
        )
    end

    @testset "the chain and the fast path give the same" begin
        description = small()
        network = random_network(description)
        images = random_images(description, MICRO_BATCH + 3)
        outputs = layer_outputs(network, images)
        expected = outputs[end-1]
        @test network.chain isa Chain && keys(network.chain.layers)[3] == :conv2
        @test network.chain(images) == outputs[end]
        @test network(images) == expected
        @test softmax(expected) == outputs[end]
        @test outputs[5] == outputs[4]                              # dropout does nothing
        @test predict(network, images; micro_batch=MICRO_BATCH) ≈ expected rtol = 1e-5

        predictor(threads=2) = Predictor(network; micro_batch=MICRO_BATCH, threads)
        for threads in (1, 2, 3)
            @test predict(predictor(threads), images) ≈ expected rtol = 1e-5
        end
        @test size(predict(predictor(), images[:, :, :, 1:0])) == (3, 0)
        # An image's prediction does not hang on its neighbors, nor on the number of threads.
        logits = predict(predictor(), images)
        @test logits == predict(predictor(1), images)
        @test logits[:, 3] == predict(predictor(), images[:, :, :, [1, 3]])[:, 2]
    end

    @testset "weights" begin
        description = small()
        weights = random_weights(description)
        @test PromptFlux.weights(with_weights(description, weights)) == weights
        save_model(joinpath(FOLDER, "a.h5"), description, weights)
        save_model(joinpath(FOLDER, "b.h5"), description, weights)
        @test read(joinpath(FOLDER, "a.h5")) == read(joinpath(FOLDER, "b.h5"))
        again, loaded, digest = load_model(joinpath(FOLDER, "a.h5"))
        @test Dict(loaded) == Dict(weights)
        @test digest == PromptFlux.weights_digest(weights)
        @test PromptFlux.fields(again) == PromptFlux.fields(description)

        wrong =
            [name => name == "conv2/weight" ? zeros(Float32, 3, 1, 4, 5) : array for (name, array) in weights[2:end]]
        problems = sentence(() -> PromptFlux.check_weights(wrong, description, "wrong.h5"))
        @test occursin("wrong.h5: conv1/weight is missing; small.h5 wants it with the shape 4×1×3×3", problems)
        @test occursin("conv2/weight has the shape 5×4×1×3; small.h5 wants 6×4×1×3", problems)
        @test occursin(
            "belongs to no layer",
            sentence(() -> PromptFlux.check_weights([weights; "conv9/bias" => zeros(Float32, 1)], description, "a.h5"))
        )
        @test occursin(
            "not finite",
            sentence(
                () -> PromptFlux.check_weights(
                    [name => array .* NaN32 for (name, array) in weights],
                    description,
                    "a.h5"
                )
            )
        )
        h5open(file -> attributes(file)["format"] = "another", joinpath(FOLDER, "other.h5"), "w")
        @test occursin("not a model file", sentence(() -> load_model(joinpath(FOLDER, "other.h5"))))
        write(joinpath(FOLDER, "text.h5"), "not HDF5")
        @test occursin("missing or not HDF5", sentence(() -> load_model(joinpath(FOLDER, "text.h5"))))
    end

    @testset "models as BSON" begin
        description = small()
        network = random_network(description)
        path = joinpath(FOLDER, "small.bson")
        save(path) = save_network(path, network; weights_sha256=PromptFlux.weights_digest(PromptFlux.weights(network)))
        save(path)
        digest = sha256_of_file(path)
        save(path)
        @test sha256_of_file(path) == digest
        again = load_network(path)
        @test PromptFlux.weights(again) == PromptFlux.weights(network)
        @test PromptFlux.fields(again.description) == PromptFlux.fields(description)

        # What a Flux user does, there and back.
        model = Network(description).chain
        Flux.loadmodel!(model, BSON.load(path)[:state])
        images = random_images(description, 2)
        @test model(images) == network.chain(images)
        own = Chain(Conv((3, 3), 1 => 4, relu), MaxPool((2, 2)), Conv((3, 1), 4 => 6; pad=(1, 0), bias=false),
            BatchNorm(6, relu), Dropout(0.5), Flux.flatten, Dense(120 => 8, gelu), Dense(8 => 3), softmax)
        # What is exported loads into a chain that is written as one writes it.
        Flux.loadmodel!(own, (layers=Tuple(BSON.load(path)[:state].layers),))
        @test testmode!(own)(images) ≈ network.chain(images)

        content = BSON.load(path)
        whole = content[:state]
        for (state, said) in
            ((layers=Tuple(whole.layers)[1:2],) => "the model has 2 layers", nothing => "it has no state of a chain")
            content[:state] = state
            BSON.bson(joinpath(FOLDER, "other.bson"), content)
            @test occursin(said, sentence(() -> load_network(joinpath(FOLDER, "other.bson"))))
        end
        BSON.bson(joinpath(FOLDER, "code.bson"), Dict(:state => network.chain))
        @test occursin(
            "only arrays, numbers, texts and tuples are taken",
            sentence(() -> load_network(joinpath(FOLDER, "code.bson")))
        )
        BSON.bson(joinpath(FOLDER, "plain.bson"), Dict(:a => 1))
        @test occursin("not a model file of promptflux", sentence(() -> load_network(joinpath(FOLDER, "plain.bson"))))
        write(joinpath(FOLDER, "cut.bson"), read(path)[1:end÷2])
        @test occursin("cannot be read", sentence(() -> load_network(joinpath(FOLDER, "cut.bson"))))
    end

    @testset "dense without bias and batch normalization without affine" begin
        plain_norm = (:batchnorm, settings(; eps=1e-3, affine=false, activation="relu"))
        description = described(
            GRAY, (:conv, conv_settings(4, (3, 3))), plain_norm, FLATTEN, plain_norm,
            (:dense, settings(; out=3, bias=false, activation="identity"));
            name="plain", labels=LABELS,
        )
        names = first.(PromptFlux.parameter_sizes(description))
        @test filter(startswith(r"batchnorm1|dense"), names) ==
              ["batchnorm1/running_mean", "batchnorm1/running_var", "dense1/weight"]
        weights = random_weights(description)
        network = with_weights(description, weights)
        @test PromptFlux.weights(network) == weights
        images = random_images(description, 5)
        outputs, values = layer_outputs(network, images), Dict(weights)
        for (i, name) in ((2, "batchnorm1"), (4, "batchnorm2"))
            shape = i == 2 ? (1, 1, :) : (:,)
            μ, σ² = (reshape(values["$name/running_$of"], shape) for of in ("mean", "var"))
            @test outputs[i] ≈ relu.((outputs[i-1] .- μ) ./ sqrt.(σ² .+ 1.0f-3)) rtol = 1e-5
        end
        @test outputs[5] ≈ values["dense1/weight"]' * outputs[4] rtol = 1e-5
        @test predict(Predictor(network; micro_batch=MICRO_BATCH), images) ≈ outputs[5] rtol = 1e-5

        # There and back, and into what Flux has for them.
        path = joinpath(FOLDER, "plain.bson")
        save_network(path, network; weights_sha256=PromptFlux.weights_digest(weights))
        @test PromptFlux.weights(load_network(path)) == weights
        model = Chain(
            Conv((3, 3), 1 => 4), BatchNorm(4, relu; eps=1.0f-3, affine=false), Flux.flatten,
            BatchNorm(320, relu; eps=1.0f-3, affine=false), Dense(320 => 3; bias=false),
        )
        Flux.loadmodel!(model, (layers=Tuple(BSON.load(path)[:state].layers),))
        @test testmode!(model)(images) ≈ outputs[5]
    end

    @testset "what a BSON file holds is never called" begin
        ran = joinpath(FOLDER, "ran")
        document(entries...) = Dict{Symbol,Any}(entries...)
        datatype(names...) = document(:tag => "datatype", :name => Any[names...], :params => Any[])
        reference(names...) = document(:tag => "ref", :path => Any[names...])
        hostile = (
            document(:tag => "struct", :type => datatype("Base", "Cmd"), :data => Any["touch", ran]),
            document(:tag => "struct", :type => reference("Base", "run"), :data => Any[ran]),
            document(:tag => "anonymous", :typename => datatype("Main", "f"), :data => Any[]),
            document(:tag => "unionall", :var => 1, :body => 2),
            document(
                :tag => "struct",
                :type => datatype("Main", "\e[2J\e]0;owned\a\$(touch(\"$ran\"))"),
                :data => Any[]
            ),
            document(:tag => "\e[2J" * "x"^10^6),
            document(:tag => "array", :type => datatype("Core", "Float32"), :size => Any[2^32, 2^32], :data => UInt8[]),
            document(
                :tag => "array",
                :type => datatype("Core", "Float32"),
                :size => fill!(Vector{Any}(undef, 10^5), 1),
                :data => UInt8[]
            ),
            document(
                :tag => "array",
                :type => datatype("Core", "Float32"),
                :size => Any[-1, -1],
                :data => zeros(UInt8, 4)
            ),
            document(:tag => "array", :type => datatype("Core", "Any"), :size => Any[1], :data => Any[1]),
        )
        path = joinpath(FOLDER, "hostile.bson")
        for value in hostile
            BSON.bson(path, Dict(:state => value))
            said = sentence(() -> load_network(path))
            @test startswith(said, "$path: the model cannot be read") && all(isprint, said) && length(said) < 400
        end
        @test !isfile(ran)

        # Depth, and references that would be endless, or endlessly many, when they are followed.
        nested(depth) = foldl((inner, _) -> Any[inner], 1:depth; init=1)
        BSON.bson(path, Dict(:state => nested(300)))
        @test occursin("more than 100 levels deep", sentence(() -> load_network(path)))
        backref(i) = document(:tag => "backref", :ref => i)
        BSON.bson(path, Dict(:state => backref(1), :_backrefs => Any[Any[backref(1)]]))
        @test occursin("part of itself", sentence(() -> load_network(path)))
        many = Any[i == 1 ? Any[1] : Any[backref(i - 1) for _ in 1:10] for i in 1:40]
        BSON.bson(path, Dict(:state => backref(40), :_backrefs => many))
        @test occursin("not a model file of promptflux", sentence(() -> load_network(path)))

        # A description that would have a larger network made than the file has weights for.
        description = small()
        save_network(path, random_network(description); weights_sha256="")
        content = BSON.load(path)
        content[:description][:layers][7][:shape] = [2^40]
        BSON.bson(path, content)
        @test occursin("dense1 are not those of its settings", sentence(() -> load_network(path)))
        content[:description][:layers][7][:parameter_shapes] = Any[[2^40, 120], [2^40]]
        BSON.bson(path, content)
        @test occursin("its network is larger than the file", sentence(() -> load_network(path)))
    end

    @testset "names and labels are data" begin
        odd = ["\$(touch(string(:PWNED)))", "\"; exit(3); \"", "\e]0;owned\a\u202e'`{}<\\"]
        description = described(GRAY, FLATTEN, dense(3); name="odd", labels=odd)
        network = random_network(description)
        for name in ("odd.bson", "odd.h5")
            path = joinpath(FOLDER, name)
            digest = PromptFlux.weights_digest(PromptFlux.weights(network))
            endswith(name, "h5") ? save_model(path, description, PromptFlux.weights(network)) :
            save_network(path, network; weights_sha256=digest)
            @test first(load_model(path)).labels == odd
        end
        @test !isfile("PWNED")
    end

    @testset "BSON mutated at random is refused in a sentence, or loads" begin
        description = described(GRAY, FLATTEN, dense(3); labels=LABELS)
        path = joinpath(FOLDER, "mutated.bson")
        network = random_network(description)
        save_network(path, network; weights_sha256=PromptFlux.weights_digest(PromptFlux.weights(network)))
        whole = read(path)
        rng = Xoshiro(16)
        for _ in 1:400
            bytes = copy(whole)
            # Half of the changes in the first part, where the structure lies, and not the weights.
            for _ in 1:rand(rng, (1, 1, 2, 8))
                at = rand(rng, 1:(rand(rng, Bool) ? length(bytes) : min(length(bytes), 1500)))
                change = rand(rng, 1:4)
                change == 1 && (bytes[at] = rand(rng, UInt8))
                change == 2 && rand(rng) < 0.2 && resize!(bytes, at)
                change == 3 && (bytes[at:min(at + 3, end)] .= rand(rng, (0x00, 0x01, 0x7f, 0xff)))
                change == 4 && splice!(bytes, at:at-1, rand(rng, UInt8, 3))
            end
            write(path, bytes)
            said = sentence(() -> load_network(path))
            @test said == "no error" || (occursin("mutated.bson", said) && all(c -> isprint(c) || c == '\n', said))
        end
    end

    @testset "what can be in a BSON file is taken as data only" begin
        for value in (Ref(1), sin, Base.GMP.BigInt(3), Dict("a" => 1), Base, x -> x, Vector{Any}[[sin]])
            io = IOBuffer()
            BSON.bson(io, Dict(:state => value))
            @test_throws PromptFlux.Misfit PromptFlux.plain(BSON.parse(seekstart(io)))
        end
        io = IOBuffer()
        BSON.bson(
            io,
            Dict(:a => Float32[1 2; 3 4], :b => (1, 2.5, nothing), :c => (x=[1.0], y="text", z=:symbol), :d => 1.0f-5)
        )
        @test PromptFlux.plain(BSON.parse(seekstart(io))) ==
              Dict(
            :a => Float32[1 2; 3 4],
            :b => [1, 2.5, nothing],
            :c => [:x => [1.0], :y => "text", :z => :symbol],
            :d => 1.0f-5
        )
    end

    @testset "pictures" begin
        colors = rand(Xoshiro(5), UInt8, 3, 7, 5)
        path = joinpath(FOLDER, "picture.png")
        PNGFiles.save(path, [PNGFiles.RGB(reinterpret(PNGFiles.N0f8, colors[:, x, y])...) for y in 1:5, x in 1:7])
        @test read_picture(path) == permutedims(colors, (2, 3, 1))
        @test occursin("no such file", sentence(() -> read_picture(joinpath(FOLDER, "missing.png"))))
        write(joinpath(FOLDER, "text.png"), "not an image")
        @test occursin("not a PNG or JPEG image", sentence(() -> read_picture(joinpath(FOLDER, "text.png"))))
        write(joinpath(FOLDER, "cut.png"), read(path)[1:60])
        @test occursin("is damaged", sentence(() -> read_picture(joinpath(FOLDER, "cut.png"))))
        write(joinpath(FOLDER, "cut.jpg"), UInt8[0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a])
        @test occursin("is damaged", sentence(() -> read_picture(joinpath(FOLDER, "cut.jpg"))))

        picture = reshape(UInt8.(1:6), 2, 3, 1)          # width 2, height 3:  1 2 / 3 4 / 5 6
        upright(orientation) = PromptFlux.upright(picture, orientation)[:, :, 1]
        @test upright(1) == [1 3 5; 2 4 6]
        @test upright(3) == [6 4 2; 5 3 1]
        @test upright(6) == [5 6; 3 4; 1 2]              # turned clockwise: 5 3 1 / 6 4 2
        @test upright(8) == [2 1; 4 3; 6 5]              # counter-clockwise: 2 4 6 / 1 3 5
        little(tag) = UInt8[0x49, 0x49, 0x2a, 0, 8, 0, 0, 0, 1, 0, tag, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0]
        big(tag) = UInt8[0x4d, 0x4d, 0, 0x2a, 0, 0, 0, 8, 0, 1, 1, tag, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0]
        @test PromptFlux.exif_orientation(little(0x12)) == PromptFlux.exif_orientation(big(0x12)) == 6
        @test PromptFlux.exif_orientation(big(0x13)) === PromptFlux.exif_orientation(UInt8[0x4d]) === nothing
        xmp = codeunits("<rdf:Description tiff:Orientation='8'/>")
        @test PromptFlux.orientation(big(0x12), xmp) == 6
        @test PromptFlux.orientation(big(0x13), xmp) == PromptFlux.orientation(UInt8[], xmp) == 8
        @test PromptFlux.orientation(UInt8[], UInt8[0xff, 0x00]) == 1
        @test PromptFlux.crc32(codeunits("123456789")) == 0xcbf43926

        cut(name, bytes) = (write(joinpath(FOLDER, name), bytes); sentence(() -> read_picture(joinpath(FOLDER, name))))
        whole = read(path)
        @test occursin("its last chunk is not whole", cut("end.png", whole[1:end-4]))
        @test occursin("its IEND chunk is missing", cut("end.png", whole[1:end-12]))
        whole[end-20] ⊻= 1
        @test occursin("the checksum of its chunk \"IDAT\" is wrong", cut("flipped.png", whole))
        values = Float32[0 128 129; 32767 65407 65535]
        gray = PNGFiles.Gray.(reinterpret.(PNGFiles.N0f16, UInt16.(values)))
        PNGFiles.save(joinpath(FOLDER, "deep.png"), gray)
        @test read_picture(joinpath(FOLDER, "deep.png"))[:, :, 2] == round.(UInt8, values' .* (255 / 65535))
    end

    @testset "resize" begin
        picture = rand(Xoshiro(6), UInt8, 9, 7, 3)
        for filter in keys(PromptFlux.FILTERS)
            @test resize(picture, (9, 7), filter) == picture
            @test all(==(0x55), resize(fill(0x55, 31, 17, 1), (8, 40), filter))
        end
        @test resize(reshape(UInt8[0, 100, 200, 250], 4, 1, 1), (2, 1), "box") == reshape(UInt8[50, 225], 2, 1, 1)
        @test resize(reshape(UInt8[1, 2, 3, 4], 4, 1, 1), (2, 1), "nearest") == reshape(UInt8[2, 4], 2, 1, 1)
        @test PromptFlux.centered_box((300, 200), (100, 100)) == (50.0, 0.0, 250.0, 200.0)
        @test PromptFlux.contained_size((300, 200), (100, 100)) == (100, 67)
        padded = InputSpec("padded", 8, 4, "gray", "pad", "bilinear", [0.5], [0.5])
        tensor = image_tensor(fill(0xff, 5, 5, 3), padded)
        @test tensor[:, 1, 1] == [-1, -1, 1, 1, 1, 1, -1, -1]
    end

    @testset "streaming from file to file" begin
        description = small()
        weights, images = random_weights(description), random_images(description, 2MICRO_BATCH + 1)
        names = ["image_$i" for i in axes(images, 4)]
        at(name) = joinpath(FOLDER, "run", name)
        mkpath(at(""))
        save_network(
            at("small.bson"),
            with_weights(description, weights);
            weights_sha256=PromptFlux.weights_digest(weights)
        )
        PromptFlux.write_tensors(at("tensors.h5"), description.input, images, names)
        run(output; kernels="fast", kw...) =
            infer(; tensors=at("tensors.h5"), model=at("small.bson"), output=at(output),
                micro_batch=MICRO_BATCH, kernels, device="cpu", kw...)
        kept = ["image_20", "image_3"]
        run("p.h5"; layers_of=kept)
        run("plain.h5"; layers_of=kept, kernels="plain")
        expected = with_weights(description, weights)(images)
        for (name, kernels) in (("p.h5", "fast"), ("plain.h5", "plain"))
            h5open(at(name)) do file
                @test read(file["logits"]) ≈ expected rtol = 1e-5
                @test read(file["probabilities"]) ≈ softmax(expected) rtol = 1e-5
                @test read(file["names"]) == names
                @test read(file["layer_images"]) == ["image_3", "image_20"]
                @test size(file["layers/conv1"]) == (8, 10, 4, 2)
                @test read(file["layers/dense2"]) ≈ expected[:, [3, 20]] rtol = 1e-5
                @test read(attributes(file)["engine"]) == "flux"
                @test read(attributes(file)["kernels"]) == kernels
                @test read(attributes(file)["weights_sha256"]) == PromptFlux.weights_digest(weights)
            end
        end
        # The kept layers are those of Flux's chain, whatever makes the logits.
        layers_of(name) =
            h5open(file -> Dict(layer => read(file["layers"][layer]) for layer in keys(file["layers"])), at(name))
        @test layers_of("p.h5") == layers_of("plain.h5")
        run("again.h5"; layers_of=kept)
        @test read(at("again.h5")) == read(at("p.h5"))
        @test occursin("feature maps are asked of nobody", sentence(() -> run("no.h5"; layers_of=["nobody"])))
        @test !isfile(at("no.h5"))
        @test occursin("the device gpu is asked for", sentence(() -> run("no.h5"; device="gpu")))
        @test occursin("not one of fast and plain", sentence(() -> run("no.h5"; kernels="slow")))
        other = InputSpec("other", 10, 12, "gray", "pad", "bilinear", [0], [1])
        PromptFlux.write_tensors(at("other.h5"), other, images, names)
        @test occursin(
            "wants name gray12x10",
            sentence(() -> PromptFlux.with_tensors((_...) -> 0, at("other.h5"), description))
        )
    end

end
