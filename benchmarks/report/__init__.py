"""``dspctl report``: one page that holds everything measured about a policy."""
