"""What lies between the stages: HDF5 files, tables and checksums, each of which appears whole or not at all."""
