"""One file per family of backends; each imports its runtime, and only inside a worker."""
