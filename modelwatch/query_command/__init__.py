"""`modelwatch query`: the questions of the API asked from a terminal or a script, answered as table, JSON or CSV."""
