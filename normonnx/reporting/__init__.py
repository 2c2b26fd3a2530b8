"""Results for people and for programs: terminal and JSON. Reads core types only."""
