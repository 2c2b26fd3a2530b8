"""The template, the style sheet and the script of a report."""
