"""The exception for problems that a user can fix."""


class InputError(Exception):
    """Something outside this program is wrong: a file, a setting or a machine.

    The message says what is wrong, where, and what to do. The commands print it without a traceback.
    """
