"""What a user or a backend may ask for, one file each."""
