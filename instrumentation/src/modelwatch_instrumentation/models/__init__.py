"""Model spans: one INTERNAL span for each inference call, within the request that asked for it.

`calls` records the calls that the instrumentors of the libraries wrap; `span` is the same by hand, for everything else.
What a span holds is in `schema`, what a model is called in `naming`, and what of its data may be kept in `capture`.
"""
