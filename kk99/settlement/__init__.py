"""The `kk99 settlement` commands: the books looked into, proved, derived anew, and printed as papers."""
