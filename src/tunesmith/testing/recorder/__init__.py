"""Recording of a client's calls, and assertions about them."""
