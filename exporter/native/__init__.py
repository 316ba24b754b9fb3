"""Native code for a machine: which machines, which compilers, what a build consists of."""
