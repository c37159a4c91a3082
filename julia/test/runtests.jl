# Run with: julia --project=julia -e 'using Pkg; Pkg.test()'

using PromptFlux
using PromptFlux: ChannelNorm, DirectConv, DirectPool, MICRO_BATCH, Predictor, resize, save_network, sha256_of_file
using BSON: BSON
using Flux
using HDF5
using PNGFiles: PNGFiles
using Random: Xoshiro
using Test

const FOLDER = mktempdir()

"A spec of the given layers, in a file."
function spec_of(layers...; input="{name: gray12x10, size: [12, 10], channels: gray}", labels="[a, b, c]")
    path = joinpath(FOLDER, "small.yaml")
    lines = join("  - $layer\n" for layer in layers)
    write(path, "input: $input\nlayers:\n$(lines)labels: $labels\nweights: {seed: 1}\n")
    return load_spec(path)
end

small_spec() = spec_of(
    "conv: {out: 4, kernel: 3, activation: relu}", "maxpool: 2",
    "conv: {out: 6, kernel: [1, 3], padding: [0, 1], bias: false}", "batchnorm: {activation: relu}",
    "dropout: 0.5", "flatten", "dense: {out: 8, activation: gelu}", "dense: 3", "softmax",
)

"Random weights for a spec; a variance is positive."
function random_weights(spec; rng=Xoshiro(1))
    value(name, size) = endswith(name, "running_var") ? rand(rng, Float32, size) .+ 0.5f0 : randn(rng, Float32, size) ./ 3
    return [name => value(name, size) for (name, size) in PromptFlux.parameter_sizes(spec)]
end

random_network(spec) = with_weights(spec, random_weights(spec))
random_images(spec, count) = randn(Xoshiro(2), Float32, size(spec.input)..., count)

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

@testset "spec" begin
    spec = small_spec()
    @test [layer.name for layer in spec.layers] ==
          ["conv1", "maxpool1", "conv2", "batchnorm1", "dropout1", "flatten1", "dense1", "dense2", "softmax1"]
    @test spec.layers[1].outsize == (8, 10, 4)          # width × height × channels
    @test spec.layers[2].outsize == (4, 5, 4)
    @test spec.layers[3].settings["kernel"] == (3, 1)   # the spec says [height, width]
    @test spec.layers[6].outsize == (4 * 5 * 6,)
    @test load_spec(joinpath(FOLDER, "small.yaml")).labels == ["a", "b", "c"]

    @test occursin("conv1 (layers[0]) gets 10×12×1; its kernel covers 3×13 pixels",
                   sentence(() -> spec_of("conv: {out: 4, kernel: [13, 3]}", "flatten", "dense: 3")))
    @test occursin("put `- flatten` before it", sentence(() -> spec_of("dense: 3")))
    @test occursin("softmax must be the last layer", sentence(() -> spec_of("flatten", "softmax", "dense: 3")))
    @test occursin("labels has 3 names, and the network has 4 outputs (dense1)", sentence(() -> spec_of("flatten", "dense: 4")))
    @test occursin("layers[0] is konv", sentence(() -> spec_of("konv")))
    @test occursin("has no setting \"size\"", sentence(() -> spec_of("conv: {out: 4, kernel: 3, size: 2}")))
    @test occursin("has no kernel", sentence(() -> spec_of("conv: {out: 4}")))
    @test occursin("no such classifier spec", sentence(() -> load_spec(joinpath(FOLDER, "missing.yaml"))))
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

@testset "convolution is PyTorch's: stride $stride, pad $pad, dilation $dilation, groups $groups" for
        (stride, pad, dilation, groups) in (((1, 1), (0, 0), (1, 1), 1), ((1, 1), (1, 2), (1, 1), 1),
                                            ((2, 1), (1, 0), (1, 2), 1), ((1, 1), (2, 1), (2, 3), 1), ((1, 2), (0, 1), (1, 1), 3))
    text(pair) = "[$(pair[2]), $(pair[1])]"
    spec = spec_of(
        "conv: {out: 9, kernel: [2, 3], stride: $(text(stride)), padding: $(text(pad)), dilation: $(text(dilation)), groups: $groups}",
        "flatten", "dense: 3"; input="{name: small, size: [12, 15], channels: rgb}",
    )
    weights = random_weights(spec)
    images = random_images(spec, 2)
    expected = correlate(images, weights[1][2], weights[2][2]; stride, pad, dilation, groups)
    layer = with_weights(spec, weights).layers[1]
    @test layer(images) ≈ expected rtol = 1e-5
    direct = DirectConv(layer, (15, 12, 3))(images[:, :, :, 2:2])
    @test direct ≈ expected[:, :, :, 2:2] rtol = 1e-5
    @test DirectConv(layer, (15, 12, 3); pool=2)(images[:, :, :, 2:2]) == MaxPool((2, 2))(direct)
end

@testset "kernels on $width×$height: $outputs outputs, $σ" for
        (width, height, outputs, σ) in ((40, 3, 8, relu), (7, 9, 5, tanh), (3, 30, 17, identity), (111, 50, 16, leakyrelu), (3, 4, 1, sigmoid))
    image = randn(Xoshiro(4), Float32, width, height, 4, 1)
    layer = Conv((3, 3), 4 => outputs, σ; pad=(0, 0), bias=randn(Xoshiro(3), Float32, outputs))
    expected = layer(image)
    output = copy(DirectConv(layer, size(image))(image))
    @test output ≈ expected rtol = 1e-5

    random(shift=0) = rand(Xoshiro(shift), Float32, outputs) .+ 0.1f0
    norm = testmode!(BatchNorm(outputs, relu; initβ=_ -> random(1), initγ=_ -> random(2)))
    copyto!(norm.μ, random(3))
    copyto!(norm.σ², random(4))
    normalised = ChannelNorm(norm)(output)
    @test normalised ≈ norm(expected) rtol = 1e-5
    @test DirectConv(layer, size(image); norm=ChannelNorm(norm))(image) == normalised

    for pool in (MaxPool((2, 2); pad=(0, 0)), MaxPool((3, 2); stride=(1, 2), pad=(1, 1)), MeanPool((2, 3); stride=(2, 1), pad=(1, 1)))
        all(size(output)[1:2] .+ 2 .* pool.pad .>= pool.k) || continue
        expected_pool = pool(output)
        @test DirectPool(pool, size(expected_pool)[1:3])(output) ≈ expected_pool rtol = 1e-6
    end
    if all(size(output)[1:2] .>= 2)
        @test DirectConv(layer, size(image); norm=ChannelNorm(norm), pool=2)(image) == MaxPool((2, 2))(normalised)
    end
end

@testset "the predictor gives what Flux gives" begin
    spec = small_spec()
    network = random_network(spec)
    images = random_images(spec, MICRO_BATCH + 3)
    outputs = layer_outputs(network, images)
    expected = outputs[end-1]
    @test network(images) == expected
    @test softmax(expected) == outputs[end]
    @test outputs[5] == outputs[4]                              # dropout does nothing
    @test Chain(network)(images) == outputs[end]

    for threads in (1, 2, 3)
        @test predict(Predictor(network; threads), images) ≈ expected rtol = 1e-5
    end
    @test predict(network, images) ≈ expected rtol = 1e-5
    @test size(predict(Predictor(network), images[:, :, :, 1:0])) == (3, 0)

    kept = Dict{Tuple{Int,Int},Array{Float32}}()
    keep(n) = n in (2, MICRO_BATCH + 1)
    keep(n, layer, output) = kept[n, layer] = output
    logits = predict(Predictor(network), images; keep)
    @test length(kept) == 2 * length(spec.layers)
    for ((n, layer), output) in kept
        @test output ≈ selectdim(outputs[layer], ndims(outputs[layer]), n) rtol = 1e-5
    end
    # An image's prediction does not hang on its neighbours, nor on what is kept of it.
    @test logits == predict(Predictor(network; threads=1), images)
    @test logits[:, 3] == predict(Predictor(network), images[:, :, :, [1, 3]])[:, 2]
end

@testset "weights" begin
    spec = small_spec()
    weights = random_weights(spec)
    network = with_weights(spec, weights)
    @test PromptFlux.weights(network) == weights
    save_weights(joinpath(FOLDER, "a.h5"), weights, "small")
    save_weights(joinpath(FOLDER, "b.h5"), weights, "small")
    @test read(joinpath(FOLDER, "a.h5")) == read(joinpath(FOLDER, "b.h5"))
    loaded, digest = load_weights(joinpath(FOLDER, "a.h5"), spec)
    @test Dict(loaded) == Dict(weights)
    @test digest == PromptFlux.weights_digest(weights)

    wrong = [name => name == "conv2/weight" ? zeros(Float32, 3, 1, 4, 5) : array for (name, array) in weights[2:end]]
    save_weights(joinpath(FOLDER, "wrong.h5"), wrong, "small")
    problems = sentence(() -> load_weights(joinpath(FOLDER, "wrong.h5"), spec))
    @test occursin("conv1/weight is missing; $(spec.path) wants it with the shape 4×1×3×3", problems)
    @test occursin("conv2/weight has the shape 5×4×1×3; $(spec.path) wants 6×4×1×3", problems)
    h5open(file -> attributes(file)["format"] = "another", joinpath(FOLDER, "other.h5"), "w")
    @test occursin("not a weights file", sentence(() -> load_weights(joinpath(FOLDER, "other.h5"), spec)))
    @test occursin("missing or not HDF5", sentence(() -> load_weights(spec.path, spec)))
end

@testset "models as BSON" begin
    spec = small_spec()
    network = random_network(spec)
    path = joinpath(FOLDER, "small.bson")
    save_network(path, network; weights_sha256=PromptFlux.weights_digest(PromptFlux.weights(network)))
    digest = sha256_of_file(path)
    save_network(path, network; weights_sha256=PromptFlux.weights_digest(PromptFlux.weights(network)))
    @test sha256_of_file(path) == digest
    @test PromptFlux.weights(load_network(path, spec)) == PromptFlux.weights(network)

    # What a Flux user does, there and back.
    model = Chain(Network(spec))
    Flux.loadmodel!(model, BSON.load(path)[:state])
    images = random_images(spec, 2)
    @test model(images) == Chain(network)(images)
    own = Chain(Conv((3, 3), 1 => 4, relu), MaxPool((2, 2)), Conv((3, 1), 4 => 6; pad=(1, 0), bias=false),
                BatchNorm(6, relu), Dropout(0.5), Flux.flatten, Dense(120 => 8, gelu), Dense(8 => 3), softmax)
    state = Flux.state(own)
    BSON.@save joinpath(FOLDER, "own.bson") state
    @test PromptFlux.weights(load_network(joinpath(FOLDER, "own.bson"), spec))[1][2] == reverse(own[1].weight; dims=(1, 2))
    bson_to_weights(; spec=spec.path, model=joinpath(FOLDER, "own.bson"), output=joinpath(FOLDER, "own.h5"))
    @test Dict(first(load_weights(joinpath(FOLDER, "own.h5"), spec)))["dense2/weight"] == permutedims(own[8].weight)

    other = spec_of("flatten", "dense: 3")
    @test occursin("the model has 9 layers", sentence(() -> load_network(path, other)))
    BSON.bson(joinpath(FOLDER, "code.bson"), Dict(:state => Chain(network)))
    @test occursin("only arrays, numbers, texts and tuples are taken",
                   sentence(() -> load_network(joinpath(FOLDER, "code.bson"), small_spec())))
    write(joinpath(FOLDER, "cut.bson"), read(path)[1:end÷2])
    @test occursin("cannot be read", sentence(() -> load_network(joinpath(FOLDER, "cut.bson"), small_spec())))
end

@testset "what can be in a BSON file is taken as data only" begin
    for value in (Ref(1), sin, Base.GMP.BigInt(3), Dict("a" => 1), Base, x -> x, Vector{Any}[[sin]])
        io = IOBuffer()
        BSON.bson(io, Dict(:state => value))
        @test_throws PromptFlux.Misfit PromptFlux.plain(BSON.parse(seekstart(io)))
    end
    io = IOBuffer()
    BSON.bson(io, Dict(:a => Float32[1 2; 3 4], :b => (1, 2.5, nothing), :c => (x=[1.0], y="text", z=:symbol), :d => 1f-5))
    @test PromptFlux.plain(BSON.parse(seekstart(io))) ==
          Dict(:a => Float32[1 2; 3 4], :b => [1, 2.5, nothing], :c => [:x => [1.0], :y => "text", :z => :symbol], :d => 1f-5)
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
    @test PromptFlux.exif_orientation(big(0x13)) == PromptFlux.exif_orientation(UInt8[0x4d]) == 1
end

@testset "resize" begin
    picture = rand(Xoshiro(6), UInt8, 9, 7, 3)
    for filter in keys(PromptFlux.FILTERS)
        @test resize(picture, (9, 7), filter) == picture
        @test all(==(0x55), resize(fill(0x55, 31, 17, 1), (8, 40), filter))
    end
    @test resize(reshape(UInt8[0, 100, 200, 250], 4, 1, 1), (2, 1), "box") == reshape(UInt8[50, 225], 2, 1, 1)
    @test resize(reshape(UInt8[1, 2, 3, 4], 4, 1, 1), (2, 1), "nearest") == reshape(UInt8[2, 4], 2, 1, 1)
    @test PromptFlux.centred_box((300, 200), (100, 100)) == (50.0, 0.0, 250.0, 200.0)
    @test PromptFlux.contained_size((300, 200), (100, 100)) == (100, 67)
    spec = spec_of("flatten", "dense: 3"; input="{name: padded, size: [4, 8], channels: gray, fit: pad, mean: [0.5], std: [0.5]}")
    tensor = image_tensor(fill(0xff, 5, 5, 3), spec.input)
    @test tensor[:, 1, 1] == [-1, -1, 1, 1, 1, 1, -1, -1]
end

@testset "streaming from file to file" begin
    spec = small_spec()
    weights, images = random_weights(spec), random_images(spec, 2MICRO_BATCH + 1)
    names = ["image_$i" for i in axes(images, 4)]
    at(name) = joinpath(FOLDER, "run", name)
    mkpath(at(""))
    save_weights(at("small.h5"), weights, "small")
    export_bson(; spec=spec.path, weights=at("small.h5"), model=at("small.bson"), architecture=at("small.txt"))
    @test startswith(read(at("small.txt"), String), "Chain(\n  conv1 = Conv((3, 3), 1 => 4, relu)")
    PromptFlux.write_tensors(at("tensors.h5"), spec.input, images, names)
    run(output; kw...) = infer(; tensors=at("tensors.h5"), spec=spec.path, model=at("small.bson"), output=at(output), device="cpu", kw...)
    run("p.h5"; layers_of=["image_20", "image_3"])
    h5open(at("p.h5")) do file
        expected = with_weights(spec, weights)(images)
        @test read(file["logits"]) ≈ expected rtol = 1e-5
        @test read(file["probabilities"]) ≈ softmax(expected) rtol = 1e-5
        @test read(file["names"]) == names
        @test read(file["layer_images"]) == ["image_3", "image_20"]
        @test size(file["layers/conv1"]) == (8, 10, 4, 2)
        @test read(attributes(file)["engine"]) == "flux"
        @test read(attributes(file)["weights_sha256"]) == PromptFlux.weights_digest(weights)
    end
    run("again.h5"; layers_of=["image_20", "image_3"])
    @test read(at("again.h5")) == read(at("p.h5"))
    @test occursin("feature maps are asked of nobody", sentence(() -> run("no.h5"; layers_of=["nobody"])))
    @test !isfile(at("no.h5"))
    @test occursin("the device gpu is asked for", sentence(() -> run("no.h5"; device="gpu")))
    spec_of("flatten", "dense: 3"; input="gray28")
    @test occursin("wants {\"name\": \"gray28\"", sentence(() -> PromptFlux.with_tensors((_...) -> 0, at("tensors.h5"), load_spec(spec.path))))
end

end
