"""What every room may use: safe files, signals, progress, optional packages, messages."""
