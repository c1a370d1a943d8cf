"""What several pages are made of: figures, formats, components, the colours of lines. Knows no page and no address."""
