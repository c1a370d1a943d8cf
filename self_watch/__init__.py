"""ModelWatch watching itself: the reports of its processes, and the canary that times its pipeline."""
