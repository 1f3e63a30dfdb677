"""The edge: the only place where the bytes of the outside world are read and written."""
