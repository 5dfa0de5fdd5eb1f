"""The running stand-in: the only part with I/O."""
