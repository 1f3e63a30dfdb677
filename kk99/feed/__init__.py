"""Order flow from files: read, checked, turned into commands and played through the gateway client."""
