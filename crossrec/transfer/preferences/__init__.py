"""Transfer of preferences: what a user likes there says what they like here."""
