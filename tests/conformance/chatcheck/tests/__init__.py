"""One file for each section of SPEC.md; each check names its clause and quotes the clause's sentence."""
