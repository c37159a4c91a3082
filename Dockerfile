FROM condaforge/miniforge3:latest
LABEL io.github.snakemake.containerized="true"
LABEL io.github.snakemake.conda_env_hash="303d21a97bc17f4cdc39a9d18b2d22a547d92f79e5577de69fa38930e7e4f67d"
# Conda environment:
#   source: envs/figures.yaml
#   prefix: /conda-envs/8b4c64c9ca5899bcfe9e3cd458937393
#   channels:
#     - conda-forge
#     - nodefaults
#   dependencies:
#     - python=3.11
#     - h5py=3.16.0
#     - jinja2=3.1.6
#     - jsonschema=4.26.0
#     - matplotlib-base=3.11.2
#     - numpy=2.4.6
#     - pillow=13.0.0
#     - pyyaml=6.0.3
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/8b4c64c9ca5899bcfe9e3cd458937393
COPY envs/figures.yaml /conda-envs/8b4c64c9ca5899bcfe9e3cd458937393/environment.yaml
# Conda environment:
#   source: envs/generate.yaml
#   prefix: /conda-envs/76d81d0efd67c134c48d1d93fedc833b
#   channels:
#     - conda-forge
#     - nodefaults
#   dependencies:
#     - python=3.11
#     - pytorch=2.13.0
#     - diffusers=0.42.1
#     - transformers=5.23.0
#     - accelerate=1.15.0
#     - tokenizers=0.23.3
#     - safetensors=0.8.0
#     - numpy=2.4.6
#     - pillow=13.0.0
#     - jsonschema=4.26.0
#     - pyyaml=6.0.3
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/76d81d0efd67c134c48d1d93fedc833b
COPY envs/generate.yaml /conda-envs/76d81d0efd67c134c48d1d93fedc833b/environment.yaml
# Conda environment:
#   source: envs/julia.yaml
#   prefix: /conda-envs/6912e56588bbd23fe6bca01b0f5726de
#   channels:
#     - conda-forge
#     - nodefaults
#   dependencies:
#     - julia=1.10.4
RUN mkdir -p /conda-envs/6912e56588bbd23fe6bca01b0f5726de
COPY envs/julia.yaml /conda-envs/6912e56588bbd23fe6bca01b0f5726de/environment.yaml
# Conda environment:
#   source: envs/preprocess.yaml
#   prefix: /conda-envs/2fcf3a05a46a6a9679621b0ca2dda420
#   channels:
#     - conda-forge
#     - nodefaults
#   dependencies:
#     - python=3.11
#     - h5py=3.16.0
#     - jsonschema=4.26.0
#     - numpy=2.4.6
#     - pillow=13.0.0
#     - pyyaml=6.0.3
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/2fcf3a05a46a6a9679621b0ca2dda420
COPY envs/preprocess.yaml /conda-envs/2fcf3a05a46a6a9679621b0ca2dda420/environment.yaml
# Conda environment:
#   source: envs/torch.yaml
#   prefix: /conda-envs/9398061009a3f92ba7e98e4198aa9100
#   channels:
#     - conda-forge
#     - nodefaults
#   dependencies:
#     - python=3.11
#     - h5py=3.16.0
#     - jsonschema=4.26.0
#     - numpy=2.4.6
#     - pillow=13.0.0
#     - pyyaml=6.0.3
#     - safetensors=0.8.0
#     - pytorch=2.13.0
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/9398061009a3f92ba7e98e4198aa9100
COPY envs/torch.yaml /conda-envs/9398061009a3f92ba7e98e4198aa9100/environment.yaml

RUN conda env create --prefix /conda-envs/8b4c64c9ca5899bcfe9e3cd458937393 --file /conda-envs/8b4c64c9ca5899bcfe9e3cd458937393/environment.yaml && \
    conda env create --prefix /conda-envs/76d81d0efd67c134c48d1d93fedc833b --file /conda-envs/76d81d0efd67c134c48d1d93fedc833b/environment.yaml && \
    conda env create --prefix /conda-envs/6912e56588bbd23fe6bca01b0f5726de --file /conda-envs/6912e56588bbd23fe6bca01b0f5726de/environment.yaml && \
    conda env create --prefix /conda-envs/2fcf3a05a46a6a9679621b0ca2dda420 --file /conda-envs/2fcf3a05a46a6a9679621b0ca2dda420/environment.yaml && \
    conda env create --prefix /conda-envs/9398061009a3f92ba7e98e4198aa9100 --file /conda-envs/9398061009a3f92ba7e98e4198aa9100/environment.yaml && \
    conda clean --all -y
