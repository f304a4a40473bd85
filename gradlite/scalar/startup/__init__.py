"""Where the PYTHONPATH of redirected programs leads: Python runs `sitecustomize` at its start."""
