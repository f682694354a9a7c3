"""`ringwarden run`: any program on one or several local ranks, under the same supervision as our own runners."""
