"""Token revocation (RFC 7009) and introspection (RFC 7662), in the shapes of those documents."""
