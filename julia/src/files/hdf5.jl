# What the HDF5 files of a study have in common; the other half of scripts/promptflux/files/hdf5.py.
# Equal content makes equal bytes: nothing in them is a date.

"Open an HDF5 file and call `body(file)`; throws a [`StudyError`](@ref) if it is not of one of `formats`."
function open_hdf5(body, path, what, formats...)
    isfile(path) && HDF5.ishdf5(path) || throw(StudyError("$path: the $what file is missing or not HDF5."))
    return h5open(path) do file
        haskey(attributes(file), "format") && text_attribute(file, "format") in formats ||
            throw(StudyError("$path: this is not a $what file (its format is not $(repr(first(formats))))."))
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

read_texts(dataset) = isempty(dataset) ? String[] : read(dataset)::Vector{String}

"The attributes of a group as plain fields; Python writes true and false as 8 bits."
function read_fields(group)
    plain(value) = value
    plain(value::UInt8) = Bool(value)
    attributes_ = attributes(group)
    return Fields(Symbol(name) => plain(read(attributes_[name])) for name in keys(attributes_))
end

"The inverse."
function write_fields(group, fields::Fields)
    write(name, value) = write_attribute(group, name, value)
    write(name, value::AbstractString) = write_text_attribute(group, name, value)
    write(name, value::Bool) = write_attribute(group, name, UInt8(value))
    for name in sort!(collect(keys(fields)))
        write(string(name), fields[name])
    end
end
