"""What may be changed while ModelWatch runs: which settings, within which bounds, by whom; kept in the database.

Every process with the database takes changes up within seconds; pages and API show and make them.
"""
