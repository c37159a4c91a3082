# What the scripts beside src/ do, one function each.

"""
    ready(model; micro_batch, kernels, device, threads)

The classifier of a model file on its device: its `description`, its `network` of Flux's own layers, the `place`, what gives
`logits_of` images, and the `attributes` that a file says of a run of it.
"""
function ready(model; micro_batch, kernels, device, threads)
    kernels in ("fast", "plain") || throw(StudyError("the kernels $(repr(kernels)) are not one of fast and plain."))
    description, network, digest = without_collection() do
        description, weights, digest = load_model(model)
        description, with_weights(description, weights), digest
    end
    place = find_device(device)
    network = place.device(network)
    fast = kernels == "fast" && place.name == "cpu"
    logits_of = fast ? Predictor(network; micro_batch, threads) : OnDevice(network, place.device, micro_batch)
    attributes = (
        engine="flux", engine_version=string(pkgversion(Flux)), language_version="Julia $VERSION",
        device=place.name, kernels=fast ? "fast" : "plain", classifier=description.name,
        description_sha256=description.digest, weights_sha256=digest,
    )
    return (; description, network, place, logits_of, attributes)
end

"""
    infer(; tensors, model, output, layers_of = [], layers = nothing, activations = nothing, counted = [], micro_batch,
          kernels, device = "auto", threads)

Write the predictions of the classifier `model` (a model file) for the images in `tensors`, and what the
layers give, by Flux's own chain, for those named in `layers_of`: all of it for the `layers` named (`nothing`: for
all) and for small ones, of the others a sample. What the channels of the layers `counted` give for
all images that are no test patterns is added up into the file `activations`, by Flux's own chain, too. `micro_batch` images run together. `kernels` is `"fast"` for logits by this project's kernels where the CPU runs, or `"plain"`
for logits by Flux's chain; `device` is `"auto"`, `"cpu"` or `"gpu"`.
"""
function infer(;
    tensors,
    model,
    output,
    layers_of=String[],
    layers=nothing,
    activations=nothing,
    counted=String[],
    micro_batch,
    kernels,
    device="auto",
    threads=Threads.nthreads()
)
    (; description, network, place, logits_of, attributes) = ready(model; micro_batch, kernels, device, threads)
    tallies, shown = Dict{String,Tally}(), 0
    with_tensors(tensors, description) do images, names, problems
        unknown = setdiff(layers_of, names)
        isempty(unknown) ||
            throw(StudyError("$tensors: feature maps are asked of $(join(unknown, ", ")), which is not in this batch."))
        layer_images = filter(in(layers_of), names)
        asked = something(layers, [layer.name for layer in walk(description)])
        with_predictions(output, description, names, layer_images, asked, attributes) do datasets
            for batch in Iterators.partition(eachindex(names), micro_batch)
                part = images[:, :, :, batch]
                logits = predict(logits_of, part)
                check_finite(logits, names[batch], model)
                datasets.logits[:, batch] = logits
                datasets.probabilities[:, batch] = softmax(logits)
                if activations !== nothing
                    real = filter(row -> isempty(problems[batch[row]]), eachindex(batch))
                    shown += length(real)
                    isempty(real) || count!(tallies, network, part, real, counted, micro_batch, place.device)
                end
                kept = filter(row -> names[batch[row]] in layer_images, eachindex(batch))
                isempty(kept) || keep_layers!(
                    datasets.layers,
                    network,
                    part,
                    kept,
                    names[batch],
                    layer_images,
                    micro_batch,
                    place.device
                )
            end
        end
        activations === nothing || write_activations(activations, shown, counted, tallies)
        note(
            "$(description.name): $(length(names)) images on $(place.name), $(min(threads, Threads.nthreads())) threads"
        )
    end
end

"Write what every layer of Flux's chain gives for the rows `kept` of the micro-batch `images`."
function keep_layers!(datasets, network, images, kept, names, layer_images, micro_batch, device)
    values = device(filled(images, axes(images, 4), micro_batch))
    run!(network.description.layers, network.chain, values) do layer, output
        dataset, output = datasets[layer.name], cpu_device()(output)
        places = is_sample(dataset, layer) ? sample_places(prod(layer.outsize)) : Colon()
        for row in kept
            index = findfirst(==(names[row]), layer_images)
            image = selectdim(output, ndims(output), row)
            dataset[ntuple(_ -> :, ndims(dataset) - 1)..., index] =
                places isa Colon ? Array(image) : image[places]
        end
    end
end

"Add what the layers `counted` of Flux's chain give for the rows `real` of the micro-batch `images` to `tallies`."
function count!(tallies, network, images, real, counted, micro_batch, device)
    values = device(filled(images, axes(images, 4), micro_batch))
    run!(network.description.layers, network.chain, values) do layer, output
        layer.name in counted || return
        tally = Tally(cpu_device()(output)[ntuple(_ -> :, ndims(output) - 1)..., real])
        haskey(tallies, layer.name) ? add!(tallies[layer.name], tally) : (tallies[layer.name] = tally)
    end
end

is_sample(dataset, layer) = size(dataset)[1:end-1] != layer.outsize

"Call `f` with the garbage collector off: its first collection takes as long as reading a model."
function without_collection(f)
    GC.enable(false)
    try
        f()
    finally
        GC.enable(true)
    end
end

function check_finite(logits, names, model)
    for (name, column) in zip(names, eachcol(logits))
        all(isfinite, column) || throw(StudyError("$model: the network gives values for $name that are not finite."))
    end
end

"Where to run: `(; device, name)`, with a device of MLDataDevices, or `identity` for the CPU."
function find_device(device)
    device in ("auto", "cpu", "gpu") || throw(StudyError("the device $(repr(device)) is not one of auto, cpu and gpu."))
    gpu = device == "cpu" ? nothing : find_gpu()
    gpu === nothing || return gpu
    device == "gpu" &&
        throw(StudyError("the device gpu is asked for, and there is none that CUDA.jl can use; use auto or cpu."))
    BLAS.set_num_threads(1)     # the same bits on any number of cores
    return (device=identity, name="cpu")
end

"""
    find_gpu() -> (; device, name) or nothing

The GPU to run on. There is one if CUDA and cuDNN are loaded, which brings the method of
ext/PromptFluxCUDAExt.jl, and a GPU works.
"""
find_gpu() = find_gpu(nothing)
find_gpu(::Any) = nothing

"A network that runs layer by layer where its arrays are."
struct OnDevice{D}
    network::Network
    device::D
    micro_batch::Int
end

predict(run::OnDevice, images) = predict(run.network, images; run.micro_batch, run.device)

"""
    export_bson(; weights, model, architecture)

Write the Flux model of a classifier: its state and description, from the model file `weights` (.h5), as
BSON, and its architecture as Flux prints it.
"""
function export_bson(; weights, model, architecture)
    description, arrays, digest = load_model(weights)
    network = with_weights(description, arrays)
    save_network(model, network; weights_sha256=digest)
    whole(partial -> write(partial, sprint(show, MIME("text/plain"), network.chain) * "\n"), architecture)
    note("$(description.name): $(sum(length(array) for (_, array) in arrays; init=0)) parameters")
end

"""
    predict_files(images; classifier, top = 3)

Print the most probable labels of PNG and JPEG files. `classifier` is a model file, or the name of a
classifier in results/models/, where a run of the workflow puts them.
"""
function predict_files(images; classifier, top=3)
    network = load_network(find_model(classifier))
    tensors = [image_tensor(read_picture(image), network.description.input) for image in images]
    place = find_device("auto")
    logits = predict(place.device(network), stack(tensors); micro_batch=length(images), place.device)
    print_best(images, softmax(logits), map(plain_text, network.description.labels), top)
end

"Print a line for each image: the `top` labels with their probabilities, K × N."
function print_best(images, probabilities, labels, top)
    width, label_width = maximum(textwidth, images), maximum(textwidth, labels)
    for (image, column) in zip(images, eachcol(probabilities))
        best = partialsortperm(column, 1:min(top, length(column)); rev=true)
        entries = (@sprintf("%s %5.1f %%", rpad(labels[i], label_width), 100 * column[i]) for i in best)
        println(rpad(image, width), "   ", join(entries, "   "))
    end
end

function find_model(classifier)
    endswith(classifier, r"\.(bson|h5)") && return classifier
    paths = [joinpath("results", "models", classifier * suffix) for suffix in (".bson", ".h5")]
    found = findfirst(isfile, paths)
    found === nothing &&
        throw(
            StudyError(
                "the classifier $classifier has no model $(join(paths, " or ")); name a model file, " *
                "or run the workflow here: snakemake --cores 1 $(last(paths))"
            )
        )
    return paths[found]
end
