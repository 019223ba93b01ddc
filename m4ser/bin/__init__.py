"""The commands of the stages and of users, one module each: options in, one call, lines out."""
