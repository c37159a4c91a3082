FROM condaforge/miniforge3:latest
LABEL io.github.snakemake.containerized="true"
LABEL io.github.snakemake.conda_env_hash="303d21a97bc17f4cdc39a9d18b2d22a547d92f79e5577de69fa38930e7e4f67d"
