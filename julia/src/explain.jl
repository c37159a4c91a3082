# Why a classifier says what it says of an image; the other half of scripts/promptflux/classifiers/explaining.py and
# scripts/promptflux/files/explanations.py, where the papers stand.

const EXPLANATIONS_FORMAT = "promptflux explanations 1"
const UNKNOWN = -1

"""
    explain(; tensors, model, output, images, asked_labels, patch, stride, micro_batch, kernels, device = "auto", threads)

Write the occlusion and Grad-CAM maps of `images`, which are in `tensors`, each for the label that the classifier `model` (a model
file) predicts and the one that was asked for: its place among the labels, counted from 0, or -1 where it is not known.
`patch` and `stride` of the occlusion are (width, height) in pixels; for the rest see [`infer`](@ref).
"""
function explain(;
    tensors,
    model,
    output,
    images,
    asked_labels,
    patch,
    stride,
    micro_batch,
    kernels,
    device="auto",
    threads=Threads.nthreads()
)
    (; description, network, place, logits_of, attributes) = ready(model; micro_batch, kernels, device, threads)
    layer = last_convolution(description)
    across, down = (starts(size(description.input)[axis], patch[axis], stride[axis]) for axis in 1:2)
    count, mapsize = length(images), layer === nothing ? (0, 0) : layer.outsize[1:2]
    targets = fill(Int32(UNKNOWN), 2, count)
    probabilities, scales = zeros(Float32, 2, count), zeros(Float32, 2, count)
    occlusion = zeros(Float32, length(across), length(down), 2, count)
    gradcams = zeros(Float32, mapsize..., 2, count)
    with_tensors(tensors, description) do dataset, names, _
        unknown = setdiff(images, names)
        isempty(unknown) ||
            throw(StudyError("$tensors: maps are asked of $(join(unknown, ", ")), which is not in this batch."))
        for (row, name) in enumerate(images)
            image = dataset[:, :, :, findfirst(==(name), names)]
            found = probabilities_while_covered(logits_of, image, patch, across, down, micro_batch)
            check_finite(found, fill(name, size(found, 2)), model)
            targets[:, row] = [argmax(found[:, 1]) - 1, asked_labels[row]]
            for slot in 1:2
                targets[slot, row] == UNKNOWN && continue
                target = targets[slot, row] + 1
                probabilities[slot, row] = found[target, 1]
                # The places row by row, which is the order of width × height.
                occlusion[:, :, slot, row] = found[target, 1] .- found[target, 2:end]
                layer === nothing && continue
                gradcams[:, :, slot, row], scales[slot, row] = gradcam(network, image, layer, target, place.device)
            end
        end
    end
    whole(output) do partial
        h5open(partial, "w") do file
            write_text_attribute(file, "format", EXPLANATIONS_FORMAT)
            for (key, value) in pairs((; attributes..., layer=layer === nothing ? "" : layer.name))
                write_text_attribute(file, string(key), value)
            end
            write_texts(file, "names", images)
            write_texts(file, "labels", description.labels)
            sizes = (patch=Int32.(reverse(patch)), stride=Int32.(reverse(stride)))
            numbers = (; targets, probabilities, occlusion, gradcam=gradcams, scales)
            for (key, value) in pairs((; map(collect, sizes)..., numbers...))
                write_dataset(file, string(key), value; obj_track_times=false)
            end
        end
    end
    of_layer = layer === nothing ? "no Grad-CAM, as it has no convolution with maps" : "Grad-CAM of $(layer.name)"
    note(
        "$(description.name): $count images covered in $(length(across) * length(down)) places each, on $(place.name); $of_layer"
    )
end

"Where patches begin, counted from 0, along a side of `side` pixels; the last one is pushed back onto the image."
starts(side, patch, stride) = [min(stride * place, side - patch) for place in 0:cld(side - patch, stride)]

"""
The probabilities, K × (1 + places), of `image`, width × height × channels, and then of it while each place is covered with the
image's mean color.
"""
function probabilities_while_covered(logits_of, image, patch, across, down, micro_batch)
    pixels = prod(size(image)[1:2])
    color = [Float32(sum(Float64, channel) / pixels) for channel in eachslice(image; dims=3)]
    places = [nothing; vec([(x, y) for x in across, y in down])]
    parts = map(Iterators.partition(places, micro_batch)) do part
        copies = repeat(image, 1, 1, 1, length(part))
        for (copy, place) in zip(eachslice(copies; dims=4), part)
            place === nothing && continue
            columns, rows = (first .+ (1:side) for (first, side) in zip(place, patch))
            copy[columns, rows, :] .= reshape(color, 1, 1, :)
        end
        softmax(predict(logits_of, copies))
    end
    return reduce(hcat, parts)
end

"The convolution that Grad-CAM looks at: the last one whose maps have more than one place; nothing without one."
function last_convolution(description::Description)
    found = filter(layer -> layer.kind == :conv && maximum(layer.outsize[1:2]) > 1, walk(description))
    return isempty(found) ? nothing : last(found)
end

"""
    gradcam(network, image, layer, target, device = identity) -> map, scale

Grad-CAM of the label `target`, counted from 1, on the maps that `layer` gives for `image`: width × height, and the largest sum
of the sizes of what is added up in it. The gradient is Flux's own, of what the network makes of these maps.
"""
function gradcam(network::Network, image, layer::LayerDescription, target, device=identity)
    values = device(reshape(image, size(image)..., 1))
    maps, rest = cut(network.description.layers[1:before_softmax(network)], network.chain, layer.name, values)
    logits, back = pulled(rest, maps)
    of_target = zeros(Float32, size(logits))
    of_target[target] = 1
    # Nothing, if no logit depends on the maps.
    gradient = something(back(device(of_target)), zero(maps))
    terms = (sum(gradient; dims=(1, 2)) ./ Float32(prod(size(maps)[1:2]))) .* maps
    cam = cpu_device()(max.(sum(terms; dims=3), 0))
    return dropdims(cam; dims=(3, 4)), maximum(sum(abs, terms; dims=3))
end

"""
    cut(described, chain, name, values) -> maps, rest

Cut `chain`, which takes `values`, behind its layer called `name`, which may be inside of a block: what that layer gives, and the
functions that, one after the other, make of it what the chain gives. What does not depend on it is computed here, once.
"""
function cut(described, chain::Chain, name, values)
    layers = Any[Base.values(chain.layers)...][eachindex(described)]
    holds(layer) = layer.name == name || startswith(name, layer.name * ".")
    place = something(findfirst(holds, described))
    values = foldl((values, layer) -> layer(values), layers[1:place-1]; init=values)
    after = layers[place+1:end]
    described[place].name == name && return layers[place](values), after
    block, parts = layers[place], described[place].branches
    number = something(findfirst(branch -> any(holds, branch), parts))
    maps, inner = cut(parts[number], branches(block)[number], name, values)
    return maps, Any[inner; joined_with(block, number, values); after]
end

"A function from what the branch `number` of a block gives to what the block makes of it and of `values`."
joined_with(block::SkipConnection, number, values) = of_branch -> block.connection(of_branch, values)
function joined_with(block::Parallel, number, values)
    others = Tuple(other == number ? nothing : branch(values) for (other, branch) in enumerate(branches(block)))
    before, after = others[1:number-1], others[number+1:end]
    return of_branch -> block.connection(before..., of_branch, after...)
end

"""
    pulled(layers, values) -> values, back

What `layers`, one after the other, make of `values`, and a function from the gradient of that to the gradient of `values`.
Flux differentiates each by itself, so that what is compiled for a layer serves in every network.
"""
function pulled(layers, values)
    backs = Any[]
    for layer in layers
        values, back = Flux.pullback(layer, values)
        push!(backs, back)
    end
    return values, gradient -> foldl((gradient, back) -> only(back(gradient)), reverse(backs); init=gradient)
end
