"""Where responses are kept, so that later requests can go on from them."""
