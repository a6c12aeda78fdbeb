"""What a command leaves with."""

DONE = 0
SOME_FAILED = 1
NOTHING_DONE = 2
SIGNALLED = 128  # plus the number of the signal
STOPPED = 130  # what a shell reports of a program that Ctrl-C ended
CLOSED_PIPE = 141  # and of one that wrote into a closed pipe
