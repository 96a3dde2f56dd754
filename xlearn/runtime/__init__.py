"""The foundation of all other packages: errors, digests and seeds, files, the cache, the machine.

It depends on neither tasks nor networks.
"""
