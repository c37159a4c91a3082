# Print what a classifier sees in PNG and JPEG files:
#
#     julia --project=julia julia/predict.jl IMAGE... --classifier cnn224 [--top N]

include("activate.jl")

const USAGE = "julia --project=julia julia/predict.jl IMAGE... --classifier NAME|MODEL [--top N]"

"The images and the options of a command line."
function read_arguments(arguments)
    images, options = String[], Dict{String,String}()
    while !isempty(arguments)
        argument = popfirst!(arguments)
        if argument in ("--classifier", "--top") && !isempty(arguments)
            options[argument[3:end]] = popfirst!(arguments)
        elseif startswith(argument, "--")
            throw(StudyError("$argument is not understood; use: $USAGE"))
        else
            push!(images, argument)
        end
    end
    isempty(images) && throw(StudyError("no image is named; use: $USAGE"))
    haskey(options, "classifier") || throw(StudyError("no classifier is named; use: $USAGE"))
    top = tryparse(Int, get(options, "top", "3"))
    top === nothing && throw(StudyError("--top is $(options["top"]), not a number."))
    return images, (classifier=options["classifier"], top=max(top, 1))
end

PromptFlux.job() do
    images, options = read_arguments(copy(ARGS))
    predict_files(images; options...)
end
