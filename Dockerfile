FROM condaforge/miniforge3:latest
LABEL io.github.snakemake.containerized="true"
LABEL io.github.snakemake.conda_env_hash="b17718c48bc6a61059e5c8a81a93ca35840739618a4471a30d7a74a26ec09987"
# Conda environment:
#   source: envs/figures.yaml
#   prefix: /conda-envs/b49d7194962b83c3344366360d80a53f
#   channels:
#     - conda-forge
#   dependencies:
#     - python=3.11
#     - h5py=3.16.0
#     - jinja2>=3.1,<4
#     - jsonschema>=4.23,<5
#     - matplotlib-base>=3.11,<3.12
#     - numpy=2.4.6
#     - pillow>=12,<14
#     - pyyaml>=6,<7
#     - tqdm>=4.66,<5
RUN mkdir -p /conda-envs/b49d7194962b83c3344366360d80a53f
COPY envs/figures.yaml /conda-envs/b49d7194962b83c3344366360d80a53f/environment.yaml
# Conda environment:
#   source: envs/generate.yaml
#   prefix: /conda-envs/1719272be35befad07d37bce66202569
#   channels:
#     - conda-forge
#   dependencies:
#     - python=3.11
#     - pytorch=2.13.0
#     - diffusers>=0.39,<0.43
#     - transformers>=5.15,<6
#     - accelerate>=1.13,<2
#     - tokenizers
#     - safetensors>=0.7,<1
#     - huggingface_hub>=1.0,<3
#     - peft>=0.17,<1
#     - openai-clip>=1.0.1,<2
#     - numpy=2.4.6
#     - pillow>=12,<14
#     - jsonschema>=4.23,<5
#     - pyyaml>=6,<7
#     - tqdm>=4.66,<5
RUN mkdir -p /conda-envs/1719272be35befad07d37bce66202569
COPY envs/generate.yaml /conda-envs/1719272be35befad07d37bce66202569/environment.yaml
# Conda environment:
#   source: envs/julia.yaml
#   prefix: /conda-envs/ede488b1e660f8524c9008a85acd5584
#   channels:
#     - conda-forge
#   dependencies:
#     - julia=1.10
RUN mkdir -p /conda-envs/ede488b1e660f8524c9008a85acd5584
COPY envs/julia.yaml /conda-envs/ede488b1e660f8524c9008a85acd5584/environment.yaml
# Conda environment:
#   source: envs/map.yaml
#   prefix: /conda-envs/b25cf55b3c332742562ca7c63668d4c0
#   channels:
#     - conda-forge
#   dependencies:
#     - python=3.11
#     - h5py=3.16.0
#     - jsonschema>=4.23,<5
#     - matplotlib-base>=3.11,<3.12
#     - numpy=2.4.6
#     - pillow>=12,<14
#     - pyyaml>=6,<7
#     - scikit-learn>=1.7,<2
#     - scipy>=1.16,<2
#     - tqdm>=4.66,<5
RUN mkdir -p /conda-envs/b25cf55b3c332742562ca7c63668d4c0
COPY envs/map.yaml /conda-envs/b25cf55b3c332742562ca7c63668d4c0/environment.yaml
# Conda environment:
#   source: envs/preprocess.yaml
#   prefix: /conda-envs/241203b158fae8e8cdc3ed7d5b71f525
#   channels:
#     - conda-forge
#   dependencies:
#     - python=3.11
#     - h5py=3.16.0
#     - jsonschema>=4.23,<5
#     - numpy=2.4.6
#     - pillow>=12,<14
#     - pyyaml>=6,<7
#     - tqdm>=4.66,<5
RUN mkdir -p /conda-envs/241203b158fae8e8cdc3ed7d5b71f525
COPY envs/preprocess.yaml /conda-envs/241203b158fae8e8cdc3ed7d5b71f525/environment.yaml
# Conda environment:
#   source: envs/torch.yaml
#   prefix: /conda-envs/b1a7624947a0754e891632e67732c4fb
#   channels:
#     - conda-forge
#   dependencies:
#     - python=3.11
#     - h5py=3.16.0
#     - jsonschema>=4.23,<5
#     - numpy=2.4.6
#     - onnx>=1.17,<2
#     - pillow>=12,<14
#     - pyyaml>=6,<7
#     - safetensors>=0.7,<1
#     - pytorch=2.13.0
#     - tqdm>=4.66,<5
RUN mkdir -p /conda-envs/b1a7624947a0754e891632e67732c4fb
COPY envs/torch.yaml /conda-envs/b1a7624947a0754e891632e67732c4fb/environment.yaml

RUN conda env create --prefix /conda-envs/b49d7194962b83c3344366360d80a53f --file /conda-envs/b49d7194962b83c3344366360d80a53f/environment.yaml && \
    conda env create --prefix /conda-envs/1719272be35befad07d37bce66202569 --file /conda-envs/1719272be35befad07d37bce66202569/environment.yaml && \
    conda env create --prefix /conda-envs/ede488b1e660f8524c9008a85acd5584 --file /conda-envs/ede488b1e660f8524c9008a85acd5584/environment.yaml && \
    conda env create --prefix /conda-envs/b25cf55b3c332742562ca7c63668d4c0 --file /conda-envs/b25cf55b3c332742562ca7c63668d4c0/environment.yaml && \
    conda env create --prefix /conda-envs/241203b158fae8e8cdc3ed7d5b71f525 --file /conda-envs/241203b158fae8e8cdc3ed7d5b71f525/environment.yaml && \
    conda env create --prefix /conda-envs/b1a7624947a0754e891632e67732c4fb --file /conda-envs/b1a7624947a0754e891632e67732c4fb/environment.yaml && \
    conda clean --all -y

# The packages of Julia, by the script that Snakemake runs after making the environment, but not for an image.
# Compiled for any processor, as the one that builds the image is not the one that runs it.
COPY julia /promptflux/julia
COPY envs/julia.post-deploy.sh /promptflux/julia.post-deploy.sh
RUN PROMPTFLUX_JULIA_PROJECT=/promptflux/julia \
    JULIA_CPU_TARGET="generic;sandybridge,-xsaveopt,clone_all;haswell,-rdrnd,base(1)" \
    conda run --prefix "$(dirname "$(dirname /conda-envs/*/bin/julia)")" bash /promptflux/julia.post-deploy.sh
