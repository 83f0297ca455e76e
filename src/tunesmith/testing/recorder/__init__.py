"""Record the calls that a client makes, and check them."""
