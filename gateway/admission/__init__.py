"""Admission: may it enter now?"""
