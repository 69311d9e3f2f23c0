"""Models: found by reference, loaded, sampled, lifted, exact, likelihoods, pushed."""
