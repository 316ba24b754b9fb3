"""Proximal policy optimisation: networks, rollouts, advantages, and the update of one rollout."""
