#!/usr/bin/env bash
# Install the packages of julia/Manifest.toml into the depot of the new environment.
#
# Snakemake runs a copy of this script, in the working folder; where the project lies, the
# Snakefile says.
set -euo pipefail
project=${PROMPTFLUX_JULIA_PROJECT:?"the Snakefile sets it to the path of the folder julia/"}
julia --startup-file=no --project="$project" -e 'using Pkg; Pkg.instantiate(); Pkg.precompile()'
