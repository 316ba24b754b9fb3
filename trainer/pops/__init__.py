"""PoPS (Livne and Cohen 2020): prune, shrink, distil, and again.

A network is pruned weight by weight under its teacher's eyes; how much of each layer was redundant
says how wide a dense network has to be; that one learns from the teacher from scratch. Rounds
follow until the size stops falling.
"""
