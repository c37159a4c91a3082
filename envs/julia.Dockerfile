
# The packages of Julia, by the script that Snakemake runs after making the environment, but not for an image.
# Compiled for any processor, as the one that builds the image is not the one that runs it.
COPY julia /promptflux/julia
COPY envs/julia.post-deploy.sh /promptflux/julia.post-deploy.sh
RUN PROMPTFLUX_JULIA_PROJECT=/promptflux/julia \
    JULIA_CPU_TARGET="generic;sandybridge,-xsaveopt,clone_all;haswell,-rdrnd,base(1)" \
    conda run --prefix "$(dirname "$(dirname /conda-envs/*/bin/julia)")" bash /promptflux/julia.post-deploy.sh
