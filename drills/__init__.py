"""Drills: a scenario is played against a gateway over HTTP, and becomes a journal and a report.

A drill knows the gateway by its addresses only. Words after HSEEP (exercise, MSEL, inject, objective, after-action
report) and chaos engineering (steady state, probe, rollback, journal).
"""
