"""The training of the embedded models: a workflow beside the study, which knows nothing of it."""
