"""The one exception for what a user can mend."""


class InputError(Exception):
    """Something outside this program is wrong: a file, a setting, a machine.

    Its message says what is wrong, where, and what to do; the commands print it without a traceback.
    """
