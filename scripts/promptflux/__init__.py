"""What the scripts of two or more rules share.

Nothing here imports torch, diffusers or matplotlib at the top of a module that the
Snakefile reads (`config`, `prompts`, `images`, `inputs`, `spec`): planning stays fast.
"""
