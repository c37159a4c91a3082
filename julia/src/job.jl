# How a script meets the person who runs it: its errors, its log and its files.

"""
    StudyError(problems...)

What the user asked for cannot be done. Each problem is one sentence for the person at the
keyboard: which file, which row or key, what was found, what would be right.
"""
struct StudyError <: Exception
    problems::Vector{String}
end

StudyError(problems::AbstractString...) = StudyError(collect(String, problems))

Base.showerror(io::IO, error::StudyError) = join(io, map(plain_text, error.problems), "\n")

"A text from a file for a message: what a terminal would obey is escaped."
plain_text(text) = all(isprint, text) ? String(text) : escape_string(text)

const LOG = Ref{IO}(devnull)

"""
    note(message)

Print one line for the person who watches, and for the job's log.
"""
function note(message)
    for io in (stderr, LOG[])
        println(io, message)
        flush(io)
    end
end

"""
    job(body, log = nothing)

Run `body()`; what it notes also goes to the file `log`. A [`StudyError`](@ref) ends the
process with its sentence and exit status 1, without a stack trace.
"""
function job(body, log=nothing)
    LOG[] = log === nothing ? devnull : open(log, "w")
    try
        body()
    catch error
        error isa StudyError || (showerror(LOG[], error, catch_backtrace()); rethrow())
        note("error: " * sprint(showerror, error))
        exit(1)
    finally
        log === nothing || close(LOG[])
        LOG[] = devnull
    end
end

"""
    whole(write, path)

Call `write(partial)` with a path beside `path` and rename that file to `path` when it
returns, so that the file appears whole or not at all.
"""
function whole(write, path)
    folder, name = splitdir(abspath(path))
    stem, suffix = splitext(name)
    mkpath(folder)
    # A name of this process alone, so that two that write one file do not meet.
    partial = joinpath(folder, ".$(first(stem, 100)).partial$(getpid())$suffix")
    try
        write(partial)
        mv(partial, path; force=true)
    finally
        rm(partial; force=true)
    end
end

sha256_of_file(path) = bytes2hex(open(sha256, path))

"""
    record_made(request, files, inputs)

Record that the job of `request`, a file below results/requests, has made `files` from `inputs`: what
scripts/promptflux/files/made.py does for Python.
"""
function record_made(request, files, inputs)
    root = request[begin:last(findlast("results/", request))]
    name(file) = chopprefix(file, root)
    entry(file) = "  \"$(name(file))\": {\"sha256\": \"$(sha256_of_file(file))\", \"size\": $(filesize(file))}"
    text = "{\n \"request\": $(read(request, String)),\n \"files\": {\n$(join(entry.(files), ",\n"))\n },\n \"inputs\": [$(join((repr(name(file)) for file in inputs), ", "))]\n}"
    whole(partial -> write(partial, text), root * replace(name(request), "requests/" => "made/"; count=1))
end
