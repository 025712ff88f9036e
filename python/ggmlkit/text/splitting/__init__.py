"""What happens to text before it is encoded: added tokens, normalizers, words."""
