"""Recognising normalizations however they were spelled, by what is known of each value."""
