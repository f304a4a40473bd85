"""The command line, ``gradlite`` or ``python -m gradlite``; its packages are the extra ``cli``."""
