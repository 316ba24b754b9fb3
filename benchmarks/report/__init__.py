"""``dspctl report``: one page that holds everything measured about a policy.

``build.write_report`` is the way in. Nothing is imported here: the page needs packages that a
vehicle does not have.
"""
