# PNG and JPEG files as upright 8-bit RGB pictures, pixel for pixel as
# scripts/promptflux/images/opening.py opens them with Pillow.

"An 8-bit picture: width × height × channels, 3 of them (RGB) or 1 (gray)."
const Picture = Array{UInt8,3}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
const JPEG_SIGNATURE = [0xff, 0xd8]

"""
    read_picture(path) -> Picture

Open a PNG or JPEG file as 8-bit RGB: the orientation of EXIF or XMP is applied, transparency is
laid over white, 16 bits are divided by 257 and rounded; of several pictures it is the first.
Throws a [`StudyError`](@ref) if it cannot be read, is damaged or has no end.
"""
function read_picture(path)
    isfile(path) || throw(StudyError("$path: there is no such file."))
    bytes = read(path)
    read_kind = if starts_with(bytes, PNG_SIGNATURE)
        read_png
    elseif starts_with(bytes, JPEG_SIGNATURE)
        read_jpeg
    else
        throw(StudyError("$path is not a PNG or JPEG image; it begins with $(repr(String(first(bytes, 8))))."))
    end
    try
        picture, orientation = read_kind(bytes)
        return upright(picture, orientation)
    catch error
        throw(StudyError("$path is damaged or of a kind that is not read here ($(reason(error)))."))
    end
end

starts_with(bytes, signature) = length(bytes) > length(signature) && view(bytes, eachindex(signature)) == signature

const MOST_PIXELS = 2 * (1024^3 ÷ 4 ÷ 3)    # as in Python: 178 million

check_size(width, height) =
    0 < width * height <= MOST_PIXELS || throw(Misfit("it has $width × $height pixels; 1 to $MOST_PIXELS are opened"))

# The two packages are loaded with the first picture: that takes 0.6 s, and inference reads none.
with_package(decode, package, arguments...) = Base.invokelatest(decode, Base.require(PromptFlux, package), arguments...)

"The components of a height × width matrix of colors as width × height × components."
function planes(colors::AbstractMatrix{C}) where {C}
    T = sizeof(eltype(C)) == 1 ? UInt8 : UInt16
    components = reshape(reinterpret(T, vec(colors)), length(C), size(colors)...)
    return permutedims(components, (3, 2, 1))
end

rgb(planes::Array{UInt16,3}) = rgb(UInt8.((UInt32.(planes) .+ 128) .÷ 257))

function rgb(planes::Array{UInt8,3})
    channels = size(planes, 3)
    colors = planes[:, :, channels < 3 ? [1, 1, 1] : [1, 2, 3]]
    return isodd(channels) ? colors : over_white.(colors, planes[:, :, channels])
end

"Lay a color with transparency over white, rounded as Pillow's `alpha_composite` does it."
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

# ---- PNG: its chunks, and of these the pixels ------------------------------------------------

"The picture of a PNG file, and how it is stored. Of its chunks those that make the pixels go to libpng."
function read_png(bytes)
    chunks = png_chunks(bytes)
    kind, header = first(chunks)
    kind == "IHDR" && length(header) == 13 || throw(Misfit("its header cannot be read"))
    check_size(big_endian(header, 1, 4), big_endian(header, 5, 4))
    depth, color = header[9], header[10]
    needed = color == 3 ? ("IHDR", "PLTE", "tRNS", "IDAT", "IEND") : ("IHDR", "IDAT", "IEND")
    bare = vcat(PNG_SIGNATURE, (png_chunk(kind, data) for (kind, data) in chunks if kind in needed)...)
    samples = png_samples(bare)
    clear = color in (0, 2) ? findfirst(chunk -> first(chunk) == "tRNS", chunks) : nothing
    clear === nothing || whiten!(samples, transparent(last(chunks[clear]), depth, size(samples, 3)))
    return rgb(samples), png_orientation(chunks)
end

# gamma=1: Pillow does not apply the file's gamma either. libpng's remarks are not for the user.
png_samples(bytes) =
    with_package(:PNGFiles, bytes) do PNGFiles, bytes
        with_logger(() -> planes(PNGFiles.load(IOBuffer(bytes); gamma=1.0, expand_paletted=true)), NullLogger())
    end

# Chunks that say nothing of the pixels as they are taken here (PNG 3.0, 11.3, and its registered extensions).
const BESIDE_THE_PIXELS = split(
    "acTL bKGD caBX cHRM cICP cLLI eXIf fcTL fdAT gAMA hIST iCCP iTXt mDCV oFFs pCAL pHYs sBIT sCAL sPLT sRGB " *
    "sTER tEXt tIME zTXt"
)

"""
    png_chunks(bytes) -> Vector{Pair{String,SubArray}}

The chunks up to IEND. Throws a `Misfit` if the file ends before, or if a checksum is wrong of a
chunk that may bear on the pixels (PNG 1.2, 3.2 and 3.4).
"""
function png_chunks(bytes)
    chunks, position, kind = Pair{String,SubArray}[], 9, ""
    while kind != "IEND"
        position + 7 <= length(bytes) || throw(Misfit("it is cut short: its IEND chunk is missing"))
        data = position+8:position+7+big_endian(bytes, position, 4)
        last(data) + 4 <= length(bytes) || throw(Misfit("it is cut short: its last chunk is not whole"))
        kind = String(bytes[position+4:position+7])
        kind in BESIDE_THE_PIXELS ||
            crc32(view(bytes, position+4:last(data))) == big_endian(bytes, last(data) + 1, 4) ||
            throw(Misfit("the checksum of its chunk $(repr(kind)) is wrong"))
        push!(chunks, kind => view(bytes, data))
        position = last(data) + 5
    end
    return chunks
end

"A chunk as it lies in the file."
function png_chunk(kind, data)
    named = vcat(codeunits(kind), data)
    number(value) = reverse(reinterpret(UInt8, [UInt32(value)]))
    return vcat(number(length(data)), named, number(crc32(named)))
end

# The table and the loop of PNG 1.2, chapter 15.
const CRC_TABLE = [foldl((c, _) -> isodd(c) ? 0xedb88320 ⊻ c >> 1 : c >> 1, 1:8; init=UInt32(n)) for n in 0:255]

crc32(bytes) = ~foldl((crc, byte) -> @inbounds(CRC_TABLE[(crc⊻byte)&0xff+1]) ⊻ crc >> 8, bytes; init=0xffffffff)

"The samples of the transparent color of gray or RGB, as wide as libpng hands them out."
function transparent(data, depth, channels)
    length(data) == 2channels || throw(Misfit("its transparent color is of a wrong length"))
    samples = [big_endian(data, 2c - 1, 2) & (1 << depth - 1) for c in 1:channels]
    return depth < 8 ? samples .* (255 ÷ (1 << depth - 1)) : samples
end

function whiten!(samples::Array{T}, clear) where {T}
    for pixel in CartesianIndices(axes(samples)[1:2])
        color = view(samples, pixel, :)
        color == clear && fill!(color, typemax(T))
    end
end

"The orientation of a PNG file by its eXIf, else its XMP that is not compressed."
function png_orientation(chunks)
    found(kind) = [data for (name, data) in chunks if name == kind]
    exif = first([found("eXIf"); [UInt8[]]])
    head = codeunits("XML:com.adobe.xmp\0\0\0")
    xmp = filter(data -> length(data) > length(head) && view(data, eachindex(head)) == head, found("iTXt"))
    return orientation(exif, first([xmp; [UInt8[]]]))
end

# ---- JPEG: its segments, and libjpeg ---------------------------------------------------------

"The first picture of a JPEG file, and how it is stored."
function read_jpeg(bytes)
    segments, scans = jpeg_parts(bytes)
    isframe(marker) = 0xc0 <= marker <= 0xcf && !(marker in (0xc4, 0xc8, 0xcc))
    frame = findfirst(isframe ∘ first, segments)
    frame === nothing && throw(Misfit("its size is missing"))
    header = last(segments[frame])
    length(header) > 5 || throw(Misfit("its markers are damaged"))
    check_size(big_endian(header, 4, 2), big_endian(header, 2, 2))
    bits, components = header[1], header[6]
    bits == 8 || throw(Misfit("it has $bits bits a sample, not 8"))
    components in (1, 3, 4) || throw(Misfit("it has $components color components, not 1, 3 or 4"))
    bare = vcat(JPEG_SIGNATURE, (jpeg_segment(s...) for s in segments if makes_pixels(s...))..., scans)
    samples = with_package(jpeg_samples, :JpegTurbo, bare, Int(components))
    return rgb(components == 4 ? from_cmyk(samples) : samples), jpeg_orientation(segments)
end

# Of what applications add, JFIF and Adobe tell the colors; comments do not.
makes_pixels(marker, data) =
    marker == 0xe0 ? length(data) >= 14 && view(data, 1:5) == codeunits("JFIF\0") :
    marker == 0xee ? length(data) >= 12 && view(data, 1:5) == codeunits("Adobe") :
    !(marker == 0xfe || 0xe0 <= marker <= 0xef)

jpeg_segment(marker, data) =
    vcat(0xff, marker, UInt8((length(data) + 2) >> 8), UInt8((length(data) + 2) & 0xff), data)

"""
    jpeg_parts(bytes) -> (segments, scans)

The segments (marker, data) of the first picture, and its bytes from the first scan to its end
marker (ITU-T T.81, B.1.1). Throws a `Misfit` if it has no end.
"""
function jpeg_parts(bytes)
    segments, position = Tuple{UInt8,SubArray}[], 3
    while true
        marker, data, next = jpeg_marker(bytes, position)
        marker == 0xda && return segments, view(bytes, position:end_of_scans(bytes, next))
        push!(segments, (marker, data))
        position = next
    end
end

"The segment at a position: its marker, its data, and where the next one begins."
function jpeg_marker(bytes, position)
    while position < length(bytes) && bytes[position] == bytes[position+1] == 0xff
        position += 1      # a fill byte
    end
    position + 3 <= length(bytes) || throw(Misfit("it is cut short: its end marker is missing"))
    marker, length_ = bytes[position+1], big_endian(bytes, position + 2, 2)
    bytes[position] == 0xff && !(marker in (0x00, 0xd9)) || throw(Misfit("its markers are damaged"))
    next = position + 2 + length_
    next <= length(bytes) + 1 || throw(Misfit("it is cut short: its end marker is missing"))
    length_ >= 2 || throw(Misfit("its markers are damaged"))
    return marker, view(bytes, position+4:next-1), next
end

const AFTER_A_SCAN = UInt8[0xc4, 0xda, 0xdb, 0xdc, 0xdd, 0xe0:0xef..., 0xfe]

"Where the picture ends; position: in its first scan."
function end_of_scans(bytes, position)
    while position < length(bytes)
        marker = bytes[position+1]
        if bytes[position] != 0xff || marker in 0xd0:0xd7 || marker == 0x00   # a restart, a stuffed byte
            position += 1
        elseif marker == 0xff
            position += 1
        elseif marker == 0xd9
            return position + 1
        else
            marker in AFTER_A_SCAN || throw(Misfit("the marker $(string(marker; base=16)) stands among its pixels"))
            position = jpeg_marker(bytes, position)[3]
        end
    end
    throw(Misfit("it is cut short: its end marker is missing"))
end

# libjpeg's own way with an error is to end the process, and with a warning to print it.
jpeg_error(info::Ptr{Cvoid}) = throw(Misfit("libjpeg cannot decode it"))
jpeg_message(info::Ptr{Cvoid}) = nothing

"The samples, width × height × components, that libjpeg makes of a file: gray, RGB, or CMYK as it is stored."
function jpeg_samples(JpegTurbo, bytes, components)
    jpeg = JpegTurbo.LibJpeg
    info, errors = Ref(jpeg.jpeg_decompress_struct()), Ref{jpeg.jpeg_error_mgr}()
    GC.@preserve info errors bytes begin
        info[].err = jpeg.jpeg_std_error(errors)
        info[].err.error_exit = @cfunction(jpeg_error, Cvoid, (Ptr{Cvoid},))
        info[].err.output_message = @cfunction(jpeg_message, Cvoid, (Ptr{Cvoid},))
        jpeg.jpeg_create_decompress(info)
        try
            jpeg.jpeg_mem_src(info, bytes, length(bytes))
            jpeg.jpeg_read_header(info, true)
            info[].out_color_space =
                Dict(1 => jpeg.JCS_GRAYSCALE, 3 => jpeg.JCS_RGB, 4 => jpeg.JCS_CMYK)[components]
            jpeg.jpeg_start_decompress(info)
            samples = Array{UInt8}(undef, components, info[].output_width, info[].output_height)
            GC.@preserve samples while info[].output_scanline < info[].output_height
                row = Ref(pointer(samples, 1 + info[].output_scanline * stride(samples, 3)))
                jpeg.jpeg_read_scanlines(info, row, 1)
            end
            jpeg.jpeg_finish_decompress(info)
            return permutedims(samples, (2, 3, 1))
        finally
            jpeg.jpeg_destroy_decompress(info)
        end
    end
end

# Pillow takes CMYK for inverted, as Adobe's programs write it (Convert.c, cmyk2rgb).
function from_cmyk(samples)
    scaled(a, b) = (product = Int(a) * b + 128; (product >> 8 + product) >> 8)
    light = view(samples, :, :, 4:4)
    return UInt8.(light .- scaled.(0xff .- view(samples, :, :, 1:3), light))
end

"The orientation of a JPEG file by its EXIF data, in one or several segments, else its XMP."
function jpeg_orientation(segments)
    head, xmp_head = codeunits("Exif\0\0"), codeunits("http://ns.adobe.com/xap/1.0/\0")
    behind(head) = [
        data[length(head)+1:end] for (marker, data) in segments if
        marker == 0xe1 && length(data) >= length(head) && view(data, eachindex(head)) == head
    ]
    return orientation(reduce(vcat, behind(head); init=UInt8[]), first([behind(xmp_head); [UInt8[]]]))
end

# ---- how a photograph must be turned ---------------------------------------------------------

big_endian(bytes, first, count) = foldl((value, byte) -> value << 8 + byte, view(bytes, first:first+count-1); init=0)

"The orientation, 1 to 8, of EXIF data and an XMP packet, either of which may be empty or broken."
function orientation(exif, xmp)
    found = exif_orientation(exif)
    if found === nothing
        text = match(r"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]"a, String(Char.(xmp)))
        found = text === nothing ? 1 : parse(Int, text[1])
    end
    return found in 1:8 ? found : 1
end

# The bytes of the whole numbers among the types of TIFF 6.0: BYTE, SHORT, LONG, SBYTE, UNDEFINED, SSHORT, SLONG.
const TIFF_NUMBERS = Dict(1 => 1, 3 => 2, 4 => 4, 6 => 1, 7 => 1, 8 => 2, 9 => 4)

"""
    exif_orientation(tiff) -> Union{Int,Nothing}

The value of the tag Orientation (0x0112) in EXIF data, which is a small TIFF file (CIPA DC-008,
4.6), whatever stands in the others; nothing without one.
"""
exif_orientation(::Nothing) = nothing

function exif_orientation(tiff)
    length(tiff) > 2 && tiff[1] == tiff[2] && tiff[1] in codeunits("IM") || return nothing
    number(first, count) = begin
        field = view(tiff, first:first+count-1)
        foldl((value, byte) -> value << 8 + byte, tiff[1] == UInt8('I') ? reverse(field) : field; init=0)
    end
    try
        directory = number(5, 4) + 1
        for entry in range(directory + 2; step=12, length=number(directory, 2))
            bytes = get(TIFF_NUMBERS, number(entry + 2, 2), 0)
            if number(entry, 2) == 0x0112 && bytes > 0 && number(entry + 4, 4) > 0
                return number(entry + 8, bytes)
            end
        end
    catch error
        error isa BoundsError || rethrow()
    end
    return nothing
end
