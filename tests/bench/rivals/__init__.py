"""What a user would otherwise run, written as a decent engineer would; it runs in an environment of its own."""
