"""What an image shows, and how well the classifiers see it."""
