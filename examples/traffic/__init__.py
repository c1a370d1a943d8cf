"""The demo's traffic: visitors of the three model APIs, with a rhythm, mistakes and scripted incidents.

`python -m examples.traffic` runs it in a process of its own; it only knows the APIs' addresses.
"""
