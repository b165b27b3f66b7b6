"""What can go wrong, by what the caller does about it. The exit codes are part of the job folder's contract."""

DONE = 0
BAD_JOB = 2
NO_IMPROVEMENT = 3
TRY_AGAIN = 75


class BadJob(Exception):
    """The job cannot be carried out as it is; the text says what to change. Exit code 2."""


class TryAgain(Exception):
    """Nothing is wrong with the job, but it could not be done now. Exit code 75."""
