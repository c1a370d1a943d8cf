"""Alerts: rules, their evaluation, their state, and what is told to whom."""
