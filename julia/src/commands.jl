# What the scripts beside src/ do, one function each.

"""
    infer(; tensors, spec, model, output, layers_of = [], device = "auto", threads)

Write the predictions of the classifier `spec` with the state `model` (a .bson file) for the images in
`tensors`, and every layer's output for those named in `layers_of`.
`device` is `"auto"`, `"cpu"` or `"gpu"`.
"""
function infer(; tensors, spec, model, output, layers_of=String[], device="auto", threads=Threads.nthreads())
    classifier = load_spec(spec)
    run, device_name, digest = without_collection() do
        weights, digest = load_state(model, classifier)
        runner(with_weights(classifier, weights), device, threads)..., digest
    end
    attributes = (
        engine="flux", engine_version=string(pkgversion(Flux)), language_version="Julia $VERSION",
        device=device_name, classifier=classifier.name, spec_sha256=sha256_of_file(spec), weights_sha256=digest,
    )
    with_tensors(tensors, classifier) do images, names
        unknown = setdiff(layers_of, names)
        isempty(unknown) ||
            throw(StudyError("$tensors: feature maps are asked of $(join(unknown, ", ")), which is not in this batch."))
        layer_images = filter(in(layers_of), names)
        with_predictions(output, classifier, names, layer_images, attributes) do datasets
            for batch in Iterators.partition(eachindex(names), MICRO_BATCH)
                keep(n) = names[batch[n]] in layer_images
                keep(n, layer, values) = write_last!(datasets.layers[layer], values, findfirst(==(names[batch[n]]), layer_images))
                logits = predict(run, images[:, :, :, batch]; keep)
                check_finite(logits, names[batch], spec)
                datasets.logits[:, batch] = logits
                datasets.probabilities[:, batch] = softmax(logits)
            end
        end
        note("$(classifier.name): $(length(names)) images on $device_name, $(min(threads, Threads.nthreads())) threads")
    end
end

"Call `f` with the garbage collector off: its first collection takes as long as reading a model."
function without_collection(f)
    GC.enable(false)
    try
        f()
    finally
        GC.enable(true)
    end
end

write_last!(dataset, values, index) = dataset[ntuple(_ -> :, ndims(values))..., index] = Array(values)

function check_finite(logits, names, spec)
    for (name, column) in zip(names, eachcol(logits))
        all(isfinite, column) || throw(StudyError("$spec: the network gives values for $name that are not finite."))
    end
end

"What [`predict`](@ref) takes to run a network on `device`, and the device's name."
function runner(network, device, threads)
    device in ("auto", "cpu", "gpu") || throw(StudyError("the device $(repr(device)) is not one of auto, cpu and gpu."))
    gpu = device == "cpu" ? nothing : find_gpu()
    gpu === nothing || return OnDevice(gpu.device(network), gpu.device), gpu.name
    device == "gpu" &&
        throw(StudyError("the device gpu is asked for, and there is none that CUDA.jl can use; use auto or cpu."))
    BLAS.set_num_threads(1)     # the same bits on any number of cores
    return Predictor(network; threads), "cpu"
end

"""
    find_gpu() -> (; device, name) or nothing

The GPU to run on. There is one if CUDA and cuDNN are loaded, which brings the method of
ext/PromptFluxCUDAExt.jl, and a GPU works.
"""
find_gpu() = find_gpu(nothing)
find_gpu(::Any) = nothing

"A network whose arrays are on `device`."
struct OnDevice{D}
    network::Network
    device::D
end

predict(run::OnDevice, images; keep=nothing) = predict(run.network, images; keep, run.device)

"""
    export_bson(; spec, weights, model, architecture)

Write the Flux model of a classifier: its state, from the weights file, as BSON, and its
architecture as Flux prints it.
"""
function export_bson(; spec, weights, model, architecture)
    classifier = load_spec(spec)
    arrays, digest = load_weights(weights, classifier)
    network = with_weights(classifier, arrays)
    save_network(model, network; weights_sha256=digest)
    whole(partial -> write(partial, sprint(show, MIME("text/plain"), Chain(network)) * "\n"), architecture)
    note("$(classifier.name): $(sum(length(array) for (_, array) in arrays; init=0)) parameters")
end

"""
    bson_to_weights(; spec, model, output)

The way back: write the state of a Flux model in a BSON file (see [`load_network`](@ref))
as a weights file, which PyTorch's side of the project reads.
"""
function bson_to_weights(; spec, model, output)
    classifier = load_spec(spec)
    weights, _ = load_state(model, classifier)
    save_weights(output, weights, classifier.name)
end

"""
    predict_files(images; classifier, weights = nothing, top = 3)

Print the most probable labels of PNG and JPEG files. `classifier` is the path of a spec, or the
name of one in models/classifiers/; `weights`, a .h5 or .bson file, is what the spec names if
nothing is said.
"""
function predict_files(images; classifier, weights=nothing, top=3)
    spec = load_spec(find_spec(classifier))
    network = load_weights_of(spec, weights)
    tensors = [image_tensor(read_picture(image), spec.input) for image in images]
    run, _ = runner(network, "auto", Threads.nthreads())
    print_best(images, softmax(predict(run, stack(tensors))), spec.labels, top)
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

function find_spec(classifier)
    endswith(classifier, r"\.ya?ml") && return classifier
    folders = ("models/classifiers", joinpath(pkgdir(PromptFlux), "..", "models", "classifiers"))
    for folder in folders
        path = joinpath(folder, "$classifier.yaml")
        isfile(path) && return path
    end
    throw(StudyError("the classifier $classifier is not in $(join(abspath.(folders), " or "))."))
end

function load_weights_of(spec, path)
    if path === nothing
        haskey(spec.weights, "file") ||
            throw(StudyError("$(spec.path) names no weights file; name one with --weights, such as " *
                             "results/models/$(spec.name).h5 of a run of the workflow."))
        path = joinpath(dirname(spec.path), spec.weights["file"])
        isfile(path) || throw(StudyError("$(spec.path): weights.file is $(spec.weights["file"]), and there is no file $path."))
        sha256_of_file(path) == spec.weights["sha256"] ||
            throw(StudyError("$path does not have the SHA-256 that $(spec.path) records."))
    end
    return endswith(path, ".bson") ? load_network(path, spec) : with_weights(spec, first(load_weights(path, spec)))
end
