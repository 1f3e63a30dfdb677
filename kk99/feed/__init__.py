"""Order flow from files: recorded market sessions read, checked, turned into commands and played through the gateway client."""
