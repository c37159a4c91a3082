# PNG and JPEG files as upright 8-bit RGB pictures, pixel for pixel as
# scripts/promptflux/images/opening.py opens them with Pillow.

"An 8-bit picture: width × height × channels, 3 of them (RGB) or 1 (gray)."
const Picture = Array{UInt8,3}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
const JPEG_SIGNATURE = [0xff, 0xd8]

"""
    read_picture(path) -> Picture

Open a PNG or JPEG file as 8-bit RGB: the EXIF orientation is applied, transparency is laid
over white, 16-bit gray is divided by 257. Throws a [`StudyError`](@ref) if it cannot be read.
"""
function read_picture(path)
    isfile(path) || throw(StudyError("$path: there is no such file."))
    bytes = read(path)
    read_planes, exif = if starts_with(bytes, PNG_SIGNATURE)
        png_planes, png_exif
    elseif starts_with(bytes, JPEG_SIGNATURE)
        jpeg_planes, jpeg_exif
    else
        throw(StudyError("$path is not a PNG or JPEG image; it begins with $(repr(String(first(bytes, 8))))."))
    end
    try
        return upright(rgb(read_planes(bytes)), exif_orientation(exif(bytes)))
    catch error
        throw(StudyError("$path is damaged or of a kind that is not read here ($(reason(error)))."))
    end
end

starts_with(bytes, signature) = length(bytes) > length(signature) && view(bytes, eachindex(signature)) == signature

# The two packages are loaded with the first picture: that takes 0.6 s, and inference reads none.
with_package(decode, package, bytes) = Base.invokelatest(decode, Base.require(PromptFlux, package), bytes)

# gamma=1: Pillow does not apply the file's gamma either. libpng's remarks on colour profiles
# are not for the user.
png_planes(bytes) =
    with_package(:PNGFiles, bytes) do PNGFiles, bytes
        with_logger(() -> planes(PNGFiles.load(IOBuffer(bytes); gamma=1.0, expand_paletted=true)), NullLogger())
    end

function jpeg_planes(bytes)
    # Asked for what it cannot do, libjpeg ends the process; so see first that it can.
    components = jpeg_components(bytes)
    components in (1, 3) || throw(Misfit("it has $components colour components, not 1 or 3"))
    return with_package((JpegTurbo, bytes) -> planes(JpegTurbo.jpeg_decode(bytes)), :JpegTurbo, bytes)
end

"The components of a height × width matrix of colours as width × height × components."
function planes(colors::AbstractMatrix{C}) where {C}
    T = sizeof(eltype(C)) == 1 ? UInt8 : UInt16
    components = reshape(reinterpret(T, vec(colors)), length(C), size(colors)...)
    return permutedims(components, (3, 2, 1))
end

# Pillow keeps 16 bits of gray only; of colours it keeps the high byte.
rgb(planes::Array{UInt16,3}) =
    rgb(size(planes, 3) == 1 ? UInt8.((UInt32.(planes) .+ 128) .÷ 257) : (planes .>> 8) .% UInt8)

function rgb(planes::Array{UInt8,3})
    channels = size(planes, 3)
    colors = planes[:, :, channels < 3 ? [1, 1, 1] : [1, 2, 3]]
    return isodd(channels) ? colors : over_white.(colors, planes[:, :, channels])
end

"Lay a colour with transparency over white, rounded as Pillow's `alpha_composite` does it."
function over_white(color::UInt8, alpha::UInt8)
    mixed = 128 * (Int(color) * alpha + 255 * (255 - Int(alpha)) + 128)
    return (((mixed >> 8 + mixed) >> 8) >> 7) % UInt8
end

"Turn a picture as its EXIF orientation, 1 to 8, says."
function upright(picture, orientation)
    mirrored = orientation in (2, 3, 7, 8) ? reverse(picture; dims=1) : picture
    mirrored = orientation in (3, 4, 6, 7) ? reverse(mirrored; dims=2) : mirrored
    return orientation in 5:8 ? permutedims(mirrored, (2, 1, 3)) : mirrored
end

# ---- what is read of the files themselves: markers of JPEG, chunks of PNG, EXIF ------------

"""
    jpeg_segments(visit, bytes)

Call `visit(marker, content)` for each segment of a JPEG file before its pixels, until `visit`
returns something (ITU-T T.81, B.1.1).
"""
function jpeg_segments(visit, bytes)
    position = 3
    while position + 3 <= length(bytes)
        bytes[position] == 0xff || throw(Misfit("its markers are damaged"))
        marker = bytes[position+1]
        marker == 0xff && (position += 1; continue)      # a fill byte
        marker == 0xda && return nothing                  # here the pixels begin
        stop = position + 1 + big_endian(bytes, position + 2, 2)
        stop <= length(bytes) || throw(Misfit("it is cut short"))
        found = visit(marker, view(bytes, position+4:stop))
        found === nothing || return found
        position = stop + 1
    end
    throw(Misfit("it is cut short"))
end

"The number of colour components, from the frame header."
function jpeg_components(bytes)
    isframe(marker) = 0xc0 <= marker <= 0xcf && !(marker in (0xc4, 0xc8, 0xcc))
    components = jpeg_segments((marker, content) -> isframe(marker) ? Int(content[6]) : nothing, bytes)
    return something(components, 0)
end

"The EXIF data of a JPEG file, or nothing."
function jpeg_exif(bytes)
    head = codeunits("Exif\0\0")
    isexif(marker, content) = marker == 0xe1 && length(content) > 6 && view(content, 1:6) == head
    return jpeg_segments((marker, content) -> isexif(marker, content) ? content[7:end] : nothing, bytes)
end

"The EXIF data of a PNG file, or nothing (PNG 1.5, eXIf)."
function png_exif(bytes)
    position = 9
    while position + 11 <= length(bytes)
        length_ = big_endian(bytes, position, 4)
        start, stop = position + 8, position + 7 + length_
        stop <= length(bytes) || return nothing
        view(bytes, position+4:position+7) == codeunits("eXIf") && return bytes[start:stop]
        position = stop + 5     # past the checksum
    end
    return nothing
end

big_endian(bytes, first, count) = foldl((value, byte) -> value << 8 + byte, view(bytes, first:first+count-1); init=0)

"""
    exif_orientation(tiff) -> Int

The orientation (tag 0x0112) in EXIF data, which is a small TIFF file (CIPA DC-008, 4.6);
1, upright, if there is none or it cannot be read.
"""
function exif_orientation(tiff)
    tiff === nothing && return 1
    number(first, count) = begin
        field = view(tiff, first:first+count-1)
        foldl((value, byte) -> value << 8 + byte, tiff[1] == UInt8('I') ? reverse(field) : field; init=0)
    end
    try
        directory = number(5, 4) + 1
        for entry in range(directory + 2; step=12, length=number(directory, 2))
            number(entry, 2) == 0x0112 && return clamp_orientation(number(entry + 8, 2))
        end
    catch error
        error isa BoundsError || rethrow()
    end
    return 1
end

clamp_orientation(value) = value in 1:8 ? value : 1
