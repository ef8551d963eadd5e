"""The categories case: product titles of a marketplace of handmade goods into six categories."""
