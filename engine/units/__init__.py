"""Units of work: one transaction each, as steps without I/O."""
