"""What the `leakdrill` program does, one module a group of commands; each is imported when it is called."""
