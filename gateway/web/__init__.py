"""What the HTTP rooms share: context, bearer checks, the error envelope, limits on bodies."""
