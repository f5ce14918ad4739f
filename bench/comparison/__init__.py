"""chatd beside other servers: runs chatload against each in turn, and writes what came out."""
