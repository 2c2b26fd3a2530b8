"""What running costs: latencies in turns, with intervals, and what each form of a norm takes."""
