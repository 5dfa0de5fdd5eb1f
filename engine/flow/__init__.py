"""What runs by itself: the runner of units, the asker, the sweep, the streams."""
