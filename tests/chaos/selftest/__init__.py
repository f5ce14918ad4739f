"""The chaos test's own tests: would it notice?"""
