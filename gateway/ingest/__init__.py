"""The write path's upper half: the bytes of a body become rows that fit, and rows in quarantine; nothing is lost."""
