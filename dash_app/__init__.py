"""The pages: what people look at in the browser, drawn from the answers of `query/`."""
