"""The live view of the venue: a model kept from events alone, and its picture in a terminal."""
