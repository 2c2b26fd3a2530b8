"""Many models: one verb on each, on local processes or a Ray cluster, resumable at any moment."""
