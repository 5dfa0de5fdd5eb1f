"""What is shown: read models, which change nothing."""
