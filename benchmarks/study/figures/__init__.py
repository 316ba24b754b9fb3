"""Statistics, tables and pictures of stored studies; ``docs/study.md`` is made from them."""
