"""From figures to statements: ratios, the difference in return, the verdict, which backend."""
