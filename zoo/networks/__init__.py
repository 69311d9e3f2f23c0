"""What authors of networks need: preconditioning and mixture skips."""
