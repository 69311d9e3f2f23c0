"""Export: a denoiser or a whole sampler as a graph that runs without the zoo."""
