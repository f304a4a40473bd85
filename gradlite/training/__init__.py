"""Training: minibatches, and the loop over them."""
