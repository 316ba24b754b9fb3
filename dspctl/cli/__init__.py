"""The command line: it composes the parts and draws what they report; nothing else does."""
