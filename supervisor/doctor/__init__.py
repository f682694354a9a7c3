"""`ringwarden doctor`: one module for each kind of check. Facts are gathered in one place and judged in another."""
