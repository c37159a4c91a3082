# The HDF5 files between preprocessing, the engines and the figures; the other half of
# scripts/promptflux/tensors.py. Equal content makes equal bytes: nothing in them is a date.

const TENSORS_FORMAT = "promptflux tensors 1"
const PREDICTIONS_FORMAT = "promptflux predictions 1"

"Open an HDF5 file and call `body(file)`; throws a [`StudyError`](@ref) if it is not of `format`."
function open_hdf5(body, path, format, what)
    isfile(path) && HDF5.ishdf5(path) || throw(StudyError("$path: the $what file is missing or not HDF5."))
    return h5open(path) do file
        haskey(attributes(file), "format") && text_attribute(file, "format") == format ||
            throw(StudyError("$path: this is not a $what file (its format is not $(repr(format)))."))
        body(file)
    end
end

text_attribute(file, name) = read(attributes(file)[name])::String

# HDF5.jl writes the attribute "x" => "text" with a fixed length, which h5py reads as bytes.
function write_text_attribute(file, name, text)
    any_length = datatype(String)
    attribute = create_attribute(file, name, any_length, dataspace(text))
    write_attribute(attribute, any_length, text)
    close(attribute)
end

function write_texts(file, name, texts::Vector{String})
    dataset = create_dataset(file, name, String, (length(texts),); obj_track_times=false)
    isempty(texts) || write(dataset, texts)
end

"""
    with_tensors(body, path, spec)

Open a tensors file and call `body(images, names)`: `images` is the dataset on disk,
Float32 width × height × channels × N. Throws a [`StudyError`](@ref) if the images do not have
the size that the input of `spec` wants.
"""
function with_tensors(body, path, spec::Spec)
    open_hdf5(path, TENSORS_FORMAT, "tensors") do file
        images, made_for = file["images"], json(input_from_json(path, text_attribute(file, "input")))
        made_for == json(spec.input) ||
            throw(StudyError("$path: the tensors were made for $made_for; $(spec.path) wants $(json(spec.input))."))
        size(images)[1:3] == size(spec.input) ||
            throw(StudyError("$path: an image has the size $(times(size(images)[1:3])), not $(times(size(spec.input)))."))
        body(images, read(file["names"])::Vector{String})
    end
end

"""
    write_tensors(path, input, images, names)

Create a tensors file of `images`, Float32 width × height × channels × N, without their sources.
"""
function write_tensors(path, input::InputSpec, images, names)
    whole(path) do partial
        h5open(partial, "w") do file
            write_text_attribute(file, "format", TENSORS_FORMAT)
            write_text_attribute(file, "input", json(input))
            write_dataset(file, "images", images; chunk=(size(input)..., 1), obj_track_times=false)
            write_texts(file, "names", names)
        end
    end
end

"An input as the JSON that Python writes; nothing in it needs an escape."
json(input::InputSpec) = string(
    "{\"name\": \"", input.name, "\", \"height\": ", input.height, ", \"width\": ", input.width,
    ", \"channels\": \"", input.channels, "\", \"fit\": \"", input.fit, "\", \"filter\": \"", input.filter,
    "\", \"mean\": [", join(input.mean, ", "), "], \"std\": [", join(input.std, ", "), "]}",
)

function input_from_json(path, text)
    fields = YAML.load(text)        # JSON is YAML
    return input_spec(path, merge(fields, Dict("size" => [fields["height"], fields["width"]])))
end

"""
    with_predictions(body, path, spec, names, layer_images, attributes)

Create a predictions file and call `body(datasets)` to fill it; it appears when `body` returns.
`datasets` has `logits` and `probabilities`, K × N, and `layers`, a vector of datasets with
the layers' sizes × M for the M images `layer_images`, empty if M is 0.
"""
function with_predictions(body, path, spec::Spec, names, layer_images, attributes)
    layer_names = [layer.name for layer in spec.layers]
    whole(path) do partial
        h5open(partial, "w") do file
            write_text_attribute(file, "format", PREDICTIONS_FORMAT)
            for (key, value) in pairs(attributes)
                write_text_attribute(file, string(key), value)
            end
            write_text_attribute(file, "layer_names", "[" * join(repr.(layer_names), ", ") * "]")
            numbers(parent, name, dims) = create_dataset(parent, name, Float32, dims; obj_track_times=false)
            outputs = (length(spec.labels), length(names))
            logits, probabilities = numbers(file, "logits", outputs), numbers(file, "probabilities", outputs)
            write_texts(file, "names", names)
            write_texts(file, "labels", spec.labels)
            write_texts(file, "layer_images", layer_images)
            group = create_group(file, "layers")
            count = length(layer_images)
            layers = count == 0 ? HDF5.Dataset[] :
                     [numbers(group, layer.name, (layer.outsize..., count)) for layer in spec.layers]
            body((; logits, probabilities, layers))
        end
    end
end
