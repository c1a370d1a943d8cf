"""Alerts: rules on the questions that `query/` answers, their states, and the notifications that follow."""
