# What each channel of each layer gives for the images of a batch; the other half of scripts/promptflux/files/activations.py.

const ACTIVATIONS_FORMAT = "promptflux activations 1"

"""
What the C channels of a layer gave, each so many `values`: their mean, the sum of their squared distances from it, how many are 0,
and the least and the largest of them, all of length C.
"""
mutable struct Tally
    values::Int
    mean::Vector{Float64}
    squares::Vector{Float64}
    zeros::Vector{Float64}
    least::Vector{Float64}
    most::Vector{Float64}
end

"The tally of what a layer gives, width × height × channels × N or channels × N."
function Tally(output)
    channels = ndims(output) - 1
    dims = Tuple(setdiff(1:ndims(output), channels))
    count = length(output) ÷ size(output, channels)
    over(f, values) = vec(Float64.(f(values; dims)))
    mean = sum(Float64, output; dims) ./ count
    squares = vec(sum(abs2, output .- mean; dims))
    return Tally(count, vec(mean), squares, over(sum, output .== 0), over(minimum, output), over(maximum, output))
end

"Take in what the same channels gave for other images."
function add!(tally::Tally, other::Tally)
    both = tally.values + other.values
    apart = other.mean .- tally.mean
    tally.squares .+= other.squares .+ apart .^ 2 .* (tally.values * other.values / both)
    tally.mean .+= apart .* (other.values / both)
    tally.zeros .+= other.zeros
    tally.least .= min.(tally.least, other.least)
    tally.most .= max.(tally.most, other.most)
    tally.values = both
    return tally
end

"Create an activations file of so many `images`; tallies: by the name of a layer, of which `names` has the order."
write_activations(path, images, names, tallies) =
    whole(path) do partial
        h5open(partial, "w") do file
            write_text_attribute(file, "format", ACTIVATIONS_FORMAT)
            write_attribute(file, "images", images)
            found = filter(in(keys(tallies)), names)
            write_texts(file, "layer_names", found)
            write_dataset(file, "values", [tallies[name].values for name in found]; obj_track_times=false)
            layers = create_group(file, "layers")
            for name in found
                (; mean, squares, zeros, least, most) = tallies[name]
                columns = permutedims(hcat(mean, squares, zeros, least, most))
                write_dataset(layers, name, columns; obj_track_times=false)
            end
        end
    end
