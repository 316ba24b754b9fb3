"""A benchmark on another machine, over the OpenSSH client that its user has configured."""
