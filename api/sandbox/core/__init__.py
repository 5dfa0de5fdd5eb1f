"""What every object of the stand-in needs; knows no object."""
