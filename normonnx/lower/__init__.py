"""From a normalization to the form that is fastest, or most accurate, where it will run."""
