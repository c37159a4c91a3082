# One GPU for one job at a time: what scripts/promptflux/runtime/gpu.py does for Python, with the same locks.

"""
    visible_gpus()

The UUIDs of the GPUs that this process may use, in the order of nvidia-smi; none without a
driver. `CUDA_VISIBLE_DEVICES`, which Slurm sets for its jobs, is respected.
"""
function visible_gpus()
    Sys.which("nvidia-smi") === nothing && return String[]
    listing = read(ignorestatus(`nvidia-smi -L`), String)
    uuids = [String(found[1]) for found in eachmatch(r"^GPU \d+: .*\(UUID: (GPU-[\w-]+)\)"m, listing)]
    haskey(ENV, "CUDA_VISIBLE_DEVICES") || return uuids
    names = Dict(string.(0:length(uuids)-1) .=> uuids)
    merge!(names, Dict(uuids .=> uuids))
    return [names[name] for name in strip.(split(ENV["CUDA_VISIBLE_DEVICES"], ",")) if haskey(names, name)]
end

"""
    claim_gpu(wanted)

Leave one GPU visible to this process, for as long as it lives, or none if `wanted` is 0. Waits
while all are taken. Call it before CUDA is loaded.
"""
function claim_gpu(wanted)
    wanted == 0 && return ENV["CUDA_VISIBLE_DEVICES"] = ""
    gpus = visible_gpus()
    while !isempty(gpus)
        for uuid in gpus
            locked("/tmp/promptflux-$uuid.lock") && return ENV["CUDA_VISIBLE_DEVICES"] = uuid
        end
        sleep(1)
    end
end

"Whether this process now holds the lock (flock, exclusive, without waiting), which it keeps until it ends."
function locked(path)
    # Another user's file can be locked, but not created again.
    flags = ispath(path) ? Base.JL_O_RDONLY : Base.JL_O_RDONLY | Base.JL_O_CREAT
    file = Base.Filesystem.open(path, flags, 0o644)
    ccall(:flock, Cint, (RawFD, Cint), fd(file), 2 | 4) == 0 && return true
    close(file)
    return false
end
