#!/usr/bin/env bash
# Install the packages of julia/Manifest.toml into the depot of the new environment.
#
# Snakemake runs a copy of this script, in the working folder; where the project lies, the
# Snakefile says. It shows all that is printed if this fails, so that is kept short.
set -euo pipefail
project=${PROMPTFLUX_JULIA_PROJECT:?"the Snakefile sets it to the path of the folder julia/"}
if ! printed=$(julia --startup-file=no --project="$project" -e 'using Pkg; Pkg.instantiate(); Pkg.precompile(); using PromptFlux' 2>&1); then
  printf '%s\n' "$printed" | head -n 5
  echo "Julia's packages could not be installed; without Julia the study runs with this in its config: engines: [torch]"
  exit 1
fi
