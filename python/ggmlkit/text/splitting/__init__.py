"""The steps before text is encoded: normalizers, and splitting into words."""
