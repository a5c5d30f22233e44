"""The pages: a Space-like Generate page that is a client of the gateway and of nothing else."""
