# The models of the hub, before an image is made.
#
# in:  of a hub id its repository, at its revision
# out: the files in the cache of Hugging Face, which all programs share, and in results/fetched/{model}.json their list
#
# The rule is local: the nodes of a cluster need no network, and no model is fetched by ten jobs at once.


rule fetch_model:
    input:
        request=request_of("fetch_model/{model}"),
    output:
        fetched=RESULTS.fetched("{model}"),
    log:
        RESULTS.log("fetch_model/{model}"),
    benchmark:
        RESULTS.benchmark("fetch_model/{model}")
    priority: 100  # what is fetched can be held to the prompts before the first image
    localrule: True
    conda:
        ENVS["generate"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(600),
        disk_mb=100,
    params:
        asked=asked_of("fetch_model/{model}"),
    message:
        "Fetching {wildcards.model}"
    script:
        "../scripts/fetch_model.py"
