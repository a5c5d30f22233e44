"""The HTTP room for who finds leaked tokens: `/disclosures/github`."""
