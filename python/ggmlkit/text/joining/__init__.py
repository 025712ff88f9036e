"""What happens around the encoded ids, and how they become text again."""
