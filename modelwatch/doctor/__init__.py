"""`modelwatch doctor`: says what is amiss, and the one line that mends it.

Without arguments it looks at ModelWatch's own configuration (`configuration`). With a command it runs that model server
for a moment and looks at what it sends: `command` runs and asks it, `diagnosis` judges, `report` prints.
"""
