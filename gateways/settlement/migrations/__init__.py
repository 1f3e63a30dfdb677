"""The changes of the tables from release to release, run by Alembic at the gateway's start."""
