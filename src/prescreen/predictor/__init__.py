"""What training saves, and what applies it to pictures."""
