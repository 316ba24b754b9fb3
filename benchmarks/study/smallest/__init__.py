"""The smallest networks that keep a share of what a study's unpruned policies earn."""
