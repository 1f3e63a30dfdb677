"""The settlement and history gateway: follows the venue's events and keeps its books and records in SQL."""
