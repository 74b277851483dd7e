"""Imports: files → blocks of rows that fit, and rows in quarantine."""
