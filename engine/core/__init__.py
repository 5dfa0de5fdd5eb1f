"""What is decided: pure functions over frozen values.  Imports nothing but itself and `errors`."""
