# Check julia/ without running it: its format by JuliaFormatter, and by Aqua what packages commonly get wrong.
#
#     julia --startup-file=no julia/lint.jl [--fix]     # --fix: write the files in their format
#
# A tool that is not installed is said, and is no mistake: ] add JuliaFormatter Aqua

const HERE = @__DIR__
append!(empty!(LOAD_PATH), [HERE, "@v#.#", "@stdlib"])

"Call `check` with the package `name`, or say that there is none."
function with_tool(check, name, checked)
    Base.find_package(name) === nothing && return println(stderr, "NOT CHECKED: $checked, as $name.jl was not found")
    return Base.invokelatest(check, Base.require(Main, Symbol(name)))
end

failed = false

with_tool("JuliaFormatter", "the format of julia/") do JuliaFormatter
    fix = "--fix" in ARGS
    for (folder, _, files) in walkdir(HERE), file in filter(endswith(".jl"), files)
        path = joinpath(folder, file)
        if !JuliaFormatter.format_file(path; overwrite=fix) && !fix
            println(stderr, "$(relpath(path, dirname(HERE))): not in its format; run julia julia/lint.jl --fix")
            global failed = true
        end
    end
end

with_tool("Aqua", "the package PromptFlux") do Aqua
    PromptFlux = Base.require(Main, :PromptFlux)
    try
        # The two are loaded with the first picture. What only the tests use has no bounds of its own.
        Aqua.test_all(
            PromptFlux;
            stale_deps=(ignore=[:PNGFiles, :JpegTurbo],), deps_compat=(check_extras=false,), persistent_tasks=false,
        )
    catch error
        showerror(stderr, error)
        global failed = true
    end
end

exit(failed)
