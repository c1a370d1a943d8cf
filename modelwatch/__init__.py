"""Assembly: the settings tree, the table of roles, the command line, the demo.

The top of the house; it makes the rooms' components, connects them and runs them, and computes nothing itself.
"""

__version__ = "0.1.0"
