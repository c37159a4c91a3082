#!/usr/bin/env bash
# All that a GPU is to be asked, in under 20 minutes and into one folder:
#
#   bash benchmarks/gpu.sh FOLDER            # on a machine with an NVIDIA GPU, after `make setup` with a PyTorch for CUDA
#   bash benchmarks/gpu.sh --small FOLDER    # tries the script on a CPU, in minutes; its figures mean nothing
#
# summary.tsv says of each part whether it ended well, and in how many seconds; PART.log has what it printed.
# A part that fails, or takes longer than it may, does not keep the next ones from running.
set -uo pipefail
workflow=$(cd "$(dirname "$0")/.." && pwd)
export PATH="$workflow/.venv/bin:$PATH" PYTHONPATH="$workflow/scripts:$workflow/benchmarks:$workflow${PYTHONPATH:+:$PYTHONPATH}"

small=(); compile=(); gpu=1; prompts=16; steps=25; scale=0.1; patience=1
if [ "${1:-}" = --small ]; then
  small=(--small); compile=(--no-compile); gpu=0; prompts=2; steps=2; scale=0.002; patience=5
  shift
fi
if [ $# -ne 1 ]; then sed -n '2,8p' "$0"; exit 2; fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
if [ -n "$(ls -A "$out")" ]; then echo "$out is not empty; give a new folder" >&2; exit 2; fi
if ! python -c 'import torch' 2>/dev/null; then echo "PyTorch was not found: make setup" >&2; exit 2; fi
if [ "$gpu" = 1 ] && ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  echo "PyTorch sees no GPU here; --small tries the script on a CPU" >&2
  exit 2
fi

cd "$workflow" || exit 2

# part NAME SECONDS COMMAND...: runs it for so long at most; a trial on a CPU may take longer.
failed=0
printf 'part\tseconds\tstatus\n' > "$out/summary.tsv"
part() {
  local name=$1 most=$2 start=$SECONDS status=0
  shift 2
  echo "$name ..."
  timeout --kill-after=10 $((most * patience)) "$@" > "$out/$name.log" 2>&1 || status=$?
  [ $status -eq 0 ] || failed=1
  printf '%s\t%s\t%s\n' "$name" $((SECONDS - start)) $status | tee -a "$out/summary.tsv"
}

# study NAME SECONDS ARGUMENTS...: the default study in PyTorch, in a folder of that name.
study() {
  local name=$1 most=$2
  shift 2
  part "$name" "$most" snakemake --directory "$out/$name" --cores all "$@"
}

part card 60 python -c 'import diffusers, torch
from training.hardware import machine
print(machine(), "| torch", torch.__version__, "| CUDA", torch.version.cuda, "| diffusers", diffusers.__version__)'
if [ "$gpu" = 1 ]; then part nvidia_smi 30 nvidia-smi; fi

# The default study, bfloat16 on the GPU by the pipeline's own settings: beside the CPU, and once more beside itself.
torch='engines=[torch]'
study study_cpu 120 --resources gpu=0 --config "$torch"
study study_gpu 90 --resources gpu=$gpu --config "$torch" verify="$out/study_cpu/results"
study study_gpu_again 90 --resources gpu=$gpu --config "$torch" verify="$out/study_gpu/results"

# The PyTorch engine, every layer within 1e-4 of the CPU.
part engine 90 python benchmarks/gpu_engine.py "$out/study_cpu/results" --table "$out/gpu_engine.tsv"

# A U-Net of Stable Diffusion 1.5's size: the students' way, ours, and the share of the card's matrix rate.
part unet 240 python benchmarks/gpu_unet.py "${small[@]}" "${compile[@]}" --table "$out/gpu_unet.tsv"

# A whole model of that size through the pipeline, beside a plain diffusers loop.
part sd15 90 python benchmarks/sd15.py "${small[@]}" "$out/sd15"
part generation 180 python benchmarks/generation.py --model "$out/sd15" --prompts $prompts --steps $steps --table "$out/gpu_generation.tsv"
rm -rf "$out/sd15"

# The embedded models from nothing, a tenth of their drawings and steps: training.log has the seconds of a step.
part training 190 snakemake --snakefile training/Snakefile --directory "$out/training" --cores all --resources gpu=$gpu \
  --config scale=$scale --keep-going scenes classifiers
rm -rf "$out"/training/results/trained/{drawings,latents,checkpoints} "$out/training/.snakemake"

column -t -s $'\t' "$out/summary.tsv" 2>/dev/null || cat "$out/summary.tsv"
exit $failed
