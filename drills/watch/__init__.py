"""Watching a revocation that somebody performs by hand, on any gateway that speaks the Videos API.

Nothing but `/v1` is asked, and a link that the API itself gives. A token appears by its fingerprint only.
"""
