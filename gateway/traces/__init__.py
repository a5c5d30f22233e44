"""From a clip found in the wild back to the job and the token that made it."""
