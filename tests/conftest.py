"""What every test stands on: how many generated cases hypothesis runs, and with which seeds."""

from hypothesis import HealthCheck, settings

# The suite's cases are the same on every machine and every run; a compiling kernel may make the first one slow.
settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    max_examples=50,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# `make fuzz`: fresh seeds, many cases, and a failure prints the blob that brings it back.
settings.register_profile(
    "long",
    deadline=None,
    max_examples=20_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")
