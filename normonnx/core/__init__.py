"""What every room shares: errors, exit codes, result types, number formats. Needs numpy only."""
