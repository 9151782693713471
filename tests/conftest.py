"""What every run of the tests needs."""

import signal

# A shell starts background jobs with SIGINT ignored, and whoever they start inherits that: then Ctrl-C, which some
# tests send to processes of theirs, would do nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)
