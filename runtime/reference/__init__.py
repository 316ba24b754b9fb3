"""What is right: edge cases, the reference's answers, and how far a backend may be from them."""
