"""What the demo watches: three model APIs and the traffic that visits them. Nothing here imports ModelWatch."""
