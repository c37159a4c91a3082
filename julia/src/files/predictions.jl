# Tensors in, predictions out; the other half of scripts/promptflux/files/tensors.py and predictions.py.

const TENSORS_FORMAT = "promptflux tensors 2"
const PREDICTIONS_FORMAT = "promptflux predictions 2"

"""
    with_tensors(body, path, description)

Open a tensors file and call `body(images, names, problems)`: `images` is the dataset on disk,
Float32 width × height × channels × N; `problems` has "", or why a test pattern stands in. Throws a [`StudyError`](@ref) if they were made for
another input than that of `description`.
"""
function with_tensors(body, path, description::Description)
    open_hdf5(path, "tensors", TENSORS_FORMAT) do file
        images, made_for, wanted = file["images"], InputSpec(read_fields(file["input"])), description.input
        made_for == wanted ||
            throw(
                StudyError(
                    "$path: the tensors were made for $(shown(made_for)); $(description.source) wants $(shown(wanted))."
                )
            )
        size(images)[1:3] == size(wanted) ||
            throw(StudyError("$path: an image has the size $(times(size(images)[1:3])), not $(times(size(wanted)))."))
        names = read_texts(file["names"])
        body(images, names, haskey(file, "problems") ? read_texts(file["problems"]) : fill("", length(names)))
    end
end

shown(input::InputSpec) = join(("$name $(getfield(input, name))" for name in fieldnames(InputSpec)), ", ")

"""
    write_tensors(path, input, images, names)

Create a tensors file of `images`, Float32 width × height × channels × N, without their sources.
"""
function write_tensors(path, input::InputSpec, images, names)
    whole(path) do partial
        h5open(partial, "w") do file
            write_text_attribute(file, "format", TENSORS_FORMAT)
            write_fields(create_group(file, "input"), fields(input))
            write_dataset(file, "images", images; chunk=(size(input)..., 1), obj_track_times=false)
            write_texts(file, "names", names)
        end
    end
end

# The values of a large layer that stand for all; see scripts/promptflux/files/sample.py.
const SAMPLE = 16384
const STEP = 2654435761

sample_places(count) = [i * STEP % count + 1 for i in 0:SAMPLE-1]

"Whether a layer's output is kept whole: it is asked for, or small."
is_kept(layer, asked) = layer.name in asked || prod(layer.outsize) <= SAMPLE

"""
    with_predictions(body, path, description, names, layer_images, layers, attributes)

Create a predictions file and call `body(datasets)` to fill it; it appears when `body` returns.
`datasets` has `logits` and `probabilities`, K × N, and `layers`, by the name of a layer, datasets for the M images
`layer_images`, empty if M is 0: the layer's size × M for the `layers` asked for and small ones, of the others a
sample × M.
"""
function with_predictions(body, path, description::Description, names, layer_images, layers, attributes)
    described = walk(description)
    whole(path) do partial
        h5open(partial, "w") do file
            write_text_attribute(file, "format", PREDICTIONS_FORMAT)
            for (key, value) in pairs(attributes)
                write_text_attribute(file, string(key), value)
            end
            numbers(parent, name, dims) = create_dataset(parent, name, Float32, dims; obj_track_times=false)
            outputs = (length(description.labels), length(names))
            logits, probabilities = numbers(file, "logits", outputs), numbers(file, "probabilities", outputs)
            write_texts(file, "names", names)
            write_texts(file, "labels", description.labels)
            write_texts(file, "layer_images", layer_images)
            write_texts(file, "layer_names", [layer.name for layer in described])
            write_texts(file, "layer_shapes", [times(reverse(layer.outsize)) for layer in described])
            whole_layers, samples = create_group(file, "layers"), create_group(file, "samples")
            count = length(layer_images)
            datasets = Dict{String,HDF5.Dataset}(
                layer.name =>
                    is_kept(layer, layers) ? numbers(whole_layers, layer.name, (layer.outsize..., count)) :
                    numbers(samples, layer.name, (SAMPLE, count)) for layer in described if count > 0
            )
            body((; logits, probabilities, layers=datasets))
        end
    end
end
