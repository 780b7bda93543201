"""Keys and names of this config format that this version does not have: said so, instead of "unknown"."""

NOT_YET = "not available in this version"

#: Kinds of entries of `discovery`.
SOURCES = frozenset({"dns"})
