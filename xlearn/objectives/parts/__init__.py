"""Common parts of several families of objectives. A part is no objective itself."""
