"""What several families of objectives share. A part is no objective by itself."""
