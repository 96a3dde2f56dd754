"""What every other room stands on: errors, digests and seeds, files, the cache, the machine.

Nothing here knows of tasks or networks.
"""
